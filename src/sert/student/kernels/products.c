/* Linear layers in int8, in int16 and in bfloat16, from float32 activations to float32 outputs in one go.

   Shapes: B rows, I inputs, O outputs. Weights are packed in panels of 64 outputs, filled up with zeros; a panel holds, for
   each group of inputs that fills four bytes (four int8, two int16 or bfloat16), the group of every output:
   (O / 64, groups, 64, inputs of a group). Six rows and some vectors of weights make as many sums as stay in registers.
   Where there are tiles, 32 rows and half a panel make four tiles of sums; inputs then come in whole tiles of 64 bytes.

   Tiles of bfloat16 are read in the order in which they lie: rows (B / 16, I / 32, parts, 16, 32) and weights (O / 32,
   I / 32, parts, 2, 16, 16, 2), 32 inputs and their pairs at a time. A number may have two parts there, the nearest bfloat16
   number and the one nearest to what is left: together some 16 bits. Products of two second parts are left out.
   Source: Henry, Tang and Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
   Computations, 2019. */

#include "common.h"

#ifdef HAS_INTEGERS
#define PANEL 64
/* Outputs of a panel that are summed up at a time: all 64 with AVX-512. */
#define OUTPUTS (VECTORS * LANE)
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
    int32_t row_parts, weight_parts; /* of each number in tiles of bfloat16: 1 or 2 */
    int32_t threads;
};

/* ---- what processors differ in ---- */

/* Round once, whatever the compiler. */
#if LANE == 16
INLINE floats multiply_add(floats a, floats b, floats sums) { return _mm512_fmadd_ps(a, b, sums); }
#elif LANE == 8
INLINE floats multiply_add(floats a, floats b, floats sums) { return _mm256_fmadd_ps(a, b, sums); }
#else
INLINE floats multiply_add(floats a, floats b, floats sums) { return vfmaq_f32(sums, a, b); }
#endif

/* Add the products of pairs of int16 numbers to sums. */
INLINE integers add_int16(integers sums, integers x, integers w) {
#if LANE == 16 && defined(__AVX512VNNI__)
    /* As `_mm512_dpwssd_epi32`; GCC 12 copies its sums to memory and back. */
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(x), "v"(w));
    return sums;
#elif LANE == 16
    return sums + (integers)_mm512_madd_epi16((__m512i)x, (__m512i)w);
#elif LANE == 8 && defined(__AVXVNNI__)
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sums) : "x"(x), "x"(w));
    return sums;
#elif LANE == 8
    return sums + (integers)_mm256_madd_epi16((__m256i)x, (__m256i)w);
#else
    const int16x8_t left = (int16x8_t)x, right = (int16x8_t)w;
    const int32x4_t first = vmull_s16(vget_low_s16(left), vget_low_s16(right)), second = vmull_high_s16(left, right);
    return sums + (integers)vpaddq_s32(first, second);
#endif
}

/* Add the products of quadruples of int8 numbers to sums. `OFFSET` was added to those of `x` where the instruction wants
   them unsigned. */
#if LANE == 16 && defined(__AVX512VNNI__)
#define OFFSET 128
INLINE integers add_int8(integers sums, integers x, integers w) {
    return (integers)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)x, (__m512i)w);
}
#elif LANE == 8 && defined(__AVXVNNI__)
#define OFFSET 128
INLINE integers add_int8(integers sums, integers x, integers w) {
    return (integers)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)x, (__m256i)w);
}
#elif LANE == 4 && defined(__ARM_FEATURE_DOTPROD)
#define OFFSET 0
INLINE integers add_int8(integers sums, integers x, integers w) {
    return (integers)vdotq_s32((int32x4_t)sums, (int8x16_t)x, (int8x16_t)w);
}
#else
#define OFFSET 0
INLINE integers add_int8(integers sums, integers x, integers w) {
    const shorts left = (shorts)x, right = (shorts)w;
    sums = add_int16(sums, (integers)(left >> 8), (integers)(right >> 8));
    return add_int16(sums, (integers)(left << 8 >> 8), (integers)(right << 8 >> 8));
}
#endif

/* ---- sums of six rows ---- */

#define EACH_ROW(DO, ...)                                                                                              \
    DO(0, __VA_ARGS__) DO(1, __VA_ARGS__) DO(2, __VA_ARGS__) DO(3, __VA_ARGS__) DO(4, __VA_ARGS__) DO(5, __VA_ARGS__)
#if VECTORS == 4
#define EACH_VECTOR(DO, ...) DO(0, __VA_ARGS__) DO(1, __VA_ARGS__) DO(2, __VA_ARGS__) DO(3, __VA_ARGS__)
#else
#define EACH_VECTOR(DO, ...) DO(0, __VA_ARGS__) DO(1, __VA_ARGS__)
#endif
/* Sums have names of their own, since compilers keep arrays of them in memory. */
#define CLEAR(r, type) EACH_VECTOR(CLEAR_SUM, r, type)
#define CLEAR_SUM(v, r, type) type s##r##v = {0};
#define LOAD_WEIGHTS(v, panel) const integers w##v = load_integers(panel + v * LANE);
#define MULTIPLY(r, add_products)                                                                                      \
    {                                                                                                                  \
        const integers x = (integers){0} + (int32_t)rows[r * stride + g];                                              \
        EACH_VECTOR(ADD, r, add_products)                                                                              \
    }
#define ADD(v, r, add_products) s##r##v = add_products(s##r##v, x, w##v);
#define PUT(r, to) EACH_VECTOR(PUT_SUM, r, to)
#define PUT_SUM(v, r, to) to[r][v] = s##r##v;

/* Multiply some groups of six rows, which lie `stride` groups apart, with some outputs of a panel (groups, 64). */
#define DEFINE_TILE(name, type, add_products)                                                                          \
    INLINE void name(const uint32_t *rows, int64_t stride, const uint32_t *panel, int64_t groups,                      \
                     type sums[TILE][VECTORS]) {                                                                       \
        EACH_ROW(CLEAR, type)                                                                                          \
        for (int64_t g = 0; g < groups; g++, panel += PANEL) {                                                         \
            EACH_VECTOR(LOAD_WEIGHTS, panel)                                                                           \
            EACH_ROW(MULTIPLY, add_products)                                                                           \
        }                                                                                                              \
        EACH_ROW(PUT, sums)                                                                                            \
    }

/* Write a vector of outputs, or as many as there are. */
INLINE void write_outputs(float *out, int64_t left, floats values) {
    if (left >= LANE) memcpy(out, &values, sizeof values);
    else if (left > 0) memcpy(out, &values, left * sizeof(float));
}

INLINE void put_floats(const struct linear *l, int64_t b, int64_t rows, int64_t at, const floats (*sums)[VECTORS]) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < OUTPUTS; o += LANE) {
            floats values = sums[r][o / LANE];
            if (l->bias) values += load(l->bias + at + o);
            write_outputs(l->out + (b + r) * l->outputs + at + o, l->outputs - at - o, values);
        }
}

/* Multiply some rows with a panel and write what comes of it. Rows and panel are read in units of some bytes. */
#define DEFINE_MULTIPLY(name, type, unit, bytes, tile, add_up, put)                                                    \
    INLINE void name(const struct linear *l, int64_t b, int64_t end, int64_t p) {                                      \
        const int64_t units = bytes * l->inputs_size / sizeof(unit), rows = end - b < tile ? end - b : tile;           \
        const unit *from = (const unit *)l->rounded + b * units, *panel = (const unit *)l->weights + p * PANEL * units; \
        for (int64_t o = 0; o < PANEL; o += OUTPUTS) {                                                                 \
            type sums[tile][VECTORS];                                                                                  \
            add_up(from, units, panel + o * 4 / sizeof(unit), units, sums);                                            \
            put(l, b, rows, p * PANEL + o, sums);                                                                      \
        }                                                                                                              \
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

/* Add the products of 32 rows in tiles 4 and 5 and 32 outputs in tiles 6 and 7 to tiles 0 to 3. */
#define ADD_SQUARE(add_products)                                                                                       \
    do {                                                                                                               \
        add_products(0, 4, 6);                                                                                         \
        add_products(1, 4, 7);                                                                                         \
        add_products(2, 5, 6);                                                                                         \
        add_products(3, 5, 7);                                                                                         \
    } while (0)

/* Multiply some bytes of 32 rows, which lie `stride` bytes apart, with a panel. */
INLINE void tiles_int8(const uint8_t *rows, int64_t stride, const uint8_t *panel, int64_t bytes,
                       integers sums[TILE_ROWS][VECTORS]) {
    for (int64_t half = 0; half < 2; half++) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int64_t at = 0; at < bytes; at += 64) {
            const uint8_t *weights = panel + at * PANEL + half * 128;
            _tile_loadd(4, rows + at, stride);
            _tile_loadd(5, rows + at + 16 * stride, stride);
            _tile_loadd(6, weights, 4 * PANEL);
            _tile_loadd(7, weights + 64, 4 * PANEL);
            ADD_SQUARE(_tile_dpbusd);
        }
        _tile_stored(0, &sums[0][2 * half], 4 * PANEL);
        _tile_stored(1, &sums[0][2 * half + 1], 4 * PANEL);
        _tile_stored(2, &sums[16][2 * half], 4 * PANEL);
        _tile_stored(3, &sums[16][2 * half + 1], 4 * PANEL);
    }
}
#endif

#ifdef HAS_INTEGERS
DEFINE_TILE(tile_int8, integers, add_int8)

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

/* Round a row to steps. */
INLINE void round_int8(const struct linear *l, int64_t b) {
    const float *row = l->inputs + b * l->inputs_size;
    uint8_t *out = (uint8_t *)l->rounded + b * l->inputs_size;
    const float step = l->steps[b] = step_of(row, l->inputs_size, 127.0f);
#pragma omp simd
    for (int64_t i = 0; i < l->inputs_size; i++) out[i] = (uint8_t)((int32_t)nearbyintf(row[i] / step) + OFFSET);
}

INLINE void put_int8(const struct linear *l, int64_t b, int64_t rows, int64_t at, const integers (*sums)[VECTORS]) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < OUTPUTS; o += LANE) {
            integers exact = sums[r][o / LANE];
            if (OFFSET) exact -= load_integers(l->zeros + at + o);
            const floats stepped = __builtin_convertvector(exact, floats) * l->steps[b + r];
            const floats scale = load(l->scales + at + o);
            const floats values = l->bias ? multiply_add(stepped, scale, load(l->bias + at + o)) : stepped * scale;
            write_outputs(l->out + (b + r) * l->outputs + at + o, l->outputs - at - o, values);
        }
}

DEFINE_MULTIPLY(multiply_int8, integers, uint32_t, 1, TILE, tile_int8, put_int8)
DEFINE_LINEAR(linear_int8, round_int8, multiply_int8, 1, TILE, NOTHING, NOTHING)

/* In int16 every 64 inputs of a row, and every 64 weights of an output, have a step of their own: sums of 64 products
   fit into 32 bits then, and one large number makes only its block coarse. */
#define BLOCK 64
#define BLOCKS(l) (((l)->inputs_size + BLOCK - 1) / BLOCK)
DEFINE_TILE(tile_int16, integers, add_int16)

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
    const int64_t units = l->inputs_size / 2, blocks = BLOCKS(l);
    const uint32_t *rows = (const uint32_t *)l->rounded + b * units;
    const uint32_t *panel = (const uint32_t *)l->weights + p * PANEL * units;
    floats sums[PANEL / OUTPUTS][TILE][VECTORS] = {0};
    for (int64_t k = 0; k < blocks; k++) {
        const int64_t first = k * BLOCK / 2, left = units - first, groups = left < BLOCK / 2 ? left : BLOCK / 2;
        for (int64_t part = 0; part < PANEL / OUTPUTS; part++) {
            const float *scales = l->scales + (p * blocks + k) * PANEL + part * OUTPUTS;
            integers exact[TILE][VECTORS];
            tile_int16(rows + first, units, panel + first * PANEL + part * OUTPUTS, groups, exact);
            for (int64_t r = 0; r < TILE; r++)
                for (int64_t v = 0; v < VECTORS; v++) {
                    const floats scale = load(scales + v * LANE) * l->steps[(b + r) * blocks + k];
                    floats *sum = &sums[part][r][v];
                    *sum = multiply_add(__builtin_convertvector(exact[r][v], floats), scale, *sum);
                }
        }
    }
    for (int64_t part = 0; part < PANEL / OUTPUTS; part++)
        put_floats(l, b, end - b < TILE ? end - b : TILE, p * PANEL + part * OUTPUTS, sums[part]);
}
DEFINE_LINEAR(linear_int16, round_int16, multiply_int16, 2, TILE, NOTHING, NOTHING)

#ifdef HAS_TILES
DEFINE_MULTIPLY(multiply_int8_tiles, integers, uint8_t, 1, TILE_ROWS, tiles_int8, put_int8)
DEFINE_LINEAR(linear_int8_tiles, round_int8, multiply_int8_tiles, 1, TILE_ROWS, CONFIGURE, RESTORE)
#endif
#endif

#ifdef HAS_PAIRS
INLINE floats add_bfloat16(floats sums, integers x, integers w) {
    return _mm512_dpbf16_ps(sums, (__m512bh)x, (__m512bh)w);
}
DEFINE_TILE(tile_bfloat16, floats, add_bfloat16)

INLINE void round_bfloat16(const struct linear *l, int64_t b) {
    const float *row = l->inputs + b * l->inputs_size;
    uint16_t *out = (uint16_t *)l->rounded + b * l->inputs_size;
    for (int64_t i = 0; i < l->inputs_size; i += LANE) {
        const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(row + i));
        memcpy(out + i, &rounded, sizeof rounded);
    }
}

DEFINE_MULTIPLY(multiply_bfloat16, floats, uint32_t, 2, TILE, tile_bfloat16, put_floats)
DEFINE_LINEAR(linear_bfloat16, round_bfloat16, multiply_bfloat16, 2, TILE, NOTHING, NOTHING)

#ifdef HAS_TILES
/* Bytes of a tile, and inputs in bfloat16 of one. */
#define TILE_BYTES 1024
#define TILE_INPUTS 32

/* Round a row, and what rounding left of it, into the tiles of its sixteen rows. */
INLINE void round_parts(const struct linear *l, int64_t b) {
    const float *row = l->inputs + b * l->inputs_size;
    const int64_t parts = l->row_parts, tiles = l->inputs_size / TILE_INPUTS * parts;
    uint8_t *out = (uint8_t *)l->rounded + b / 16 * tiles * TILE_BYTES + b % 16 * 64;
    for (int64_t i = 0; i < l->inputs_size; i += LANE) {
        uint8_t *at = out + i / TILE_INPUTS * parts * TILE_BYTES + i % TILE_INPUTS * 2;
        const __m512 whole = _mm512_loadu_ps(row + i);
        const __m256bh first = _mm512_cvtneps_pbh(whole);
        memcpy(at, &first, sizeof first);
        if (parts == 1) continue;
        const __m512i widened = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)first), 16);
        const __m256bh second = _mm512_cvtneps_pbh(whole - (__m512)widened);
        memcpy(at + TILE_BYTES, &second, sizeof second);
    }
}

INLINE void load_rows(const uint8_t *upper, const uint8_t *lower) {
    _tile_loadd(4, upper, 64);
    _tile_loadd(5, lower, 64);
}

INLINE void load_outputs(const uint8_t *weights) {
    _tile_loadd(6, weights, 64);
    _tile_loadd(7, weights + TILE_BYTES, 64);
}

/* Multiply 32 rows with half a panel: sums begin with the bias. `ahead` is brought nearer, some bytes a step. */
INLINE void tiles_bfloat16(const struct linear *l, int64_t b, int64_t at, const uint8_t *ahead, int64_t ahead_bytes) {
    const int64_t row_parts = l->row_parts, weight_parts = l->weight_parts, steps = l->inputs_size / TILE_INPUTS;
    const uint8_t *upper = (const uint8_t *)l->rounded + b / 16 * steps * row_parts * TILE_BYTES;
    const uint8_t *lower = upper + steps * row_parts * TILE_BYTES;
    const uint8_t *weights = (const uint8_t *)l->weights + at / 16 * steps * weight_parts * TILE_BYTES;
    static const float nothing[32];
    const float *bias = l->bias ? l->bias + at : nothing;
    _tile_loadd(0, bias, 0); /* the same for all rows */
    _tile_loadd(1, bias + 16, 0);
    _tile_loadd(2, bias, 0);
    _tile_loadd(3, bias + 16, 0);
    for (int64_t step = 0; step < steps; step++) {
        for (int64_t i = 0; i < ahead_bytes; i += 64) __builtin_prefetch(ahead + step * ahead_bytes + i);
        load_outputs(weights);
        if (row_parts == 2) {
            load_rows(upper + TILE_BYTES, lower + TILE_BYTES);
            ADD_SQUARE(_tile_dpbf16ps);
        }
        load_rows(upper, lower);
        ADD_SQUARE(_tile_dpbf16ps);
        if (weight_parts == 2) {
            load_outputs(weights + 2 * TILE_BYTES);
            ADD_SQUARE(_tile_dpbf16ps);
        }
        upper += row_parts * TILE_BYTES;
        lower += row_parts * TILE_BYTES;
        weights += 2 * weight_parts * TILE_BYTES;
    }
}

INLINE void store_square(float *to, int64_t stride) {
    _tile_stored(0, to, 4 * stride);
    _tile_stored(1, to + 16, 4 * stride);
    _tile_stored(2, to + 16 * stride, 4 * stride);
    _tile_stored(3, to + 16 * stride + 16, 4 * stride);
}

/* Multiply up to 32 rows with a panel and write what comes of it: whole squares at once, as stored tiles are slow to
   read again. The next panel comes from memory meanwhile, which takes as long. */
INLINE void multiply_bfloat16_tiles(const struct linear *l, int64_t b, int64_t end, int64_t p) {
    const int64_t steps = l->inputs_size / TILE_INPUTS, panel = 4 * steps * l->weight_parts * TILE_BYTES;
    const int64_t squares = 2 * ((end + TILE_ROWS - 1) / TILE_ROWS), each = panel / (squares * steps) / 64 * 64 + 64;
    const uint8_t *ahead = (const uint8_t *)l->weights + (p + 1) * panel + 2 * (b / TILE_ROWS) * steps * each;
    for (int64_t at = p * PANEL; at < (p + 1) * PANEL; at += 32, ahead += steps * each) {
        const int64_t rows = end - b, outputs = l->outputs - at;
        float *out = l->out + b * l->outputs + at;
        tiles_bfloat16(l, b, at, ahead, each);
        if (rows >= TILE_ROWS && outputs >= 32) {
            store_square(out, l->outputs);
            continue;
        }
        floats square[TILE_ROWS][2];
        store_square((float *)square, 32);
        for (int64_t r = 0; r < rows && r < TILE_ROWS; r++) {
            write_outputs(out + r * l->outputs, outputs, square[r][0]);
            write_outputs(out + r * l->outputs + LANE, outputs - LANE, square[r][1]);
        }
    }
}
DEFINE_LINEAR(linear_bfloat16_tiles, round_parts, multiply_bfloat16_tiles, 4, TILE_ROWS, CONFIGURE, RESTORE)
#endif
#endif

/* Whose instructions these loops are made of. */
const char *sert_instructions(void) {
#ifdef HAS_TILES
    return "AVX-512 with VNNI and BF16, AMX";
#elif defined(HAS_PAIRS) && defined(__AVX512VNNI__)
    return "AVX-512 with VNNI and BF16";
#elif LANE == 16 && defined(__AVX512VNNI__)
    return "AVX-512 with VNNI";
#elif LANE == 16
    return "AVX-512";
#elif LANE == 8 && defined(__AVXVNNI__)
    return "AVX2 with VNNI";
#elif LANE == 8
    return "AVX2";
#elif defined(__ARM_FEATURE_DOTPROD)
    return "NEON with dot products";
#elif defined(__ARM_NEON)
    return "NEON";
#else
    return "vectors of four numbers";
#endif
}

/* Tell whether there are tiles, and the system gives room for them; it is asked once. */
static int has_tiles(void) {
#ifdef HAS_TILES
    static int allowed = -1;
    if (allowed < 0) allowed = tiles_are_allowed();
    return allowed;
#else
    return 0;
#endif
}

/* What this processor can do here: 1 for int8 and int16 layers, 2 for bfloat16 layers, 4 for attention over bfloat16
   pairs, 8 for bfloat16 layers in tiles. */
int sert_abilities(void) {
    int found = 0;
#ifdef HAS_INTEGERS
    found += 1;
#endif
#ifdef HAS_PAIRS
    found += 2 + 4;
#endif
    return found + (has_tiles() ? 8 : 0);
}

#ifdef HAS_INTEGERS
void sert_linear_int8(const struct linear *l) {
#ifdef HAS_TILES
    if (has_tiles() && l->inputs_size % 64 == 0) {
        linear_int8_tiles(l);
        return;
    }
#endif
    linear_int8(l);
}
void sert_linear_int16(const struct linear *l) { linear_int16(l); }
#endif
#ifdef HAS_PAIRS
void sert_linear_bfloat16(const struct linear *l) { linear_bfloat16(l); }
#endif
#ifdef HAS_TILES
void sert_linear_bfloat16_tiles(const struct linear *l) { linear_bfloat16_tiles(l); }
#endif
