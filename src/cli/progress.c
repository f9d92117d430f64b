/* SPDX-License-Identifier: Apache-2.0
 * Progress for people; never on stdout, never often enough to slow the work. */
#include "cli/progress.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"

#define BAR_EVERY_NS   100000000ull
#define PLAIN_EVERY_NS 5000000000ull
#define BAR_CELLS      24

void hr_progress_start(struct hr_progress *p, const char *word, const char *what, const char *unit)
{
    static const char *const words[] = { "none", "bar", "plain", "json" };
    *p = (struct hr_progress){ .what = what, .unit = unit, .start_ns = hr_os_now_ns() };
    p->shown_ns = p->start_ns;
    const char *terminal = getenv("TERM");
    p->kind = isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0)
                  ? HR_PROGRESS_BAR
                  : HR_PROGRESS_PLAIN;
    for (int i = 0; word && i < 4; i++)
        if (strcmp(word, words[i]) == 0)
            p->kind = (enum hr_progress_kind)i;
}

static void print_amount(const struct hr_progress *p, uint64_t amount)
{
    if (strcmp(p->unit, "B") != 0)
        fprintf(stderr, "%llu", (unsigned long long)amount);
    else
        fprintf(stderr, "%.1f MB", (double)amount / 1e6);
}

static void print_left(double seconds)
{
    const unsigned s = seconds < 359999 ? (unsigned)(seconds + 0.5) : 359999;
    if (s >= 3600)
        fprintf(stderr, "%u:%02u:%02u left", s / 3600, s / 60 % 60, s % 60);
    else
        fprintf(stderr, "%u:%02u left", s / 60, s % 60);
}

static void print_bar(uint64_t done, uint64_t total)
{
    const uint64_t cells = done >= total ? BAR_CELLS : done * BAR_CELLS / total;
    fputc('[', stderr);
    for (uint64_t i = 0; i < BAR_CELLS; i++)
        fputc(i < cells ? '=' : i == cells ? '>' : ' ', stderr);
    fputs("] ", stderr);
}

static void print_json(const struct hr_progress *p, uint64_t done, uint64_t total, double rate)
{
    fprintf(stderr, "{\"progress\":\"%s\",\"done\":%llu,\"total\":%llu,\"per_second\":%.3f}\n",
            p->what, (unsigned long long)done, (unsigned long long)total, rate);
}

void hr_progress_show(struct hr_progress *p, uint64_t done, uint64_t total)
{
    const uint64_t now = hr_os_now_ns();
    const uint64_t every = p->kind == HR_PROGRESS_BAR ? BAR_EVERY_NS : PLAIN_EVERY_NS;
    if (p->kind == HR_PROGRESS_NONE || now - p->shown_ns < every)
        return;
    const double elapsed = (double)(now - p->start_ns) / 1e9;
    const double rate = elapsed > 0 ? (double)(done - p->first) / elapsed : 0;
    p->shown_ns = now;
    p->shown = true;
    if (p->kind == HR_PROGRESS_JSON) {
        print_json(p, done, total, rate);
        return;
    }
    fprintf(stderr, "%s%s ", p->kind == HR_PROGRESS_BAR ? "\r\033[K" : "hrnet: ", p->what);
    if (p->kind == HR_PROGRESS_BAR && total)
        print_bar(done, total);
    print_amount(p, done);
    if (total) {
        fputs(" of ", stderr);
        print_amount(p, total);
    }
    if (strcmp(p->unit, "B") == 0)
        fprintf(stderr, ", %.1f MB/s", rate / 1e6);
    else
        fprintf(stderr, " %s, %.1f/s", p->unit, rate);
    if (total > done && rate > 0) {
        fputs(", ", stderr);
        print_left((double)(total - done) / rate);
    }
    if (p->note[0])
        fprintf(stderr, ", %s", p->note);
    if (p->kind == HR_PROGRESS_PLAIN)
        fputc('\n', stderr);
    fflush(stderr);
}

void hr_progress_hide(struct hr_progress *p)
{
    if (p->kind != HR_PROGRESS_BAR || !p->shown)
        return;
    fputs("\r\033[K", stderr);
    p->shown = false;
    p->shown_ns = 0; /* drawn again at once */
}

void hr_progress_end(struct hr_progress *p)
{
    if (p->kind == HR_PROGRESS_BAR && p->shown)
        fputs("\r\033[K", stderr);
    p->kind = HR_PROGRESS_NONE;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    interrupted = 1;
    signal(number, SIG_DFL);
}

void hr_interrupt_watch(void)
{
    signal(SIGINT, on_interrupt);
}

void hr_terminate_watch(void)
{
    signal(SIGTERM, on_interrupt);
}

bool hr_interrupted(void)
{
    return interrupted;
}
