/* Kernels are compiled once for each instruction set; one set is chosen when the library is loaded.
 * Each file X.c of this folder defines static functions and one table of pointers to them,
 *     const rh_X_kernels RH_TABLE(X) = {...};
 * whose type is declared in X.h. The build compiles the file for each set with its own flags and
 * -DRH_ISA=sse2 (avx2, avx512; generic where the processor is no x86-64). Callers outside this folder
 * write rh_kernels.X->function(...). To add a file: write X.h and X.c, add X to RH_KERNEL_FILES. */
#ifndef RH_OPS_KERNELS_ISA_H
#define RH_OPS_KERNELS_ISA_H

#include "base/context.h"

#define RH_KERNEL_FILES(F) \
    F(elementwise) F(reduce) F(norm) F(rope) F(attention) F(loss) F(index) F(optim) F(gemm) F(head)

#define RH_JOIN_(a, b, c) a##b##_##c
#define RH_JOIN(a, b, c) RH_JOIN_(a, b, c)
#define RH_TABLE(file) RH_JOIN(rh_kernels_, file, RH_ISA)

#define RH_DECLARE_KERNELS(file) struct rh_##file##_kernels;
RH_KERNEL_FILES(RH_DECLARE_KERNELS)
#undef RH_DECLARE_KERNELS

/* Set once by rh_isa_choose; the same for every state of the process. */
typedef struct rh_kernel_tables {
#define RH_MEMBER(file) const struct rh_##file##_kernels *file;
    RH_KERNEL_FILES(RH_MEMBER)
#undef RH_MEMBER
} rh_kernel_tables;
extern rh_kernel_tables rh_kernels;

/* At the first call in the process (later ones change nothing): chooses the best set the processor and system support, or the one named by `wanted` (NULL or "":
 * the best). RH_EARG names what there is when `wanted` is unknown or not supported here. */
rh_status rh_isa_choose(rh_ctx *ctx, const char *wanted);
const char *rh_isa_name(void);
/* The sets this processor has, in rising order, ending in NULL. */
const char *const *rh_isa_supported(void);

#endif
