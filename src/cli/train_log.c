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

static void say_step(struct hr_train_log *log, const struct hrnet_train_progress *p)
{
    const double batch = log->seconds / (double)log->steps;
    const double left = (double)((p->epochs - p->epoch + 1) * p->steps - (p->step - 1)) * batch;
    char eta[64];
    write_span(eta, sizeof eta, left);
    say(log,
        "[Train][Epoch %llu/%llu][Iter: %llu/%llu]lr(%s): %.8f, top1: %.5f, top5: %.5f, CELoss: "
        "%.5f, loss: %.5f, batch_cost: %.5fs, reader_cost: %.5f, ips: %.5f samples/s, eta: %s",
        (unsigned long long)p->epoch, (unsigned long long)p->epochs,
        (unsigned long long)p->step - 1, (unsigned long long)p->steps, log->rate_name, p->rate,
        p->accuracy, p->accuracy5, p->loss, p->loss, batch, log->waited / (double)log->steps,
        batch > 0.0 ? (double)p->step_pictures / batch : 0.0, eta);
    log->seconds = log->waited = 0.0;
    log->steps = 0;
}

static void say_epoch(const struct hr_train_log *log, const struct hrnet_train_progress *p)
{
    say(log, "[Train][Epoch %llu/%llu][Avg]top1: %.5f, top5: %.5f, CELoss: %.5f, loss: %.5f",
        (unsigned long long)p->epoch, (unsigned long long)p->epochs, p->accuracy, p->accuracy5,
        p->loss, p->loss);
    if (p->validated) {
        say(log, "[Eval][Epoch %llu][Avg]CELoss: %.5f, loss: %.5f, top1: %.5f, top5: %.5f",
            (unsigned long long)p->epoch, p->validation_loss, p->validation_loss, p->top1, p->top5);
        if (p->best)
            say(log, "Already save model in %s/best", log->folder);
        say(log, "[Eval][Epoch %llu][best metric: %.16g]", (unsigned long long)p->epoch,
            p->best_top1);
    }
    say(log, "Already save model in %s/latest", log->folder);
}

/* ---- Ours ---- */

static void print_epoch(const struct hrnet_train_progress *p)
{
    printf("epoch %llu/%llu: rate %.6g, loss %.5f, accuracy %.2f %%", (unsigned long long)p->epoch,
           (unsigned long long)p->epochs, p->rate, p->loss, p->accuracy * 100.0);
    if (p->validated)
        printf(", validation loss %.5f, top-1 %.2f %%, top-5 %.2f %%%s", p->validation_loss,
               p->top1 * 100.0, p->top5 * 100.0, p->best ? " (best)" : "");
    if (p->averaged)
        printf(", averaged: loss %.5f, top-1 %.2f %%, top-5 %.2f %%%s", p->average_loss,
               p->average_top1 * 100.0, p->average_top5 * 100.0, p->average_best ? " (best)" : "");
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
