/* Loops of the decoding engine for processors, compiled on the machine that runs them (`kernels.py` says when).

   Shapes, row-major: Q questions, S lanes a question, B = Q * S lanes, H key-value heads, G query heads a key-value
   head, P prompt positions, T decoding steps, D head width, I inputs, O outputs, V vocabulary. Nothing here checks its
   arguments; the Python side does. Threads share no sums, so results do not depend on their number. */

#include <math.h>
#include <stdint.h>
#include <string.h>

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

/* GELU's tanh form of `count` numbers: x * sigmoid(2 u) with u = sqrt(2 / pi) * (x + 0.044715 x^3). */
void sert_gelu(const float *values, int64_t count, float *out, int threads) {
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (int64_t i = 0; i < count; i++) {
        const float x = values[i];
        const float doubled = 1.5957691216f * (x + 0.044715f * x * x * x);
        const float e = exp_negative(-fabsf(doubled));
        out[i] = x * (doubled < 0 ? e : 1.0f) / (1.0f + e);
    }
}

/* Round each row (I) to int8 steps of its largest magnitude: `rounded` (B, I), `steps` (B). */
void sert_quantize_rows(const float *values, int64_t rows, int64_t inputs, float tiny, int8_t *rounded, float *steps,
                        int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t b = 0; b < rows; b++) {
        const float *row = values + b * inputs;
        int8_t *out = rounded + b * inputs;
        float largest = 0;
#pragma omp simd reduction(max : largest)
        for (int64_t i = 0; i < inputs; i++) {
            const float magnitude = fabsf(row[i]);
            largest = magnitude > largest ? magnitude : largest;
        }
        float step = largest / 127.0f;
        step = step < tiny ? tiny : step;
        steps[b] = step;
#pragma omp simd
        for (int64_t i = 0; i < inputs; i++) out[i] = (int8_t)(int32_t)nearbyintf(row[i] / step);
    }
}

/* sums (B, O) times the step of the row, times the scale of the column, plus the bias of the column if there is one. */
void sert_scale_sums(const int32_t *sums, int64_t rows, int64_t outputs, const float *steps, const float *scales,
                     const float *bias, float *out, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t b = 0; b < rows; b++) {
        const int32_t *row = sums + b * outputs;
        float *to = out + b * outputs;
        const float step = steps[b];
        if (bias) {
#pragma omp simd
            for (int64_t o = 0; o < outputs; o++) to[o] = (float)row[o] * step * scales[o] + bias[o];
        } else {
#pragma omp simd
            for (int64_t o = 0; o < outputs; o++) to[o] = (float)row[o] * step * scales[o];
        }
    }
}

/* The largest of each whole block of a row (V): `maxima` (B, V / block); and the row's log-sum-exp: `log_totals` (B). */
void sert_block_maxima(const float *logits, int64_t rows, int64_t vocabulary, int64_t block, float *maxima,
                       float *log_totals, int threads) {
    const int64_t blocks = vocabulary / block;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t b = 0; b < rows; b++) {
        const float *row = logits + b * vocabulary;
        float largest = -INFINITY;
        double total = 0;
        for (int64_t start = 0, n = 0; start < vocabulary; start += block, n++) {
            const int64_t length = vocabulary - start < block ? vocabulary - start : block;
            float top = -INFINITY, sum = 0;
#pragma omp simd reduction(max : top)
            for (int64_t v = 0; v < length; v++) top = row[start + v] > top ? row[start + v] : top;
            if (n < blocks) maxima[b * blocks + n] = top;
            if (top == -INFINITY) continue;
            if (top > largest) {
                total *= exp((double)largest - (double)top);
                largest = top;
            }
#pragma omp simd reduction(+ : sum)
            for (int64_t v = 0; v < length; v++) sum += exp_negative(row[start + v] - largest);
            total += sum;
        }
        log_totals[b] = (float)(log(total) + (double)largest);
    }
}

/* Sixteen numbers at a time; compilers map them to what the processor has. */
#define LANE 16
#define INLINE static inline __attribute__((always_inline))
typedef float floats __attribute__((vector_size(4 * LANE)));
typedef float half_floats __attribute__((vector_size(2 * LANE)));
typedef float quarter_floats __attribute__((vector_size(LANE)));
typedef uint32_t words __attribute__((vector_size(4 * LANE)));
typedef uint16_t halves __attribute__((vector_size(2 * LANE)));

/* Sixteen elements of a float or bfloat16 array. */
INLINE floats load(const void *from, int64_t at, int is_bfloat16) {
    floats values;
    if (is_bfloat16) {
        halves read;
        memcpy(&read, (const uint16_t *)from + at, sizeof read);
        const words bits = __builtin_convertvector(read, words) << 16;
        memcpy(&values, &bits, sizeof values);
    } else {
        memcpy(&values, (const float *)from + at, sizeof values);
    }
    return values;
}

INLINE float sum_of(floats values) {
    half_floats halves_of[2];
    memcpy(halves_of, &values, sizeof values);
    const half_floats eight = halves_of[0] + halves_of[1];
    quarter_floats quarters_of[2];
    memcpy(quarters_of, &eight, sizeof eight);
    const quarter_floats four = quarters_of[0] + quarters_of[1];
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* scores (count) = scaling * keys (count, width) . query (width) */
INLINE void score(const float *query, const void *keys, int64_t at, int is_bfloat16, int64_t count, int64_t width,
                  float scaling, float *scores) {
    int64_t t = 0;
    for (; t + 4 <= count; t += 4) {
        floats sums[4] = {{0}, {0}, {0}, {0}};
        for (int64_t d = 0; d < width; d += LANE) {
            const floats part = load(query, d, 0);
            for (int i = 0; i < 4; i++) sums[i] += part * load(keys, at + (t + i) * width + d, is_bfloat16);
        }
        for (int i = 0; i < 4; i++) scores[t + i] = scaling * sum_of(sums[i]);
    }
    for (; t < count; t++) {
        floats sum = {0};
        for (int64_t d = 0; d < width; d += LANE)
            sum += load(query, d, 0) * load(keys, at + t * width + d, is_bfloat16);
        scores[t] = scaling * sum_of(sum);
    }
}

/* sums (width) += weights (count) . values (count, width) */
INLINE void gather(const float *weights, const void *values, int64_t at, int is_bfloat16, int64_t count, int64_t width,
                   floats *sums) {
    for (int64_t t = 0; t < count; t++)
        for (int64_t d = 0; d < width; d += LANE)
            sums[d / LANE] += weights[t] * load(values, at + t * width + d, is_bfloat16);
}

/* What `sert_attend` is given. Strides are in elements. */
struct attention {
    const float *query;          /* (B, H * G, D), rows of lanes `query_stride` apart */
    const float *prompt_keys;    /* (Q, H, P, D) */
    const float *prompt_values;  /* (Q, H, P, D) */
    const int64_t *prompt_lengths; /* (Q) */
    const void *lane_keys;       /* (B, H, T, D), float or bfloat16 */
    const void *lane_values;     /* (B, H, T, D) */
    float *out;                  /* (B, H * G, D) */
    int64_t query_stride, questions, slots, heads, groups, prompt_size, steps_size, filled, width;
    float scaling;
    int32_t is_bfloat16, threads;
};

#define LARGEST_WIDTH 256

INLINE void attend_one(const struct attention *a, int64_t question, int64_t head, int64_t width, int is_bfloat16,
                       float *scores) {
    const int64_t prompt = a->prompt_lengths[question], total = prompt + a->filled;
    const int64_t prompt_at = (question * a->heads + head) * a->prompt_size * width;
    for (int64_t lane = question * a->slots; lane < (question + 1) * a->slots; lane++) {
        const int64_t lane_at = (lane * a->heads + head) * a->steps_size * width;
        for (int64_t g = 0; g < a->groups; g++) {
            const float *query = a->query + lane * a->query_stride + (head * a->groups + g) * width;
            score(query, a->prompt_keys, prompt_at, 0, prompt, width, a->scaling, scores);
            score(query, a->lane_keys, lane_at, is_bfloat16, a->filled, width, a->scaling, scores + prompt);
            float largest = -INFINITY, sum = 0;
#pragma omp simd reduction(max : largest)
            for (int64_t t = 0; t < total; t++) largest = scores[t] > largest ? scores[t] : largest;
#pragma omp simd reduction(+ : sum)
            for (int64_t t = 0; t < total; t++) {
                scores[t] = exp_negative(scores[t] - largest);
                sum += scores[t];
            }
            floats sums[LARGEST_WIDTH / LANE] = {{0}};
            gather(scores, a->prompt_values, prompt_at, 0, prompt, width, sums);
            gather(scores + prompt, a->lane_values, lane_at, is_bfloat16, a->filled, width, sums);
            for (int64_t d = 0; d < width; d += LANE) sums[d / LANE] /= sum;
            memcpy(a->out + ((lane * a->heads + head) * a->groups + g) * width, sums, width * sizeof(float));
        }
    }
}

/* One softmax over the prompt of the question and what the lane said itself. `scratch` (threads, P + T). */
void sert_attend(const struct attention *a, float *scratch) {
    const int64_t tasks = a->questions * a->heads;
#pragma omp parallel for num_threads(a->threads) schedule(static)
    for (int64_t task = 0; task < tasks; task++) {
#ifdef _OPENMP
        extern int omp_get_thread_num(void);
        float *scores = scratch + omp_get_thread_num() * (a->prompt_size + a->steps_size);
#else
        float *scores = scratch;
#endif
        const int64_t question = task / a->heads, head = task % a->heads;
        /* The usual widths are known when this is compiled. */
        if (a->width == 64 && a->is_bfloat16)
            attend_one(a, question, head, 64, 1, scores);
        else if (a->width == 64)
            attend_one(a, question, head, 64, 0, scores);
        else
            attend_one(a, question, head, a->width, a->is_bfloat16, scores);
    }
}
