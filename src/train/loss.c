/* SPDX-License-Identifier: Apache-2.0
 * Losses and their gradients, one row of logits at a time.  Knows nothing of networks.
 *
 * Letters: z logits, p = softmax(z), y targets, t teacher's and s student's probabilities. */
#include "train/loss.h"

#include <math.h>

/* ln sum exp(z / temperature). */
static double log_sum_exp(const float *z, size_t classes, double temperature)
{
    double largest = -INFINITY, sum = 0.0;
    for (size_t k = 0; k < classes; k++)
        largest = (double)z[k] > largest ? (double)z[k] : largest;
    for (size_t k = 0; k < classes; k++)
        sum += exp(((double)z[k] - largest) / temperature);
    return largest / temperature + log(sum);
}

/* The target of class k of row i. */
static double target(const struct hr_loss *loss, const struct hr_loss_batch *b, size_t i, size_t k)
{
    const double y =
        b->targets ? (double)b->targets[i * b->classes + k] : (double)((size_t)b->labels[i] == k);
    return (1.0 - loss->smoothing) * y + loss->smoothing / (double)b->classes;
}

/* Of mixed targets, the mean of their classes' weights. */
static double row_weight(const struct hr_loss *loss, const struct hr_loss_batch *b, size_t i)
{
    double sum = 0.0;
    if (!loss->class_weights)
        return 1.0;
    for (size_t k = 0; b->targets && k < b->classes; k++)
        sum += (double)b->targets[i * b->classes + k] * (double)loss->class_weights[k];
    return b->targets ? sum : (double)loss->class_weights[b->labels[i]];
}

double hr_loss_mass(const struct hr_loss *loss, const struct hr_loss_batch *batch)
{
    double mass = 0.0;
    for (size_t i = 0; i < batch->n; i++)
        mass += row_weight(loss, batch, i);
    return mass;
}

/* sum of y (lse - z); its gradient p sum y - y. */
static double cross_entropy(const struct hr_loss *loss, const struct hr_loss_batch *b,
                            float *dlogits, double scale)
{
    const double weights = hr_loss_mass(loss, b);
    double total = 0.0;
    for (size_t i = 0; i < b->n; i++) {
        const float *const z = b->logits + i * b->classes;
        const double lse = log_sum_exp(z, b->classes, 1.0), w = row_weight(loss, b, i) / weights;
        double mass = 0.0;
        for (size_t k = 0; k < b->classes; k++) {
            const double y = target(loss, b, i, k);
            mass += y;
            total += y > 0.0 || y < 0.0 ? w * y * (lse - (double)z[k]) : 0.0;
        }
        for (size_t k = 0; dlogits && k < b->classes; k++)
            dlogits[i * b->classes + k] =
                (float)(scale * w * (mass * exp((double)z[k] - lse) - target(loss, b, i, k)));
    }
    return total;
}

/* max(z, 0) - z y + ln(1 + exp(-|z|)). */
static double multi_label(const struct hr_loss *loss, const struct hr_loss_batch *b, float *dlogits,
                          double scale)
{
    const double share = 1.0 / (double)(loss->sum_classes ? b->n : b->n * b->classes);
    double total = 0.0;
    for (size_t i = 0; i < b->n * b->classes; i++) {
        const double z = (double)b->logits[i], y = (double)b->targets[i];
        const double tail = exp(-fabs(z)), sigmoid = (z >= 0.0 ? 1.0 : tail) / (1.0 + tail);
        total += share * ((z > 0.0 ? z : 0.0) - z * y + log1p(tail));
        if (dlogits)
            dlogits[i] = (float)(scale * share * (sigmoid - y));
    }
    return total;
}

/* sum of t (ln t - ln s) T^2; its gradient by z: (s - t) T. */
static double kl(const struct hr_loss *loss, const struct hr_loss_batch *b, float *dlogits,
                 double scale)
{
    const double T = loss->temperature > 0.0 ? loss->temperature : 1.0, share = 1.0 / (double)b->n;
    double total = 0.0;
    for (size_t i = 0; i < b->n; i++) {
        const float *const z = b->logits + i * b->classes, *const u = b->teacher + i * b->classes;
        const double z_lse = log_sum_exp(z, b->classes, T), u_lse = log_sum_exp(u, b->classes, T);
        for (size_t k = 0; k < b->classes; k++) {
            const double ln_s = (double)z[k] / T - z_lse, ln_t = (double)u[k] / T - u_lse;
            const double t = exp(ln_t);
            total += t > 0.0 ? share * T * T * t * (ln_t - ln_s) : 0.0;
            if (dlogits)
                dlogits[i * b->classes + k] = (float)(scale * share * T * (exp(ln_s) - t));
        }
    }
    return total;
}

/* By a probability s: (ln((s+e)/(t+e)) + s/(s+e) - t/(s+e)) / 2; then through the softmax. */
static double dml_slope(double s, double t)
{
    const double e = 1e-12;
    return 0.5 * (log((s + e) / (t + e)) + (s - t) / (s + e));
}

static double dml(const struct hr_loss_batch *b, float *dlogits, double scale)
{
    const double e = 1e-12, share = 1.0 / (double)b->n;
    double total = 0.0;
    for (size_t i = 0; i < b->n; i++) {
        const float *const z = b->logits + i * b->classes, *const u = b->teacher + i * b->classes;
        const double z_lse = log_sum_exp(z, b->classes, 1.0);
        const double u_lse = log_sum_exp(u, b->classes, 1.0);
        double mean = 0.0;
        for (size_t k = 0; k < b->classes; k++) {
            const double s = exp((double)z[k] - z_lse), t = exp((double)u[k] - u_lse);
            total += share * 0.5 * (s - t) * log((s + e) / (t + e));
            mean += s * dml_slope(s, t);
        }
        for (size_t k = 0; dlogits && k < b->classes; k++) {
            const double s = exp((double)z[k] - z_lse), t = exp((double)u[k] - u_lse);
            dlogits[i * b->classes + k] = (float)(scale * share * s * (dml_slope(s, t) - mean));
        }
    }
    return total;
}

double hr_loss_value(const struct hr_loss *loss, const struct hr_loss_batch *batch, float *dlogits,
                     double scale)
{
    switch (loss->kind) {
    case HR_LOSS_CROSS_ENTROPY:
        return cross_entropy(loss, batch, dlogits, scale);
    case HR_LOSS_MULTI_LABEL:
        return multi_label(loss, batch, dlogits, scale);
    case HR_LOSS_KL:
        return kl(loss, batch, dlogits, scale);
    case HR_LOSS_DML:
        return dml(batch, dlogits, scale);
    }
    return NAN;
}
