/* Files: regular ones only, read at given places into the caller's memory, never mapped (a file cut
 * short under a map kills the process); and saves that leave the old file or the new one, never a
 * mix. A save writes NAME.tmp in the same folder, then fsync, rename, fsync of the folder. A NAME.tmp
 * left by a killed process is overwritten by the next save; one that another process is writing now
 * (it holds a lock) is an error. Every message names the file. Statuses: RH_EIO for the system's
 * refusals, RH_EDATA where it is the wrong kind or size of file. */
#ifndef RH_IO_FILE_H
#define RH_IO_FILE_H

#include "base/context.h"

/* ---- reading ---- */

typedef struct rh_file {
    int fd;       /* -1: closed */
    int64_t size; /* when it was opened */
} rh_file;

#define RH_FILE_CLOSED ((rh_file){-1, 0})

/* Fails unless path is a regular file; *out is closed then. Never waits, be it a FIFO. */
rh_status rh_file_open(rh_ctx *ctx, const char *path, rh_file *out);
/* Fills n bytes from `offset` on; a file that has become shorter is RH_EDATA. path: for messages. */
rh_status rh_file_read(rh_ctx *ctx, const rh_file *file, const char *path, int64_t offset, void *out,
                       size_t n);
/* May be called twice. */
void rh_file_close(rh_file *file);

/* ---- saving ---- */

typedef struct rh_save {
    int fd;          /* -1: not begun, finished or given up */
    char *path;      /* both in one block; NULL: none */
    char *temporary;
    uint64_t bytes;  /* how many will be written, for the message of a full disk */
    uint64_t written;
} rh_save;

#define RH_SAVE_NONE ((rh_save){.fd = -1})

/* Begins to write path's successor. Whatever follows, the caller ends with rh_save_end. */
rh_status rh_save_begin(rh_ctx *ctx, const char *path, uint64_t bytes, rh_save *out);
rh_status rh_save_write(rh_ctx *ctx, rh_save *save, const void *bytes, size_t n);
/* Makes what was written durable and puts it in path's place. */
rh_status rh_save_commit(rh_ctx *ctx, rh_save *save);
/* Gives up unless committed: the temporary file is gone, path is as it was. May be called twice. */
void rh_save_end(rh_ctx *ctx, rh_save *save);

/* ---- folders ---- */

/* Makes the folder and those above it; fine if it is there. */
rh_status rh_folder_make(rh_ctx *ctx, const char *path);

/* rh_fail(RH_EIO) with "cannot WHAT PATH: " and the system's words for errno. */
rh_status rh_file_fail(rh_ctx *ctx, const char *what, const char *path, int error);

#endif
