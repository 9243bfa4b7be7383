/* Runs the decoding engine's loops on numbers of its own and prints what comes of them: a test compiles it for a
   processor that it does not run on itself, runs it in an emulator, and compares. */

#include <stdio.h>

#include "elementwise.c"
#include "attention.c"
#include "products.c"

#define ROWS 13
#define INPUTS 144 /* two blocks of 64 and a part of one */
#define FILLED_UP 128
#define HEADS 2
#define WIDTH 32

static uint32_t state;

/* A number between -1 and 1, the same everywhere. */
static float number(void) {
    state = state * 1664525u + 1013904223u;
    return (float)(int32_t)(state >> 8) / 8388608.0f - 1.0f;
}

static float *numbers(uint32_t seed, int count) {
    static float all[1 << 17];
    static int used = 0;
    float *some = all + used;
    state = seed;
    for (used += count; count; count--) some[count - 1] = number();
    return some;
}

static void print(const char *name, const float *values, int count) {
    printf("%s", name);
    for (int i = 0; i < count; i++) printf(" %.9g", values[i]);
    printf("\n");
}

int main(void) {
    static float out[ROWS * FILLED_UP], log_totals[ROWS];
    float *inputs = numbers(1, ROWS * INPUTS);

    sert_gelu(inputs, INPUTS, out, 2);
    print("gelu", out, INPUTS);

    sert_block_maxima(inputs, ROWS, INPUTS, 50, out, log_totals, 2);
    print("maxima", out, ROWS * (INPUTS / 50));
    print("log-totals", log_totals, ROWS);

    static const int64_t lengths[2] = {7, 3}, places[6] = {1, 0, 2, 5, 4, 3}, firsts[3] = {0, 2, 6};
    static float scratch[2 * (8 + 16 + STEPS)];
    const struct attention a = {
        .query = numbers(2, 6 * 2 * HEADS * WIDTH), .query_stride = 2 * HEADS * WIDTH, .groups = 2,
        .new_keys = numbers(3, 6 * HEADS * WIDTH), .new_values = numbers(4, 6 * HEADS * WIDTH),
        .new_stride = HEADS * WIDTH,
        .prompt_keys = numbers(5, 2 * HEADS * 8 * WIDTH), .prompt_values = numbers(6, 2 * HEADS * 8 * WIDTH),
        .lane_keys = numbers(7, 6 * HEADS * 16 * WIDTH), .lane_values = numbers(8, 6 * HEADS * 16 * WIDTH),
        .prompt_lengths = lengths, .places = places, .firsts = firsts, .out = out, .questions = 2, .heads = HEADS,
        .prompt_size = 8, .steps_size = 16, .filled = 6, .width = WIDTH, .scaling = 0.5f, .threads = 2};
    sert_attend(&a, scratch);
    print("attention", out, 6 * 2 * HEADS * WIDTH);

#ifdef HAS_INTEGERS
    static int16_t weights[FILLED_UP * INPUTS], rounded[(ROWS + TILE_ROWS) * INPUTS];
    static int32_t zeros[FILLED_UP];
    static float steps[(ROWS + TILE_ROWS) * 3];
    int8_t *small_weights = (int8_t *)weights;
    struct linear l = {
        .inputs = inputs, .weights = weights, .scales = numbers(9, 3 * FILLED_UP), .bias = numbers(10, FILLED_UP),
        .zeros = zeros, .rounded = rounded, .steps = steps, .out = out,
        .rows = ROWS, .inputs_size = INPUTS, .outputs = 100, .threads = 2};
    inputs[INPUTS + 5] = 1e6f;
    for (int i = 0; i < FILLED_UP * INPUTS; i++) weights[i] = (int16_t)(5792 * number());
    sert_linear_int16(&l);
    print("int16", out, ROWS * 100);

    for (int i = 0; i < FILLED_UP * INPUTS; i++) {
        small_weights[i] = (int8_t)(127 * number());
        zeros[i / (PANEL * INPUTS) * PANEL + i / 4 % PANEL] += 128 * small_weights[i];
    }
    sert_linear_int8(&l);
    print("int8", out, ROWS * 100);
#endif
    return 0;
}
