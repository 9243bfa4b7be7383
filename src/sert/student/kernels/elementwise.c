/* Loops over numbers one by one: GELU, and the search for the largest logits. */

#include "common.h"

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
