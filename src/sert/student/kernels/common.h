/* What the loops share. Shapes are row-major. Nothing checks its arguments; its callers do. Threads share no
   sums, so results do not depend on their number. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Sixteen numbers at a time; compilers map them to what the processor has. */
#define LANE 16
typedef float floats __attribute__((vector_size(4 * LANE)));

/* Products of pairs of bfloat16 numbers and of quadruples of int8 numbers, in vectors of sixteen sums, and where there
   are tiles (AMX) in tiles of sixteen by sixteen. */
#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#if defined(__AVX512BF16__)
#define HAS_PAIRS 1
#endif
#if defined(__AVX512VNNI__)
#define HAS_QUADRUPLES 1
#endif
#if defined(HAS_PAIRS) && defined(HAS_QUADRUPLES) && defined(__AMX_BF16__) && defined(__AMX_INT8__) && defined(__linux__)
#define HAS_TILES 1
#endif
#endif

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
