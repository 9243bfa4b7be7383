#pragma once

/* What the loops share. Shapes are row-major. Nothing checks its arguments; its callers do. Threads share no
   sums, so results do not depend on their number. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Vectors are as wide as the processor's own, since compilers keep wider ones in memory: `LANE` numbers of 32 bits.
   `VECTORS` of weights and six rows make sums that fit into its registers, 32 of them or, with AVX2, 16.
   `HAS_INTEGERS`: exact products of int8 and int16 numbers. */
#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#define HAS_INTEGERS 1
#define LANE 16
#define VECTORS 4
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define HAS_INTEGERS 1
#define LANE 8
#define VECTORS 2
#elif defined(__aarch64__) && defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_neon.h>
#define HAS_INTEGERS 1
#define LANE 4
#define VECTORS 4
#else
#define LANE 4
#endif

/* Products of pairs of bfloat16 numbers, and tiles (AMX) of sixteen by sixteen sums. */
#if LANE == 16 && defined(__AVX512BF16__)
#define HAS_PAIRS 1
#endif
#if defined(HAS_PAIRS) && defined(__AVX512VNNI__) && defined(__AMX_BF16__) && defined(__AMX_INT8__) && defined(__linux__)
#define HAS_TILES 1
#endif

typedef float floats __attribute__((vector_size(4 * LANE)));
typedef int32_t integers __attribute__((vector_size(4 * LANE)));
typedef int16_t shorts __attribute__((vector_size(4 * LANE)));

INLINE floats load(const float *from) {
    floats values;
    memcpy(&values, from, sizeof values);
    return values;
}

INLINE integers load_integers(const void *from) {
    integers values;
    memcpy(&values, from, sizeof values);
    return values;
}

/* exp(x) for x <= 0, to 2 units in the last place: 2^n * exp(r) with |r| <= ln(2) / 2 and Taylor's series of exp(r). */
static inline float exp_negative(float x) {
    x = x < -87.0f ? -87.0f : x;
    const float n = nearbyintf(x * 1.44269504f);
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float e = 1.0f / 5040.0f;
    e = e * r + 1.0f / 720.0f;
    e = e * r + 1.0f / 120.0f;
    e = e * r + 1.0f / 24.0f;
    e = e * r + 1.0f / 6.0f;
    e = e * r + 0.5f;
    e = e * r + 1.0f;
    e = e * r + 1.0f;
    const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return e * power;
}
