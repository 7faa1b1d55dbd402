/* Compiled with -ffp-contract=fast (CMakeLists.txt): the tile lives on fused multiply-add, as BLAS does. */
#include "common/kernel/conv_tile_internal.h"

#if defined(__x86_64__)
#define TILE_TARGET     __attribute__((target("avx512f,avx512vl,avx512dq,fma")))
#define TILE_NAME(name) name##_avx512
#define TILE_BYTES      64
#define TILE_P          8
#include "common/kernel/conv_tile_body.h"
#undef TILE_TARGET
#undef TILE_NAME
#undef TILE_BYTES
#undef TILE_P

#define TILE_TARGET     __attribute__((target("avx2,fma")))
#define TILE_NAME(name) name##_avx2
#define TILE_BYTES      32
#define TILE_P          6
#include "common/kernel/conv_tile_body.h"
#undef TILE_TARGET
#undef TILE_NAME
#undef TILE_BYTES
#undef TILE_P
#endif

#define TILE_TARGET
#define TILE_NAME(name) name##_any
#define TILE_BYTES      16
#define TILE_P          4
#include "common/kernel/conv_tile_body.h"

const struct tile *tile_variant(size_t i)
{
    static const struct tile any = {4, 2 * 16 / sizeof(real), run_any, "128 bits"};
#if defined(__x86_64__)
    static const struct tile avx2 = {6, 2 * 32 / sizeof(real), run_avx2, "AVX2"};
    static const struct tile avx512 = {8, 2 * 64 / sizeof(real), run_avx512, "AVX-512"};
    const struct tile *can[4] = {0};
    size_t n = 0;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        can[n++] = &avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        can[n++] = &avx2;
    }
    can[n++] = &any;
    return i < n ? can[i] : NULL;
#else
    return i == 0 ? &any : NULL;
#endif
}
