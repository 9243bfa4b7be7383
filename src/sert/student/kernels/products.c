/* Linear layers in int8, in int16 and in bfloat16, from float32 activations to float32 outputs in one go.

   Shapes: B rows, I inputs, O outputs. Weights are packed in panels of 64 outputs; a panel holds, for each group of
   inputs that fills four bytes (four int8, two int16 or bfloat16), the group of every output: (O / 64, groups, 64, inputs of a
   group), outputs filled up with zeros. Six rows and a panel make 24 vectors of sums, which stay in registers. Where
   there are tiles, 32 rows and half a panel make four tiles of sums; inputs then come in whole tiles of 64 bytes. */

#include "common.h"

#if defined(HAS_PAIRS) || defined(HAS_QUADRUPLES)
#define PANEL 64
#define TILE 6
#define TILE_ROWS 32
/* Bytes of rounded rows that are multiplied with all panels before the next: they stay in the second-level cache. */
#define CACHED_ROWS (512 * 1024)

/* What a product is given. */
struct linear {
    const float *inputs;  /* (B, I) */
    const void *weights;  /* packed */
    const int32_t *zeros; /* (O filled up), int8 only: what the offset of the rounded rows adds to each sum */
    const float *scales;  /* (O filled up), int8; (O / 64, I / 64, 64), int16 */
    const float *bias;    /* (O filled up) or NULL */
    void *rounded;        /* (B + TILE_ROWS, I); what is behind the rows is read, and what comes of it is not */
    float *steps;         /* (B + TILE_ROWS), int8; (B + TILE_ROWS, I / 64), int16 */
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
        const __m512i x = _mm512_set1_epi32((int)rows[r * stride + g]);                                                \
        s##r##0 = add_products(s##r##0, x, w0);                                                                        \
        s##r##1 = add_products(s##r##1, x, w1);                                                                        \
        s##r##2 = add_products(s##r##2, x, w2);                                                                        \
        s##r##3 = add_products(s##r##3, x, w3);                                                                        \
    }
#define PUT(r, to) to[r][0] = s##r##0, to[r][1] = s##r##1, to[r][2] = s##r##2, to[r][3] = s##r##3;

/* Multiply some groups of six rows, which lie `stride` groups apart, with a panel (groups, 64). */
#define DEFINE_TILE(name, type, add_products)                                                                          \
    INLINE void name(const uint32_t *rows, int64_t stride, const uint32_t *panel, int64_t groups,                      \
                     type sums[TILE][4]) {                                                                             \
        EACH_ROW(CLEAR, type)                                                                                          \
        for (int64_t g = 0; g < groups; g++, panel += PANEL) {                                                         \
            __m512i w0 = _mm512_loadu_si512(panel), w1 = _mm512_loadu_si512(panel + 16);                               \
            __m512i w2 = _mm512_loadu_si512(panel + 32), w3 = _mm512_loadu_si512(panel + 48);                          \
            EACH_ROW(MULTIPLY, add_products)                                                                           \
        }                                                                                                              \
        EACH_ROW(PUT, sums)                                                                                            \
    }

/* Write sixteen outputs, or as many as there are. */
INLINE void write_outputs(float *out, int64_t left, __m512 values) {
    const __mmask16 there = left >= LANE ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
    _mm512_mask_storeu_ps(out, there, values);
}

INLINE void put_floats(const struct linear *l, int64_t b, int64_t rows, int64_t at, const __m512 (*sums)[4]) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < PANEL; o += LANE) {
            __m512 values = sums[r][o / LANE];
            if (l->bias) values = _mm512_add_ps(values, _mm512_loadu_ps(l->bias + at + o));
            write_outputs(l->out + (b + r) * l->outputs + at + o, l->outputs - at - o, values);
        }
}

/* Multiply some rows with a panel and write what comes of it. Rows and panel are read in units of some bytes. */
#define DEFINE_MULTIPLY(name, type, unit, bytes, tile, add_up, put)                                                    \
    INLINE void name(const struct linear *l, int64_t b, int64_t end, int64_t p) {                                      \
        const int64_t units = bytes * l->inputs_size / sizeof(unit), at = p * PANEL;                                   \
        type sums[tile][4];                                                                                            \
        add_up((const unit *)l->rounded + b * units, units, (const unit *)l->weights + at * units, units, sums);       \
        put(l, b, end - b < tile ? end - b : tile, at, sums);                                                          \
    }

/* Let every thread round its rows, then multiply all of them with its panels. */
#define DEFINE_LINEAR(name, round_row, multiply_tile, bytes, tile, before, after)                                      \
    static void name(const struct linear *l) {                                                                         \
        const int64_t panels = (l->outputs + PANEL - 1) / PANEL;                                                       \
        const int64_t many = CACHED_ROWS / (bytes * l->inputs_size) / tile * tile, step = many < tile ? tile : many;   \
        _Pragma("omp parallel num_threads(l->threads)") {                                                              \
            before;                                                                                                    \
            _Pragma("omp for schedule(static)") for (int64_t b = 0; b < l->rows; b++) round_row(l, b);                 \
            for (int64_t start = 0; start < l->rows; start += step) {                                                  \
                const int64_t end = start + step < l->rows ? start + step : l->rows;                                   \
                _Pragma("omp for schedule(static) nowait") for (int64_t p = 0; p < panels; p++) {                      \
                    for (int64_t b = start; b < end; b += tile) multiply_tile(l, b, end, p);                           \
                }                                                                                                      \
            }                                                                                                          \
            after;                                                                                                     \
        }                                                                                                              \
    }
#define NOTHING ((void)0)
#endif

#ifdef HAS_TILES
#include <sys/syscall.h>
#include <unistd.h>

/* How many rows and bytes a row each tile has: see Intel's manual, volume 1, chapter 18. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64)));

static const struct tile_config WHOLE_TILES = {
    .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

/* Ask the system once for the room that tiles take in each thread. */
static int tiles_are_allowed(void) {
    const int request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

/* Other libraries keep a configuration of their own in each thread. */
#define CONFIGURE                                                                                                      \
    struct tile_config theirs;                                                                                         \
    _tile_storeconfig(&theirs);                                                                                        \
    _tile_loadconfig(&WHOLE_TILES)
#define RESTORE                                                                                                        \
    if (theirs.palette) _tile_loadconfig(&theirs);                                                                     \
    else _tile_release()

/* Multiply some bytes of 32 rows, which lie `stride` bytes apart, with a panel. */
#define DEFINE_TILES(name, type, add_products)                                                                         \
    INLINE void name(const uint8_t *rows, int64_t stride, const uint8_t *panel, int64_t bytes,                         \
                     type sums[TILE_ROWS][4]) {                                                                        \
        for (int64_t half = 0; half < 2; half++) {                                                                     \
            _tile_zero(0);                                                                                             \
            _tile_zero(1);                                                                                             \
            _tile_zero(2);                                                                                             \
            _tile_zero(3);                                                                                             \
            for (int64_t at = 0; at < bytes; at += 64) {                                                               \
                const uint8_t *weights = panel + at * PANEL + half * 128;                                              \
                _tile_loadd(4, rows + at, stride);                                                                     \
                _tile_loadd(5, rows + at + 16 * stride, stride);                                                       \
                _tile_loadd(6, weights, 4 * PANEL);                                                                    \
                _tile_loadd(7, weights + 64, 4 * PANEL);                                                               \
                add_products(0, 4, 6);                                                                                 \
                add_products(1, 4, 7);                                                                                 \
                add_products(2, 5, 6);                                                                                 \
                add_products(3, 5, 7);                                                                                 \
            }                                                                                                          \
            _tile_stored(0, &sums[0][2 * half], 4 * PANEL);                                                            \
            _tile_stored(1, &sums[0][2 * half + 1], 4 * PANEL);                                                        \
            _tile_stored(2, &sums[16][2 * half], 4 * PANEL);                                                           \
            _tile_stored(3, &sums[16][2 * half + 1], 4 * PANEL);                                                       \
        }                                                                                                              \
    }
DEFINE_TILES(tiles_int8, __m512i, _tile_dpbusd)
DEFINE_TILES(tiles_bfloat16, __m512, _tile_dpbf16ps)
#endif

#ifdef HAS_QUADRUPLES
#define ADD_INT8(sums, x, w) _mm512_dpbusd_epi32(sums, x, w)
DEFINE_TILE(tile_int8, __m512i, ADD_INT8)

/* Find steps so that the largest magnitude of some numbers has `most` of them; not a number if one is not finite. */
INLINE float step_of(const float *numbers, int64_t size, float most) {
    float largest = 0, nothing = 0;
#pragma omp simd reduction(max : largest) reduction(+ : nothing)
    for (int64_t i = 0; i < size; i++) {
        const float magnitude = fabsf(numbers[i]);
        largest = magnitude > largest ? magnitude : largest;
        nothing += numbers[i] * 0.0f;
    }
    const float tiny = 1.17549435e-38f, step = largest / most;
    return (step < tiny ? tiny : step) + nothing;
}

/* Round a row to steps, with 128 added, since the instruction wants one side unsigned. */
INLINE void round_int8(const struct linear *l, int64_t b) {
    const float *row = l->inputs + b * l->inputs_size;
    uint8_t *out = (uint8_t *)l->rounded + b * l->inputs_size;
    const float step = l->steps[b] = step_of(row, l->inputs_size, 127.0f);
#pragma omp simd
    for (int64_t i = 0; i < l->inputs_size; i++) out[i] = (uint8_t)((int32_t)nearbyintf(row[i] / step) + 128);
}

INLINE void put_int8(const struct linear *l, int64_t b, int64_t rows, int64_t at, const __m512i (*sums)[4]) {
    for (int64_t r = 0; r < rows; r++) {
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

DEFINE_MULTIPLY(multiply_int8, __m512i, uint32_t, 1, TILE, tile_int8, put_int8)
DEFINE_LINEAR(linear_int8, round_int8, multiply_int8, 1, TILE, NOTHING, NOTHING)

/* In int16 every 64 inputs of a row, and every 64 weights of an output, have a step of their own: sums of 64 products
   fit into 32 bits then, and one large number makes only its block coarse. */
#define BLOCK 64
#define BLOCKS(l) (((l)->inputs_size + BLOCK - 1) / BLOCK)
/* As `_mm512_dpwssd_epi32`; GCC 12 copies its sums to memory and back. */
INLINE __m512i add_int16(__m512i sums, __m512i x, __m512i w) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(x), "v"(w));
    return sums;
}
DEFINE_TILE(tile_int16, __m512i, add_int16)

INLINE void round_int16(const struct linear *l, int64_t b) {
    float *steps = l->steps + b * BLOCKS(l);
    for (int64_t at = 0; at < l->inputs_size; at += BLOCK) {
        const float *row = l->inputs + b * l->inputs_size + at;
        int16_t *out = (int16_t *)l->rounded + b * l->inputs_size + at;
        const int64_t left = l->inputs_size - at, size = left < BLOCK ? left : BLOCK;
        const float step = steps[at / BLOCK] = step_of(row, size, 5792.0f);
#pragma omp simd
        for (int64_t i = 0; i < size; i++) out[i] = (int16_t)(int32_t)nearbyintf(row[i] / step);
    }
}

/* Multiply six rows with a panel and write what comes of it. */
INLINE void multiply_int16(const struct linear *l, int64_t b, int64_t end, int64_t p) {
    const int64_t units = l->inputs_size / 2, blocks = BLOCKS(l), at = p * PANEL;
    const uint32_t *rows = (const uint32_t *)l->rounded + b * units, *panel = (const uint32_t *)l->weights + at * units;
    __m512 sums[TILE][4] = {0};
    for (int64_t k = 0; k < blocks; k++) {
        const int64_t first = k * BLOCK / 2, left = units - first, groups = left < BLOCK / 2 ? left : BLOCK / 2;
        const float *scales = l->scales + (p * blocks + k) * PANEL;
        __m512i exact[TILE][4];
        tile_int16(rows + first, units, panel + first * PANEL, groups, exact);
        for (int64_t r = 0; r < TILE; r++) {
            const __m512 step = _mm512_set1_ps(l->steps[(b + r) * blocks + k]);
            for (int64_t o = 0; o < 4; o++) {
                const __m512 scale = _mm512_mul_ps(step, _mm512_loadu_ps(scales + o * LANE));
                sums[r][o] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact[r][o]), scale, sums[r][o]);
            }
        }
    }
    put_floats(l, b, end - b < TILE ? end - b : TILE, at, sums);
}
DEFINE_LINEAR(linear_int16, round_int16, multiply_int16, 2, TILE, NOTHING, NOTHING)

#ifdef HAS_TILES
DEFINE_MULTIPLY(multiply_int8_tiles, __m512i, uint8_t, 1, TILE_ROWS, tiles_int8, put_int8)
DEFINE_LINEAR(linear_int8_tiles, round_int8, multiply_int8_tiles, 1, TILE_ROWS, CONFIGURE, RESTORE)
#endif
#endif

#ifdef HAS_PAIRS
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

DEFINE_MULTIPLY(multiply_bfloat16, __m512, uint32_t, 2, TILE, tile_bfloat16, put_floats)
DEFINE_LINEAR(linear_bfloat16, round_bfloat16, multiply_bfloat16, 2, TILE, NOTHING, NOTHING)

#ifdef HAS_TILES
DEFINE_MULTIPLY(multiply_bfloat16_tiles, __m512, uint8_t, 2, TILE_ROWS, tiles_bfloat16, put_floats)
DEFINE_LINEAR(linear_bfloat16_tiles, round_bfloat16, multiply_bfloat16_tiles, 2, TILE_ROWS, CONFIGURE, RESTORE)
#endif
#endif

/* What this processor can do here: 1 for int8 and int16 layers, 2 for bfloat16 layers, 4 for attention over bfloat16 pairs. */
int sert_abilities(void) {
    int found = 0;
#ifdef HAS_QUADRUPLES
    found += 1;
#endif
#ifdef HAS_PAIRS
    found += 2 + 4;
#endif
    return found;
}

#ifdef HAS_TILES
#define LINEAR(kind, bytes, l)                                                                                         \
    static int allowed = -1;                                                                                           \
    if (allowed < 0) allowed = tiles_are_allowed();                                                                    \
    if (allowed && bytes * (l)->inputs_size % 64 == 0) linear_##kind##_tiles(l);                                       \
    else linear_##kind(l)
#else
#define LINEAR(kind, bytes, l) linear_##kind(l)
#endif

#ifdef HAS_QUADRUPLES
void sert_linear_int8(const struct linear *l) { LINEAR(int8, 1, l); }
void sert_linear_int16(const struct linear *l) { linear_int16(l); }
#endif
#ifdef HAS_PAIRS
void sert_linear_bfloat16(const struct linear *l) { LINEAR(bfloat16, 2, l); }
#endif
