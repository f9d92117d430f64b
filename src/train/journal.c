/* SPDX-License-Identifier: Apache-2.0
 * The journal.  The one idea: a run that goes on from a checkpoint first cuts its tables there, so
 * that they, too, are those of a run without a break. */
#include "train/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "base/text.h"
#include "wire/event.pb-c.h"
#include "wire/tfrecord.h"

#define MOST_SCALARS 8 /* of one event */

static const char steps_head[] = "epoch,step,rate,loss,norm,mean_loss,mean_accuracy\n";
static const char epochs_head[] = "epoch,rate,loss,accuracy,validation_loss,top1,top5,average_loss,"
                                  "average_top1,average_top5,map,average_map\n";

struct stream {
    FILE *file;
    char *path;
};

struct hr_journal {
    struct stream steps, epochs, events; /* events.file NULL: none */
    size_t steps_per_epoch;
};

/* ---- Streams ---- */

static enum hr_status pushed(const struct stream *s)
{
    if (fflush(s->file) != 0 || ferror(s->file))
        return hr_fail(HR_E_IO, "%s: cannot write: %s", s->path, strerror(errno));
    return HR_OK;
}

static enum hr_status open_stream(struct stream *s, const char *mode)
{
    s->file = fopen(s->path, mode);
    if (!s->file)
        return hr_fail(HR_E_IO, "%s: cannot write: %s", s->path, strerror(errno));
    return HR_OK;
}

static void close_stream(struct stream *s)
{
    if (s->file)
        (void)fclose(s->file); /* pushed() has told what could not be written */
    hr_mem_free(s->path);
}

/* ---- Tables ---- */

/* Is a row "epoch,step,..." of before the place?  Rows of epochs have no step. */
static bool is_before(const char *row, const struct hr_journal_place *place, bool of_steps)
{
    char *end;
    if (*row < '0' || *row > '9')
        return false;
    const unsigned long long epoch = strtoull(row, &end, 10);
    const unsigned long long step = of_steps && *end == ',' ? strtoull(end + 1, NULL, 10) : 0;
    return epoch >= 1 && (epoch <= place->epoch ||
                          (of_steps && epoch == place->epoch + 1 && step <= place->step));
}

/* Writes the table anew: its head, and those of its rows that still count. */
static enum hr_status cut_table(const struct stream *s, const char *head,
                                const struct hr_journal_place *place, bool of_steps)
{
    struct hr_replace file = { 0 };
    uint8_t *data = NULL;
    size_t size = 0;
    if (hr_os_kind(s->path) == HR_OS_FILE)
        HR_TRY(hr_file_read(s->path, SIZE_MAX / 2, &data, &size));
    enum hr_status status = hr_replace_begin(&file, s->path);
    if (status == HR_OK) {
        (void)fputs(head, file.file); /* commit sees the stream's errors */
        for (size_t at = 0; at < size;) {
            const char *const row = (const char *)data + at;
            const char *const end = memchr(row, '\n', size - at);
            if (!end) /* a row that was not finished */
                break;
            if (is_before(row, place, of_steps))
                (void)fwrite(row, 1, (size_t)(end - row) + 1, file.file);
            at += (size_t)(end - row) + 1;
        }
        status = hr_replace_commit(&file);
    }
    hr_mem_free(data);
    return status;
}

static enum hr_status add_step_row(struct hr_journal *j, const struct hr_train_progress *p)
{
    (void)fprintf(j->steps.file, "%llu,%zu,%.9g,%.9g,%.9g,%.9g,%.9g\n",
                  (unsigned long long)p->epoch, p->step, p->rate, p->step_loss, p->norm, p->loss,
                  p->accuracy);
    return pushed(&j->steps);
}

static void add_three(FILE *file, bool there, double a, double b, double c)
{
    if (there)
        (void)fprintf(file, ",%.9g,%.9g,%.9g", a, b, c);
    else
        (void)fputs(",,,", file);
}

static enum hr_status add_epoch_row(struct hr_journal *j, const struct hr_train_progress *p)
{
    FILE *const file = j->epochs.file;
    (void)fprintf(file, "%llu,%.9g,%.9g,%.9g", (unsigned long long)p->epoch, p->rate, p->loss,
                  p->accuracy);
    add_three(file, p->validated, p->validation_loss, p->top1, p->top5);
    add_three(file, p->averaged, p->average_loss, p->average_top1, p->average_top5);
    if (p->several && p->validated)
        (void)fprintf(file, ",%.9g,%.9g\n", p->map, p->average_map);
    else
        (void)fputs(",,\n", file);
    return pushed(&j->epochs);
}

/* ---- Events ---- */

static double wall_time(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum hr_status add_event(struct hr_journal *j, Hr__Event *event, uint64_t step)
{
    event->has_wall_time = 1;
    event->wall_time = wall_time();
    event->has_step = 1;
    event->step = (int64_t)step;
    HR_TRY(hr_tfrecord_write(&event->base, j->events.file));
    return pushed(&j->events);
}

struct scalar {
    const char *tag;
    double value;
};

static enum hr_status add_scalars(struct hr_journal *j, const struct scalar *scalars, size_t count,
                                  uint64_t step)
{
    Hr__Event event = HR__EVENT__INIT;
    Hr__EventSummary summary = HR__EVENT_SUMMARY__INIT;
    Hr__EventValue values[MOST_SCALARS], *pointers[MOST_SCALARS];
    char tags[MOST_SCALARS][32];
    for (size_t i = 0; i < count; i++) {
        hr__event_value__init(&values[i]);
        snprintf(tags[i], sizeof tags[i], "%s", scalars[i].tag);
        values[i].tag = tags[i];
        values[i].has_simple_value = 1;
        values[i].simple_value = (float)scalars[i].value;
        pointers[i] = &values[i];
    }
    summary.n_value = count;
    summary.value = pointers;
    event.summary = &summary;
    return add_event(j, &event, step);
}

static enum hr_status add_step_event(struct hr_journal *j, const struct hr_train_progress *p,
                                     uint64_t step)
{
    const struct scalar scalars[] = { { "train/loss", p->step_loss },
                                      { "train/rate", p->rate },
                                      { "train/norm", p->norm } };
    return add_scalars(j, scalars, HR_COUNT(scalars), step);
}

static enum hr_status add_epoch_event(struct hr_journal *j, const struct hr_train_progress *p,
                                      uint64_t step)
{
    const struct scalar scalars[] = {
        { "epoch/loss", p->loss },
        { "epoch/accuracy", p->accuracy },
        { "validation/loss", p->validation_loss },
        { p->several ? "validation/map" : "validation/top1", p->several ? p->map : p->top1 },
        { "validation/top5", p->top5 },
        { "average/loss", p->average_loss },
        { p->several ? "average/map" : "average/top1",
          p->several ? p->average_map : p->average_top1 },
        { "average/top5", p->average_top5 },
    };
    _Static_assert(HR_COUNT(scalars) <= MOST_SCALARS, "an event has room for all of them");
    return add_scalars(j, scalars, p->averaged ? 8 : p->validated ? 5 : 2, step);
}

/* A file of its own each time the run goes on; readers take them in the order of their names. */
static enum hr_status open_events(struct hr_journal *j, const char *folder,
                                  const struct hr_journal_place *place)
{
    struct hr_text path = { 0 };
    Hr__Event first = HR__EVENT__INIT, start = HR__EVENT__INIT;
    Hr__EventSession session = HR__EVENT_SESSION__INIT;
    char version[] = "brain.Event:2";
    hr_text_printf(&path, "%s/events.out.tfevents.%010lld.hrnet.%ld", folder,
                   (long long)wall_time(), (long)getpid());
    HR_TRY(hr_text_take(&path, &j->events.path));
    HR_TRY(open_stream(&j->events, "wb"));
    first.file_version = version;
    HR_TRY(add_event(j, &first, 0));
    session.has_status = 1;
    session.status = 1;
    start.session_log = &session;
    const uint64_t done = place->epoch * place->steps + place->step;
    return done > 0 ? add_event(j, &start, done + 1) : HR_OK;
}

/* ---- All ---- */

static enum hr_status open_table(struct stream *s, const char *folder, const char *name,
                                 const char *head, const struct hr_journal_place *place,
                                 bool of_steps)
{
    struct hr_text path = { 0 };
    hr_text_printf(&path, "%s/%s", folder, name);
    HR_TRY(hr_text_take(&path, &s->path));
    HR_TRY(cut_table(s, head, place, of_steps));
    return open_stream(s, "ab");
}

enum hr_status hr_journal_open(struct hr_journal **out, const char *folder, bool events,
                               const struct hr_journal_place *place)
{
    struct hr_journal *const j = hr_mem_alloc(1, sizeof *j);
    if (!j)
        return HR_E_MEMORY;
    j->steps_per_epoch = place->steps;
    enum hr_status status = open_table(&j->steps, folder, "steps.csv", steps_head, place, true);
    if (status == HR_OK)
        status = open_table(&j->epochs, folder, "epochs.csv", epochs_head, place, false);
    if (status == HR_OK && events)
        status = open_events(j, folder, place);
    if (status == HR_OK)
        *out = j;
    else
        hr_journal_close(j);
    return status;
}

void hr_journal_close(struct hr_journal *j)
{
    if (!j)
        return;
    close_stream(&j->steps);
    close_stream(&j->epochs);
    close_stream(&j->events);
    hr_mem_free(j);
}

enum hr_status hr_journal_add(struct hr_journal *j, const struct hr_train_progress *p)
{
    const uint64_t step = (p->epoch - 1) * j->steps_per_epoch + p->step;
    HR_TRY(p->epoch_end ? add_epoch_row(j, p) : add_step_row(j, p));
    if (!j->events.file)
        return HR_OK;
    return p->epoch_end ? add_epoch_event(j, p, step) : add_step_event(j, p, step);
}
