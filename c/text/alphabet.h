/* GPT-2's visible alphabet: a character for each byte, so that vocabularies are readable text. Bytes
 * that print in Latin-1 stand for themselves, the others follow from U+0100 in their order. */
#ifndef RH_TEXT_ALPHABET_H
#define RH_TEXT_ALPHABET_H

#include <stdint.h>

/* 33..126, 161..172 and 174..255 print. */
static inline uint32_t rh_alphabet_char(uint8_t byte) {
    if (byte <= 32) return 0x100u + byte;
    if (byte <= 126) return byte;
    if (byte <= 160) return 0x100u + 33 + (byte - 127u);
    return byte == 173 ? 0x100u + 67 : byte;
}

/* The byte of a character, or -1 when it stands for none. */
static inline int rh_alphabet_byte(uint32_t c) {
    if (c < 0x100) return c <= 32 || (c > 126 && c <= 160) || c == 173 ? -1 : (int)c;
    if (c <= 0x100 + 32) return (int)c - 0x100;
    if (c < 0x100 + 67) return (int)c - 0x100 - 33 + 127;
    return c == 0x100 + 67 ? 173 : -1;
}

#endif
