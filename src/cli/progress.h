/* SPDX-License-Identifier: Apache-2.0
 * Long work: one line of progress on stderr, with rate and time left (a bar on a terminal, else a
 * plain line now and then), and being asked to stop. */
#ifndef HR_CLI_PROGRESS_H
#define HR_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

enum hr_progress_kind { HR_PROGRESS_NONE, HR_PROGRESS_BAR, HR_PROGRESS_PLAIN, HR_PROGRESS_JSON };

struct hr_progress {
    enum hr_progress_kind kind;
    const char *what, *unit; /* "predict", "pictures"; unit "B" prints sizes */
    uint64_t start_ns, shown_ns, first;
    bool shown;
    char note[96]; /* shown behind all else; "" for none */
};

/* word: "bar", "plain", "json", "none" or NULL: bar on a terminal, else plain. */
void hr_progress_start(struct hr_progress *p, const char *word, const char *what, const char *unit);
void hr_progress_show(struct hr_progress *p, uint64_t done, uint64_t total); /* total 0: unknown */
/* Removes the bar until the next hr_progress_show(): call it before anything else is printed. */
void hr_progress_hide(struct hr_progress *p);
/* Removes the bar. */
void hr_progress_end(struct hr_progress *p);

/* From now on the first Ctrl-C only sets what hr_interrupted() says, for the work to end in order;
 * the second one ends the program at once. */
void hr_interrupt_watch(void);
void hr_terminate_watch(void); /* the same of SIGTERM, which launchers of several processes send */
bool hr_interrupted(void);

#endif
