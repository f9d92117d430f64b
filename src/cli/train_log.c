/* SPDX-License-Identifier: Apache-2.0
 * Lines of a training run.  Knows their form, not the run. */
#include "cli/train_log.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "base/text.h"

const char *hr_train_log_rate_name(const char *schedule, bool warms_up)
{
    static const struct {
        const char *ours, *theirs;
    } names[] = {
        { "constant", "ConstLR" },
        { "linear", "PolynomialDecay" },
        { "cosine-fixmatch", "LambdaDecay" },
        { "cosine", "CosineAnnealingDecay" },
        { "cyclic", "CyclicLR" },
        { "step", "StepDecay" },
        { "piecewise", "PiecewiseDecay" },
        { "multi-step", "MultiStepDecay" },
        { "one-cycle", "OneCycleLR" },
        { "plateau", "ReduceOnPlateau" },
    };
    for (size_t i = 0; !warms_up && i < HR_COUNT(names); i++)
        if (hr_text_starts(schedule, names[i].ours))
            return names[i].theirs;
    return "LinearWarmup";
}

bool hr_train_log_open(struct hr_train_log *log)
{
    struct hr_text path = { 0 };
    if (!log->paddle)
        return true;
    hr_text_printf(&path, "%s/train.log", log->folder);
    log->file = fopen(hr_text_str(&path), "ab");
    hr_text_fini(&path);
    return log->file != NULL;
}

void hr_train_log_close(struct hr_train_log *log)
{
    hr_progress_end(&log->progress);
    if (log->file)
        (void)fclose(log->file);
    log->file = NULL;
}

/* ---- PaddleClas's lines ---- */

HR_PRINTF(2, 3) static void say(const struct hr_train_log *log, const char *format, ...)
{
    FILE *const to[] = { stdout, log->file };
    char now[32] = "";
    const time_t seconds = time(NULL);
    struct tm local;
    if (localtime_r(&seconds, &local))
        strftime(now, sizeof now, "%Y/%m/%d %H:%M:%S", &local);
    for (size_t i = 0; i < HR_COUNT(to) && to[i]; i++) {
        va_list arguments;
        va_start(arguments, format);
        fprintf(to[i], "[%s] ppcls INFO: ", now);
        vfprintf(to[i], format, arguments);
        fputc('\n', to[i]);
        fflush(to[i]);
        va_end(arguments);
    }
}

/* As Python prints a span of time: [D day[s], ]H:MM:SS. */
static void write_span(char *out, size_t size, double seconds)
{
    const uint64_t s = seconds > 0.0 ? (uint64_t)seconds : 0, days = s / 86400;
    const int at = days == 0 ? 0
                             : snprintf(out, size, "%llu day%s, ", (unsigned long long)days,
                                        days == 1 ? "" : "s");
    snprintf(out + at, size - (size_t)at, "%llu:%02llu:%02llu", (unsigned long long)(s / 3600 % 24),
             (unsigned long long)(s / 60 % 60), (unsigned long long)(s % 60));
}

static void write_loss(char out[96], const struct hrnet_train_progress *p, double loss)
{
    snprintf(out, 96, "%s: %.5f, loss: %.5f", p->several ? "MultiLabelLoss" : "CELoss", loss, loss);
}

/* Of training; metrics come first there, and last in evaluation. */
static void write_metrics(char out[192], const struct hrnet_train_progress *p)
{
    char loss[96];
    write_loss(loss, p, p->loss);
    if (p->several)
        snprintf(out, 192, "AccuracyScore: %.5f, %s", p->accuracy, loss);
    else
        snprintf(out, 192, "top1: %.5f, top5: %.5f, %s", p->accuracy, p->accuracy5, loss);
}

static void say_step(struct hr_train_log *log, const struct hrnet_train_progress *p)
{
    const double batch = log->seconds / (double)log->steps;
    const double left = (double)((p->epochs - p->epoch + 1) * p->steps - (p->step - 1)) * batch;
    char eta[64], metrics[192];
    write_span(eta, sizeof eta, left);
    write_metrics(metrics, p);
    say(log,
        "[Train][Epoch %llu/%llu][Iter: %llu/%llu]lr(%s): %.8f, %s, batch_cost: %.5fs, "
        "reader_cost: %.5f, ips: %.5f samples/s, eta: %s",
        (unsigned long long)p->epoch, (unsigned long long)p->epochs,
        (unsigned long long)p->step - 1, (unsigned long long)p->steps, log->rate_name, p->rate,
        metrics, batch, log->waited / (double)log->steps,
        batch > 0.0 ? (double)p->step_pictures / batch : 0.0, eta);
    log->seconds = log->waited = 0.0;
    log->steps = 0;
}

static void say_validation(const struct hr_train_log *log, const struct hrnet_train_progress *p)
{
    const unsigned long long epoch = p->epoch;
    char loss[96];
    write_loss(loss, p, p->validation_loss);
    if (p->several)
        say(log, "[Eval][Epoch %llu][Avg]%s, MultiLabelMAP: %.5f, AccuracyScore: %.5f", epoch, loss,
            p->map, p->top1);
    else
        say(log, "[Eval][Epoch %llu][Avg]%s, top1: %.5f, top5: %.5f", epoch, loss, p->top1,
            p->top5);
    if (p->best)
        say(log, "Already save model in %s/best", log->folder);
    say(log, "[Eval][Epoch %llu][best metric: %.16g]", epoch, p->best_top1);
}

static void say_epoch(const struct hr_train_log *log, const struct hrnet_train_progress *p)
{
    char metrics[192];
    write_metrics(metrics, p);
    say(log, "[Train][Epoch %llu/%llu][Avg]%s", (unsigned long long)p->epoch,
        (unsigned long long)p->epochs, metrics);
    if (p->validated)
        say_validation(log, p);
    say(log, "Already save model in %s/latest", log->folder);
}

/* ---- Ours ---- */

static void print_shares(const struct hrnet_train_progress *p, double map, double top1, double top5,
                         bool best)
{
    if (p->several)
        printf(", mAP %.2f %%, all labels right %.2f %%", map * 100.0, top1 * 100.0);
    else
        printf(", top-1 %.2f %%, top-5 %.2f %%", top1 * 100.0, top5 * 100.0);
    fputs(best ? " (best)" : "", stdout);
}

static void print_epoch(const struct hrnet_train_progress *p)
{
    printf("epoch %llu/%llu: rate %.6g, loss %.5f, accuracy %.2f %%", (unsigned long long)p->epoch,
           (unsigned long long)p->epochs, p->rate, p->loss, p->accuracy * 100.0);
    if (p->validated) {
        printf(", validation loss %.5f", p->validation_loss);
        print_shares(p, p->map, p->top1, p->top5, p->best);
    }
    if (p->averaged) {
        printf(", averaged: loss %.5f", p->average_loss);
        print_shares(p, p->average_map, p->average_top1, p->average_top5, p->average_best);
    }
    printf("\n");
    fflush(stdout);
}

/* ---- Both ---- */

void hr_train_log_step(struct hr_train_log *log, const struct hrnet_train_progress *p)
{
    log->seconds += p->step_seconds;
    log->waited += p->load_seconds;
    log->steps++;
    if (log->paddle && (p->step - 1) % log->every == 0) {
        hr_progress_hide(&log->progress);
        say_step(log, p);
    }
    snprintf(log->progress.note, sizeof log->progress.note,
             "epoch %llu: loss %.4f, accuracy %.1f %%, rate %.3g", (unsigned long long)p->epoch,
             p->loss, p->accuracy * 100.0, p->rate);
    const uint64_t done = (p->epoch - 1) * p->steps + p->step;
    if (log->progress.first == 0) /* a run that goes on has not done the steps before */
        log->progress.first = done;
    hr_progress_show(&log->progress, done, p->epochs * p->steps);
}

void hr_train_log_epoch(struct hr_train_log *log, const struct hrnet_train_progress *p)
{
    hr_progress_hide(&log->progress);
    if (log->paddle)
        say_epoch(log, p);
    else
        print_epoch(p);
}
