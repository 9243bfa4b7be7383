/* Linear layers in int8 and in bfloat16, from float32 activations to float32 outputs in one go.

   Shapes: B rows, I inputs, O outputs. Weights are packed in panels of 64 outputs; a panel holds, for each group of
   inputs that fills four bytes (four int8, two bfloat16), the group of every output: (O / 64, groups, 64, inputs of a
   group), outputs filled up with zeros. Six rows and a panel make 24 vectors of sums, which stay in registers. */

#include "common.h"

#if defined(HAS_BFLOAT16_LAYERS) || defined(HAS_INT8_LAYERS)
#define PANEL 64
#define TILE 6
/* Bytes of rounded rows that are multiplied with all panels before the next: they stay in the second-level cache. */
#define CACHED_ROWS (512 * 1024)

/* What a product is given. */
struct linear {
    const float *inputs;  /* (B, I) */
    const void *weights;  /* packed */
    const int32_t *zeros; /* (O filled up), int8 only: what the offset of the rounded rows adds to each sum */
    const float *scales;  /* (O filled up), int8 only */
    const float *bias;    /* (O filled up) or NULL */
    void *rounded;        /* (B filled up to a multiple of TILE, I) */
    float *steps;         /* (B filled up), int8 only */
    float *out;           /* (B, O) */
    int64_t rows, inputs_size, outputs;
    int32_t threads;
};

#define EACH_ROW(DO, ...)                                                                                              \
    DO(0, __VA_ARGS__) DO(1, __VA_ARGS__) DO(2, __VA_ARGS__) DO(3, __VA_ARGS__) DO(4, __VA_ARGS__) DO(5, __VA_ARGS__)
/* Sums have names of their own, since compilers keep arrays of them in memory. */
#define CLEAR(r, type) type s##r##0 = {0}, s##r##1 = {0}, s##r##2 = {0}, s##r##3 = {0};
#define MULTIPLY(r, add_products)                                                                                      \
    {                                                                                                                  \
        const __m512i x = _mm512_set1_epi32((int)rows[r * groups + g]);                                                \
        s##r##0 = add_products(s##r##0, x, w0);                                                                        \
        s##r##1 = add_products(s##r##1, x, w1);                                                                        \
        s##r##2 = add_products(s##r##2, x, w2);                                                                        \
        s##r##3 = add_products(s##r##3, x, w3);                                                                        \
    }
#define PUT(r, to) to[r][0] = s##r##0, to[r][1] = s##r##1, to[r][2] = s##r##2, to[r][3] = s##r##3;

/* Multiply six rows (6, groups) with a panel (groups, 64). */
#define DEFINE_TILE(name, type, add_products)                                                                          \
    INLINE void name(const uint32_t *rows, const uint32_t *panel, int64_t groups, type sums[TILE][4]) {                \
        EACH_ROW(CLEAR, type)                                                                                          \
        for (int64_t g = 0; g < groups; g++, panel += PANEL) {                                                         \
            const __m512i w0 = _mm512_loadu_si512(panel), w1 = _mm512_loadu_si512(panel + 16);                         \
            const __m512i w2 = _mm512_loadu_si512(panel + 32), w3 = _mm512_loadu_si512(panel + 48);                    \
            EACH_ROW(MULTIPLY, add_products)                                                                           \
        }                                                                                                              \
        EACH_ROW(PUT, sums)                                                                                            \
    }

/* Write sixteen outputs, or as many as there are. */
INLINE void write_outputs(float *out, int64_t left, __m512 values) {
    const __mmask16 there = left >= LANE ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
    _mm512_mask_storeu_ps(out, there, values);
}

/* Let every thread round its rows, then multiply all of them with its panels. */
#define DEFINE_LINEAR(name, round_row, multiply_tile, bytes)                                                           \
    void name(const struct linear *l) {                                                                                \
        const int64_t panels = (l->outputs + PANEL - 1) / PANEL;                                                       \
        const int64_t many = CACHED_ROWS / (bytes * l->inputs_size) / TILE * TILE, step = many < TILE ? TILE : many;   \
        _Pragma("omp parallel num_threads(l->threads)") {                                                              \
            _Pragma("omp for schedule(static)") for (int64_t b = 0; b < l->rows; b++) round_row(l, b);                 \
            for (int64_t start = 0; start < l->rows; start += step) {                                                  \
                const int64_t end = start + step < l->rows ? start + step : l->rows;                                   \
                _Pragma("omp for schedule(static) nowait") for (int64_t p = 0; p < panels; p++) {                      \
                    for (int64_t b = start; b < end; b += TILE) multiply_tile(l, b, end, p);                           \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
#endif

#ifdef HAS_INT8_LAYERS
#define ADD_INT8(sums, x, w) _mm512_dpbusd_epi32(sums, x, w)
DEFINE_TILE(tile_int8, __m512i, ADD_INT8)

/* Round a row to steps of its largest magnitude, with 128 added, since the instruction wants one side unsigned. */
INLINE void round_int8(const struct linear *l, int64_t b) {
    const float *row = l->inputs + b * l->inputs_size;
    uint8_t *out = (uint8_t *)l->rounded + b * l->inputs_size;
    float largest = 0, nothing = 0;
#pragma omp simd reduction(max : largest) reduction(+ : nothing)
    for (int64_t i = 0; i < l->inputs_size; i++) {
        const float magnitude = fabsf(row[i]);
        largest = magnitude > largest ? magnitude : largest;
        nothing += row[i] * 0.0f; /* not a number if one of them is not finite */
    }
    const float tiny = 1.17549435e-38f;
    float step = largest / 127.0f;
    step = step < tiny ? tiny : step;
    l->steps[b] = step + nothing;
#pragma omp simd
    for (int64_t i = 0; i < l->inputs_size; i++) out[i] = (uint8_t)((int32_t)nearbyintf(row[i] / step) + 128);
}

INLINE void multiply_int8(const struct linear *l, int64_t b, int64_t end, int64_t p) {
    const int64_t groups = l->inputs_size / 4, at = p * PANEL;
    __m512i sums[TILE][4];
    tile_int8((const uint32_t *)l->rounded + b * groups, (const uint32_t *)l->weights + at * groups, groups, sums);
    for (int64_t r = 0; r < TILE && b + r < end; r++) {
        const __m512 step = _mm512_set1_ps(l->steps[b + r]);
        for (int64_t o = 0; o < PANEL; o += LANE) {
            const __m512i exact = _mm512_sub_epi32(sums[r][o / LANE], _mm512_loadu_si512(l->zeros + at + o));
            __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(exact), step);
            scaled = _mm512_mul_ps(scaled, _mm512_loadu_ps(l->scales + at + o));
            if (l->bias) scaled = _mm512_add_ps(scaled, _mm512_loadu_ps(l->bias + at + o));
            write_outputs(l->out + (b + r) * l->outputs + at + o, l->outputs - at - o, scaled);
        }
    }
}

DEFINE_LINEAR(sert_linear_int8, round_int8, multiply_int8, 1)
#endif

#ifdef HAS_BFLOAT16_LAYERS
#define ADD_BFLOAT16(sums, x, w) _mm512_dpbf16_ps(sums, (__m512bh)(x), (__m512bh)(w))
DEFINE_TILE(tile_bfloat16, __m512, ADD_BFLOAT16)

INLINE void round_bfloat16(const struct linear *l, int64_t b) {
    const float *row = l->inputs + b * l->inputs_size;
    uint16_t *out = (uint16_t *)l->rounded + b * l->inputs_size;
    for (int64_t i = 0; i < l->inputs_size; i += LANE) {
        const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(row + i));
        memcpy(out + i, &rounded, sizeof rounded);
    }
}

INLINE void multiply_bfloat16(const struct linear *l, int64_t b, int64_t end, int64_t p) {
    const int64_t groups = l->inputs_size / 2, at = p * PANEL;
    __m512 sums[TILE][4];
    tile_bfloat16((const uint32_t *)l->rounded + b * groups, (const uint32_t *)l->weights + at * groups, groups, sums);
    for (int64_t r = 0; r < TILE && b + r < end; r++)
        for (int64_t o = 0; o < PANEL; o += LANE) {
            __m512 values = sums[r][o / LANE];
            if (l->bias) values = _mm512_add_ps(values, _mm512_loadu_ps(l->bias + at + o));
            write_outputs(l->out + (b + r) * l->outputs + at + o, l->outputs - at - o, values);
        }
}

DEFINE_LINEAR(sert_linear_bfloat16, round_bfloat16, multiply_bfloat16, 2)
#endif

/* What this processor can do here: 1 for int8 layers, 2 for bfloat16 layers, 4 for attention over bfloat16 pairs. */
int sert_abilities(void) {
    int found = 0;
#ifdef HAS_INT8_LAYERS
    found += 1;
#endif
#ifdef HAS_BFLOAT16_LAYERS
    found += 2;
#endif
#ifdef HAS_PAIRS
    found += 4;
#endif
    return found;
}
