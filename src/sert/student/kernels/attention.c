/* Attention of lanes over the prompt of their question and over what they said themselves, with one softmax.

   Shapes: Q questions, B lanes, L places of lanes, H key-value heads, G query heads a key-value head, P prompt
   positions, T decoding steps, D head width. */

#include "common.h"

/* What `sert_attend` is given. The caches of prompts and lanes are alike, in float32 or in bfloat16:
   keys (.., H, steps, D); values in float32 likewise, in bfloat16 by pairs of steps, (.., H, steps / 2, D, 2), with
   zeros where the second of a pair is missing. Prompts and lanes hold a multiple of sixteen steps. */
struct attention {
    const float *query;      /* (B, H * G, D), rows of lanes `query_stride` elements apart */
    const float *new_keys;   /* (B, H, D): of this step, rows of lanes `new_stride` elements apart */
    const float *new_values; /* (B, H, D) */
    const void *prompt_keys, *prompt_values; /* (Q, H, P, D) */
    const int64_t *prompt_lengths;           /* (Q) */
    void *lane_keys, *lane_values;           /* (L, H, T, D) */
    const int64_t *places;                   /* (B): where each lane's keys and values are */
    const int64_t *firsts;                   /* (Q + 1): the lanes of question q are those from firsts[q] on */
    float *out;                              /* (B, H * G, D) */
    int64_t query_stride, new_stride, questions, heads, groups, prompt_size, steps_size, filled, width;
    float scaling;
    int32_t is_bfloat16, threads;
};

#define LARGEST_WIDTH 256
/* Steps whose scores are written at a time, in bfloat16. */
#define STEPS 16

/* Turn scores into weights that are not normalised and return their sum. */
INLINE float exponentials(float *scores, int64_t count) {
    float largest = -INFINITY, sum = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t t = 0; t < count; t++) largest = scores[t] > largest ? scores[t] : largest;
#pragma omp simd reduction(+ : sum)
    for (int64_t t = 0; t < count; t++) {
        scores[t] = exp_negative(scores[t] - largest);
        sum += scores[t];
    }
    return sum;
}

/* ---- float32, on any processor ---- */

typedef float four_floats __attribute__((vector_size(16)));

INLINE float sum_of(floats values) {
    four_floats parts[LANE / 4];
    memcpy(parts, &values, sizeof values);
    for (int count = LANE / 8; count; count /= 2)
        for (int i = 0; i < count; i++) parts[i] += parts[i + count];
    return (parts[0][0] + parts[0][2]) + (parts[0][1] + parts[0][3]);
}

/* scores (count) = scaling * keys (count, width) . query (width) */
INLINE void score(const float *query, const float *keys, int64_t count, int64_t width, float scaling, float *scores) {
    int64_t t = 0;
    for (; t + 4 <= count; t += 4) {
        floats sums[4] = {{0}, {0}, {0}, {0}};
        for (int64_t d = 0; d < width; d += LANE) {
            const floats part = load(query + d);
            for (int i = 0; i < 4; i++) sums[i] += part * load(keys + (t + i) * width + d);
        }
        for (int i = 0; i < 4; i++) scores[t + i] = scaling * sum_of(sums[i]);
    }
    for (; t < count; t++) {
        floats sum = {0};
        for (int64_t d = 0; d < width; d += LANE) sum += load(query + d) * load(keys + t * width + d);
        scores[t] = scaling * sum_of(sum);
    }
}

/* sums (width) += weights (count) . values (count, width) */
INLINE void gather(const float *weights, const float *values, int64_t count, int64_t width, floats *sums) {
    for (int64_t t = 0; t < count; t++)
        for (int64_t d = 0; d < width; d += LANE) sums[d / LANE] += weights[t] * load(values + t * width + d);
}

INLINE void attend_float(const struct attention *a, int64_t question, int64_t head, int64_t width, float *scores) {
    const int64_t prompt = a->prompt_lengths[question], total = prompt + a->filled;
    const int64_t prompt_at = (question * a->heads + head) * a->prompt_size * width;
    const float *keys = (const float *)a->prompt_keys + prompt_at, *values = (const float *)a->prompt_values + prompt_at;
    for (int64_t lane = a->firsts[question]; lane < a->firsts[question + 1]; lane++) {
        const int64_t lane_at = (a->places[lane] * a->heads + head) * a->steps_size * width;
        float *lane_keys = (float *)a->lane_keys + lane_at, *lane_values = (float *)a->lane_values + lane_at;
        const int64_t new_at = lane * a->new_stride + head * width, last = (a->filled - 1) * width;
        memcpy(lane_keys + last, a->new_keys + new_at, width * sizeof(float));
        memcpy(lane_values + last, a->new_values + new_at, width * sizeof(float));
        for (int64_t g = 0; g < a->groups; g++) {
            const float *query = a->query + lane * a->query_stride + (head * a->groups + g) * width;
            score(query, keys, prompt, width, a->scaling, scores);
            score(query, lane_keys, a->filled, width, a->scaling, scores + prompt);
            const float sum = exponentials(scores, total);
            floats sums[LARGEST_WIDTH / LANE] = {{0}};
            gather(scores, values, prompt, width, sums);
            gather(scores + prompt, lane_values, a->filled, width, sums);
            for (int64_t d = 0; d < width; d += LANE) sums[d / LANE] /= sum;
            memcpy(a->out + ((lane * a->heads + head) * a->groups + g) * width, sums, width * sizeof(float));
        }
    }
}

/* ---- bfloat16, with products of pairs ---- */

#ifdef HAS_PAIRS
#define PAIRS (2 * LANE)
typedef uint16_t bfloat16;

INLINE __m512bh load_pairs(const bfloat16 *from) { return (__m512bh)_mm512_loadu_si512(from); }

INLINE __m512 add_across(__m512 a, __m512 b, int by_two) {
    if (by_two)
        return _mm512_add_ps((__m512)_mm512_unpacklo_pd((__m512d)a, (__m512d)b),
                             (__m512)_mm512_unpackhi_pd((__m512d)a, (__m512d)b));
    return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
}

INLINE __m512 add_quarters(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

/* scores = scaling * keys (count, width) . query (width), sixteen at a time; what is behind `count` is nonsense.
   Meanwhile the `next` keys are fetched. */
INLINE void score_pairs(const __m512bh *query, const bfloat16 *keys, const bfloat16 *next, int64_t count, int64_t width,
                        float scaling, float *scores) {
    for (int64_t t = 0; t < count; t += LANE) {
        __m512 four[4];
        for (int i = 0; i < 4; i++) {
            __m512 one[4];
            for (int j = 0; j < 4; j++) {
                const bfloat16 *key = keys + (t + 4 * i + j) * width;
                if (next) _mm_prefetch((const char *)(next + (t + 4 * i + j) * width), _MM_HINT_T0);
                one[j] = _mm512_setzero_ps();
                for (int64_t d = 0; d < width; d += PAIRS)
                    one[j] = _mm512_dpbf16_ps(one[j], query[d / PAIRS], load_pairs(key + d));
            }
            four[i] = add_across(add_across(one[0], one[1], 0), add_across(one[2], one[3], 0), 1);
        }
        const __m512 sums = add_quarters(add_quarters(four[0], four[1]), add_quarters(four[2], four[3]));
        _mm512_storeu_ps(scores + t, _mm512_mul_ps(sums, _mm512_set1_ps(scaling)));
    }
}

/* sums (width) += weights (count) . values (count / 2, width, 2), and fetch the `next` values. */
INLINE void gather_pairs(const float *weights, const bfloat16 *values, const bfloat16 *next, int64_t count,
                         int64_t width, __m512 *sums) {
    for (int64_t t = 0; t < count; t += LANE) {
        const __mmask16 there = count - t >= LANE ? 0xffff : (__mmask16)((1u << (count - t)) - 1);
        const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(there, weights + t));
        uint32_t pairs[LANE / 2];
        memcpy(pairs, &rounded, sizeof pairs);
        const int64_t found = count - t >= LANE ? LANE / 2 : (count - t + 1) / 2;
        for (int64_t i = 0; i < found; i++) {
            const __m512bh pair = (__m512bh)_mm512_set1_epi32((int)pairs[i]);
            const int64_t at = (t + 2 * i) * width;
            for (int64_t d = 0; d < width; d += LANE) {
                if (next) _mm_prefetch((const char *)(next + at + 2 * d), _MM_HINT_T0);
                sums[d / LANE] = _mm512_dpbf16_ps(sums[d / LANE], pair, load_pairs(values + at + 2 * d));
            }
        }
    }
}

/* Append a step's key and value; a value whose step is the first of its pair clears the second. */
INLINE void append_pairs(const float *key, const float *value, int64_t step, int64_t width, bfloat16 *keys,
                         bfloat16 *values) {
    bfloat16 *pair = values + step / 2 * 2 * width;
    for (int64_t d = 0; d < width; d += LANE) {
        const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(key + d));
        memcpy(keys + step * width + d, &rounded, sizeof rounded);
        __m512i both = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(value + d)));
        if (step % 2) {
            const __m512i first = _mm512_and_si512(_mm512_loadu_si512(pair + 2 * d), _mm512_set1_epi32(0xffff));
            both = _mm512_or_si512(first, _mm512_slli_epi32(both, 16));
        }
        _mm512_storeu_si512(pair + 2 * d, both);
    }
}

/* Fetch a row of what this step brought, which other threads wrote. */
INLINE void fetch(const float *row, int64_t width) {
    for (int64_t d = 0; d < width; d += LANE) _mm_prefetch((const char *)(row + d), _MM_HINT_T0);
}

INLINE void attend_pairs(const struct attention *a, int64_t question, int64_t head, int64_t width, float *scores) {
    const int64_t prompt = a->prompt_lengths[question], total = prompt + a->filled;
    const int64_t prompt_at = (question * a->heads + head) * a->prompt_size * width;
    const int64_t first = a->firsts[question], end = a->firsts[question + 1], steps_size = a->steps_size * width;
    bfloat16 *all_keys = (bfloat16 *)a->lane_keys, *all_values = (bfloat16 *)a->lane_values;
    const bfloat16 *keys = (const bfloat16 *)a->prompt_keys + prompt_at;
    const bfloat16 *values = (const bfloat16 *)a->prompt_values + prompt_at;
    for (int64_t lane = first; lane < end; lane++) {
        const int64_t lane_at = (a->places[lane] * a->heads + head) * steps_size;
        bfloat16 *lane_keys = all_keys + lane_at, *lane_values = all_values + lane_at;
        /* What comes next: the same head of the next lane, or the next head of the first one. */
        const int is_last = lane + 1 == end, is_more = !is_last || head + 1 < a->heads;
        const int64_t next_at = (a->places[is_last ? first : lane + 1] * a->heads + head + is_last) * steps_size;
        const bfloat16 *next_keys = is_more ? all_keys + next_at : NULL;
        const bfloat16 *next_values = is_more ? all_values + next_at : NULL;
        const int64_t prompt_after = is_last && is_more ? a->prompt_size * width : 0;
        const bfloat16 *next_prompt = prompt_after ? keys + prompt_after : NULL;
        const bfloat16 *next_prompt_values = prompt_after ? values + prompt_after : NULL;
        const int64_t new_at = lane * a->new_stride + head * width, query_width = a->groups * width;
        const float *queries = a->query + lane * a->query_stride + head * query_width;
        if (!is_last) {
            fetch(a->new_keys + new_at + a->new_stride, width);
            fetch(a->new_values + new_at + a->new_stride, width);
            fetch(queries + a->query_stride, query_width);
        }
        append_pairs(a->new_keys + new_at, a->new_values + new_at, a->filled - 1, width, lane_keys, lane_values);
        for (int64_t g = 0; g < a->groups; g++) {
            __m512bh query[LARGEST_WIDTH / PAIRS];
            const float *from = queries + g * width;
            for (int64_t d = 0; d < width; d += PAIRS)
                query[d / PAIRS] = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + d + LANE), _mm512_loadu_ps(from + d));
            score_pairs(query, keys, next_prompt, prompt, width, a->scaling, scores);
            score_pairs(query, lane_keys, next_keys, a->filled, width, a->scaling, scores + prompt);
            const __m512 sum = _mm512_set1_ps(exponentials(scores, total));
            __m512 sums[LARGEST_WIDTH / LANE] = {{0}};
            gather_pairs(scores, values, next_prompt_values, prompt, width, sums);
            gather_pairs(scores + prompt, lane_values, next_values, a->filled, width, sums);
            float *out = a->out + ((lane * a->heads + head) * a->groups + g) * width;
            for (int64_t d = 0; d < width; d += LANE)
                _mm512_storeu_ps(out + d, _mm512_div_ps(sums[d / LANE], sum));
        }
    }
}
#endif

#ifdef _OPENMP
extern int omp_get_thread_num(void), omp_get_num_threads(void);
#else
static int omp_get_thread_num(void) { return 0; }
static int omp_get_num_threads(void) { return 1; }
#endif

/* Append this step's keys and values to the lanes' (`filled` counts them) and attend. `scratch` (threads, P + T + 16). */
void sert_attend(const struct attention *a, float *scratch) {
    const int64_t lanes = a->firsts[a->questions];
#pragma omp parallel num_threads(a->threads)
    {
        const int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
        float *scores = scratch + thread * (a->prompt_size + a->steps_size + STEPS);
        for (int64_t task = 0; task < a->questions * a->heads; task++) {
            const int64_t question = task / a->heads, head = task % a->heads, first = a->firsts[question];
            /* Each thread takes what begins in its share of the lanes. */
            const int64_t before = first * a->heads + head * (a->firsts[question + 1] - first);
            if (before * threads / (lanes * a->heads) != thread || first == a->firsts[question + 1]) continue;
            /* The usual width is known when this is compiled. */
#ifdef HAS_PAIRS
            if (a->is_bfloat16 && a->width == 64)
                attend_pairs(a, question, head, 64, scores);
            else if (a->is_bfloat16)
                attend_pairs(a, question, head, a->width, scores);
            else
#endif
                if (a->width == 64)
                attend_float(a, question, head, 64, scores);
            else
                attend_float(a, question, head, a->width, scores);
        }
    }
}
