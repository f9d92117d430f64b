/* SPDX-License-Identifier: Apache-2.0
 * Inspection.  The one idea: findings are told as they are found, in an order that follows from the
 * data alone; counting and judging them is left to the caller. */
#include "train/inspect.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/hash.h"
#include "base/pool.h"
#include "base/text.h"
#include "image/image.h"

#define FEW       5  /* pictures of a class: with fewer it is hardly learned */
#define UNBALANCE 20 /* times as many pictures of one class as of another are told */
#define CHUNK     64 /* pictures a thread between two looks at the caller */

struct teller {
    hr_finding_fn *fn;
    void *context;
    bool validation;
};

static HR_PRINTF(4, 5) void tell(const struct teller *t, enum hr_level level, const char *kind,
                                 const char *format, ...)
{
    char message[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    const struct hr_finding finding = { level, kind, t->validation, message };
    t->fn(t->context, &finding);
}

/* ---- Labels ---- */

/* Pictures of each class; of several labels, each counts. */
static enum hr_status count_classes(size_t **out, const struct hr_dataset *set)
{
    const size_t classes = (size_t)set->class_count;
    size_t *const counts = hr_mem_alloc(classes, sizeof *counts);
    if (!counts)
        return HR_E_MEMORY;
    for (size_t i = 0; i < set->paths.count; i++) {
        for (size_t k = 0; set->several && k < classes; k++)
            counts[k] += set->several[i * classes + k];
        if (!set->several)
            counts[set->labels[i]]++;
    }
    *out = counts;
    return HR_OK;
}

/* "class 3 (roses)", or "class 3". */
static const char *name_of(char text[128], const struct hr_dataset *set, size_t k)
{
    if (k < set->classes.count)
        snprintf(text, 128, "class %zu (%s)", k, set->classes.items[k]);
    else
        snprintf(text, 128, "class %zu", k);
    return text;
}

/* Labels 1 to K, all of them, and no 0: the list counts from one. */
static bool counts_from_one(const size_t *counts, size_t classes)
{
    for (size_t k = 1; k < classes; k++)
        if (counts[k] == 0)
            return false;
    return classes >= 2 && counts[0] == 0;
}

static size_t line_with(const struct hr_dataset *set, int32_t label)
{
    for (size_t i = 0; i < set->paths.count; i++)
        if (set->labels[i] == label)
            return set->lines[i];
    return 0;
}

static void look_at_counts(const struct teller *t, const struct hr_dataset *set,
                           const size_t *counts)
{
    const size_t classes = (size_t)set->class_count;
    size_t used = 0, empty = 0, few = 0, most = 0, least = 0, first_empty = 0, first_few = 0;
    char name[128];
    for (size_t k = classes; k-- > 0;) {
        used += counts[k] > 0;
        empty += counts[k] == 0;
        few += counts[k] > 0 && counts[k] < FEW;
        first_empty = counts[k] == 0 ? k : first_empty;
        first_few = counts[k] > 0 && counts[k] < FEW ? k : first_few;
        most = counts[k] > counts[most] ? k : most;
        least = counts[k] > 0 && (counts[least] == 0 || counts[k] <= counts[least]) ? k : least;
    }
    if (used < 2 && !set->several)
        tell(t, classes < 2 ? HR_LEVEL_ERROR : HR_LEVEL_WARNING, "class",
             "all %zu pictures are of one class, %s", set->paths.count, name_of(name, set, most));
    if (empty > 0)
        tell(t, HR_LEVEL_WARNING, "class", "%zu of %zu classes have no picture, the first is %s",
             empty, classes, name_of(name, set, first_empty));
    if (few > 0)
        tell(t, HR_LEVEL_WARNING, "class",
             "%zu classes have fewer than %d pictures, the first is %s with %zu", few, FEW,
             name_of(name, set, first_few), counts[first_few]);
    if (counts[most] >= UNBALANCE * counts[least] && counts[least] > 0)
        tell(t, HR_LEVEL_WARNING, "balance",
             "%s has %zu pictures and class %zu only %zu: see --balanced and --class-weights",
             name_of(name, set, most), counts[most], least, counts[least]);
}

static enum hr_status look_at_set(const struct teller *t, const struct hr_dataset *set)
{
    size_t *counts = NULL;
    HR_TRY(count_classes(&counts, set));
    const size_t classes = (size_t)set->class_count;
    if (set->classes.count == 0 && !set->several && counts_from_one(counts, classes))
        tell(t, HR_LEVEL_ERROR, "label",
             "labels look 1-based: 1 to %zu all occur and 0 does not (line %zu has %zu); they must "
             "count from 0",
             classes - 1, line_with(set, (int32_t)classes - 1), classes - 1);
    else if (!t->validation)
        look_at_counts(t, set, counts);
    hr_mem_free(counts);
    return HR_OK;
}

/* ---- Training against validation ---- */

static size_t find_class(const struct hr_dataset *set, const char *name)
{
    for (size_t k = 0; k < set->classes.count; k++)
        if (strcmp(set->classes.items[k], name) == 0)
            return k;
    return SIZE_MAX;
}

static void compare_folders(const struct teller *t, const struct hr_dataset *train,
                            const struct hr_dataset *validation)
{
    int told = 0;
    for (size_t k = 0; k < validation->classes.count; k++) {
        const char *const name = validation->classes.items[k];
        const size_t there = find_class(train, name);
        if (there == SIZE_MAX)
            tell(t, HR_LEVEL_ERROR, "class", "class folder '%s' is not among the training data's",
                 name);
        else if (there != k && !told++)
            tell(t, HR_LEVEL_WARNING, "order",
                 "class folder '%s' is number %zu here and %zu in the training data: matched by "
                 "name, but other programs count folders",
                 name, k, there);
    }
    for (size_t k = 0; k < train->classes.count; k++)
        if (find_class(validation, train->classes.items[k]) == SIZE_MAX)
            tell(t, HR_LEVEL_WARNING, "class", "class folder '%s' of the training data is missing",
                 train->classes.items[k]);
}

/* The folder that a picture of a list lies in, and its label. */
struct placed {
    const char *path;
    size_t from, length; /* of the folder's name in it */
    int32_t label;
};

static struct placed place_of(const struct hr_dataset *set, size_t i)
{
    const char *const path = set->paths.items[i], *const base = hr_os_base_name(path);
    const size_t end = base > path ? (size_t)(base - path) - 1 : 0;
    size_t from = end;
    while (from > 0 && path[from - 1] != '/')
        from--;
    return (struct placed){ path, from, end - from, set->labels[i] };
}

static int compare_names(const struct placed *p, const struct placed *q)
{
    const size_t shorter = p->length < q->length ? p->length : q->length;
    const int order = memcmp(p->path + p->from, q->path + q->from, shorter);
    return order != 0 ? order : p->length < q->length ? -1 : p->length > q->length;
}

static int compare_placed(const void *a, const void *b)
{
    const struct placed *p = a, *q = b;
    const int order = compare_names(p, q);
    return order != 0 ? order : p->label < q->label ? -1 : p->label > q->label;
}

/* Folders whose pictures all have one label, once each, sorted by name. */
static enum hr_status folders_of(struct placed **out, size_t *count, const struct hr_dataset *set)
{
    const size_t all = set->paths.count;
    struct placed *const p = hr_mem_alloc(all, sizeof *p);
    size_t kept = 0;
    if (!p)
        return HR_E_MEMORY;
    for (size_t i = 0; i < all; i++)
        p[i] = place_of(set, i);
    qsort(p, all, sizeof *p, compare_placed);
    for (size_t i = 0, end; i < all; i = end) {
        for (end = i + 1; end < all && compare_names(&p[i], &p[end]) == 0;)
            end++;
        if (p[i].label == p[end - 1].label)
            p[kept++] = p[i];
    }
    *out = p;
    *count = kept;
    return HR_OK;
}

/* Lists: the same folder name with another label is a list made in another order. */
static enum hr_status compare_lists(const struct teller *t, const struct hr_dataset *train,
                                    const struct hr_dataset *validation)
{
    struct placed *a = NULL, *b = NULL;
    size_t a_count = 0, b_count = 0, differ = 0, first = 0, other = 0;
    enum hr_status status = folders_of(&a, &a_count, train);
    if (status == HR_OK)
        status = folders_of(&b, &b_count, validation);
    for (size_t i = 0, j = 0; status == HR_OK && i < a_count && j < b_count;) {
        const int order = compare_names(&a[i], &b[j]);
        if (order == 0 && a[i].label != b[j].label && differ++ == 0) {
            first = i;
            other = j;
        }
        i += order <= 0;
        j += order >= 0;
    }
    if (differ > 0)
        tell(t, HR_LEVEL_ERROR, "order",
             "folder '%.*s' has label %d here and %d in the training list, and %zu more differ: "
             "the lists number classes differently",
             (int)b[other].length, b[other].path + b[other].from, b[other].label, a[first].label,
             differ - 1);
    hr_mem_free(a);
    hr_mem_free(b);
    return status;
}

static enum hr_status compare_sets(const struct teller *t, const struct hr_dataset *train,
                                   const struct hr_dataset *validation)
{
    if ((train->several != NULL) != (validation->several != NULL)) {
        tell(t, HR_LEVEL_ERROR, "label", "one label a picture in one set, several in the other");
        return HR_OK;
    }
    if (train->classes.count > 0 && validation->classes.count > 0) {
        compare_folders(t, train, validation);
        return HR_OK;
    }
    if (validation->class_count > train->class_count)
        tell(t, HR_LEVEL_ERROR, "label",
             "label %d occurs (line %zu), but the training data has %d classes",
             validation->class_count - 1, line_with(validation, validation->class_count - 1),
             train->class_count);
    if (train->several || train->classes.count > 0 || validation->classes.count > 0)
        return HR_OK;
    return compare_lists(t, train, validation);
}

/* Folders that people count and folders that sorted() counts. */
static void look_at_order(const struct teller *t, const struct hr_dataset *set)
{
    for (size_t k = 1; k < set->classes.count; k++)
        if (strcmp(set->classes.items[k - 1], set->classes.items[k]) > 0) {
            tell(t, HR_LEVEL_NOTE, "order",
                 "classes are numbered as people count, '%s' before '%s'; Python's sorted() has it "
                 "the other way round",
                 set->classes.items[k - 1], set->classes.items[k]);
            return;
        }
}

enum hr_status hr_inspect_labels(const struct hr_dataset *train,
                                 const struct hr_dataset *validation, hr_finding_fn *fn,
                                 void *context)
{
    const struct teller first = { fn, context, false }, second = { fn, context, true };
    HR_TRY(look_at_set(&first, train));
    look_at_order(&first, train);
    if (!validation)
        return HR_OK;
    HR_TRY(look_at_set(&second, validation));
    return compare_sets(&second, train, validation);
}

/* ---- Pictures ---- */

struct seen {
    uint8_t hash[32]; /* of the file's bytes */
    enum hr_status status;
    bool truncated, validation;
    size_t index;
    char *message; /* owned; of a failure */
};

struct looking {
    const struct hr_dataset *set;
    struct seen *seen;
    size_t first; /* of this chunk */
};

static void look_at_picture(struct seen *s, const char *path)
{
    const struct hr_decode_options decode = hr_decode_defaults();
    struct hr_decode_report report = { 0 };
    struct hr_image image = { 0 };
    struct hr_sha256 hash;
    uint8_t *data = NULL;
    size_t size = 0;
    s->status = hr_file_read(path, decode.max_bytes, &data, &size);
    if (s->status == HR_OK) {
        hr_sha256_init(&hash);
        hr_sha256_update(&hash, data, size);
        hr_sha256_final(&hash, s->hash);
        s->status = hr_image_decode(&image, &report, data, size, path, &decode);
    }
    s->truncated = report.truncated;
    if (s->status != HR_OK)
        s->message = hr_mem_strdup(hr_last_message());
    hr_image_fini(&image);
    hr_mem_free(data);
}

static void look_task(void *context, size_t task, size_t task_count)
{
    const struct looking *l = context;
    (void)task_count;
    look_at_picture(&l->seen[l->first + task], l->set->paths.items[l->first + task]);
}

static enum hr_status look_at_all(struct seen *seen, const struct hr_dataset *set,
                                  struct hr_pool *pool, size_t done, size_t all,
                                  const struct hr_inspect_options *o)
{
    const size_t chunk = CHUNK * (size_t)hr_pool_threads(pool);
    for (size_t at = 0; at < set->paths.count; at += chunk) {
        const size_t left = set->paths.count - at;
        struct looking l = { set, seen, at };
        hr_pool_run(pool, look_task, &l, left < chunk ? left : chunk);
        const size_t now = done + at + (left < chunk ? left : chunk);
        if (o->progress && !o->progress(o->context, now, all))
            return hr_fail(HR_E_CANCELLED, "stopped after %zu of %zu pictures", now, all);
    }
    return HR_OK;
}

static void tell_unreadable(const struct teller *t, const struct hr_dataset *set,
                            const struct seen *seen, size_t *unreadable)
{
    for (size_t i = 0; i < set->paths.count; i++) {
        if (seen[i].status != HR_OK) {
            ++*unreadable;
            tell(t, HR_LEVEL_ERROR, "unreadable", "%s",
                 seen[i].message ? seen[i].message : set->paths.items[i]);
        } else if (seen[i].truncated) {
            ++*unreadable;
            tell(t, HR_LEVEL_ERROR, "truncated", "%s: the picture ends early", set->paths.items[i]);
        }
    }
}

/* ---- Equal pictures ---- */

static int compare_seen(const void *a, const void *b)
{
    const struct seen *p = *(const struct seen *const *)a, *q = *(const struct seen *const *)b;
    const int order = memcmp(p->hash, q->hash, sizeof p->hash);
    if (order != 0)
        return order;
    if (p->validation != q->validation)
        return p->validation ? 1 : -1;
    return p->index < q->index ? -1 : p->index > q->index;
}

static bool same_label(const struct hr_inspection *in, const struct seen *p, const struct seen *q)
{
    const struct hr_dataset *a = p->validation ? &in->validation : &in->train;
    const struct hr_dataset *b = q->validation ? &in->validation : &in->train;
    const size_t classes = (size_t)a->class_count;
    if (a->several && b->several && a->class_count == b->class_count)
        return memcmp(a->several + p->index * classes, b->several + q->index * classes, classes) ==
               0;
    if (a->classes.count > 0 && b->classes.count > 0)
        return strcmp(a->classes.items[a->labels[p->index]],
                      b->classes.items[b->labels[q->index]]) == 0;
    return a->labels[p->index] == b->labels[q->index];
}

static void tell_pair(const struct hr_inspect_options *o, const struct hr_inspection *in,
                      const struct seen *p, const struct seen *q)
{
    const struct teller t = { o->fn, o->context, q->validation };
    const char *const a = (p->validation ? &in->validation : &in->train)->paths.items[p->index];
    const char *const b = (q->validation ? &in->validation : &in->train)->paths.items[q->index];
    const bool same = same_label(in, p, q);
    if (p->validation != q->validation)
        tell(&t, HR_LEVEL_ERROR, "leak", "%s is also a training picture, %s%s", b, a,
             same ? "" : ", with another label");
    else if (!same)
        tell(&t, HR_LEVEL_ERROR, "duplicate", "%s and %s are equal but have different labels", a,
             b);
    else
        tell(&t, HR_LEVEL_WARNING, "duplicate", "%s and %s are equal", a, b);
}

/* Each picture with the first that equals it. */
static enum hr_status tell_equal(const struct hr_inspect_options *o, const struct hr_inspection *in,
                                 const struct seen *seen, size_t count)
{
    const struct seen **const sorted = hr_mem_alloc(count, sizeof *sorted);
    size_t used = 0;
    if (!sorted)
        return HR_E_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (seen[i].status == HR_OK)
            sorted[used++] = &seen[i];
    qsort(sorted, used, sizeof *sorted, compare_seen);
    for (size_t i = 0, first = 0; i < used; i++) {
        if (memcmp(sorted[i]->hash, sorted[first]->hash, sizeof sorted[i]->hash) != 0)
            first = i;
        else if (i > first)
            tell_pair(o, in, sorted[first], sorted[i]);
    }
    hr_mem_free(sorted);
    return HR_OK;
}

static enum hr_status look_at_pictures(struct hr_inspection *in, const struct hr_inspect_options *o)
{
    const size_t train = in->train.paths.count, all = train + in->validation.paths.count;
    struct seen *const seen = hr_mem_alloc(all, sizeof *seen);
    struct hr_pool *pool = NULL;
    enum hr_status status = seen ? HR_OK : HR_E_MEMORY;
    for (size_t i = 0; status == HR_OK && i < all; i++) {
        seen[i].validation = i >= train;
        seen[i].index = i < train ? i : i - train;
    }
    if (status == HR_OK)
        status = hr_pool_create(&pool, o->threads ? o->threads : hr_cpu_count());
    if (status == HR_OK)
        status = look_at_all(seen, &in->train, pool, 0, all, o);
    if (status == HR_OK)
        status = look_at_all(seen + train, &in->validation, pool, train, all, o);
    if (status == HR_OK) {
        const struct teller first = { o->fn, o->context, false };
        const struct teller second = { o->fn, o->context, true };
        tell_unreadable(&first, &in->train, seen, &in->unreadable[0]);
        tell_unreadable(&second, &in->validation, seen + train, &in->unreadable[1]);
        status = tell_equal(o, in, seen, all);
    }
    for (size_t i = 0; seen && i < all; i++)
        hr_mem_free(seen[i].message);
    hr_pool_destroy(pool);
    hr_mem_free(seen);
    return status;
}

/* ---- All ---- */

void hr_inspection_fini(struct hr_inspection *inspection)
{
    hr_dataset_fini(&inspection->train);
    hr_dataset_fini(&inspection->validation);
}

/* Counts findings on their way to the caller. */
struct counting {
    struct hr_inspection *in;
    hr_finding_fn *fn;
    bool (*progress)(void *context, size_t done, size_t all);
    void *context;
    bool validation; /* what is being opened */
};

static bool count_progress(void *context, size_t done, size_t all)
{
    const struct counting *c = context;
    return !c->progress || c->progress(c->context, done, all);
}

static void count(void *context, const struct hr_finding *finding)
{
    const struct counting *c = context;
    c->in->errors += finding->level == HR_LEVEL_ERROR;
    c->in->warnings += finding->level == HR_LEVEL_WARNING;
    c->fn(c->context, finding);
}

static void count_problem(void *context, enum hr_status status, const char *message)
{
    const struct counting *c = context;
    const struct hr_finding finding = { HR_LEVEL_ERROR,
                                        status == HR_E_NOT_FOUND ? "missing" : "list",
                                        c->validation, message };
    c->in->missing[c->validation] += status == HR_E_NOT_FOUND;
    count(context, &finding);
}

/* Labels that a network of so many outputs does not have. */
static void look_at_limit(const struct teller *t, const struct hr_dataset *set, int classes)
{
    if (classes <= 0 || set->class_count <= classes)
        return;
    for (size_t i = 0; i < set->paths.count; i++)
        if (set->labels[i] >= classes && !set->several)
            tell(t, HR_LEVEL_ERROR, "label",
                 "line %zu: label %d, but %d classes count from 0 to %d", set->lines[i],
                 set->labels[i], classes, classes - 1);
    if (set->several)
        tell(t, HR_LEVEL_ERROR, "label", "lines have %d labels, not %d", set->class_count, classes);
}

static enum hr_status look(struct counting *c, const struct hr_inspect_options *o)
{
    struct hr_inspection *const in = c->in;
    const struct teller first = { count, c, false }, second = { count, c, true };
    struct hr_inspect_options counted = *o;
    counted.fn = count;
    counted.progress = count_progress;
    counted.context = c;
    HR_TRY(hr_dataset_open_told(&in->train, o->data, o->root, count_problem, c));
    c->validation = true;
    if (o->validation)
        HR_TRY(hr_dataset_open_told(&in->validation, o->validation,
                                    o->validation_root ? o->validation_root : o->root,
                                    count_problem, c));
    look_at_limit(&first, &in->train, o->classes);
    look_at_limit(&second, &in->validation, o->classes);
    HR_TRY(hr_inspect_labels(&in->train, o->validation ? &in->validation : NULL, count, c));
    return o->quick ? HR_OK : look_at_pictures(in, &counted);
}

enum hr_status hr_inspect(struct hr_inspection *out, const struct hr_inspect_options *options)
{
    struct hr_inspection in = { 0 };
    struct counting c = { &in, options->fn, options->progress, options->context, false };
    const enum hr_status status = look(&c, options);
    if (status == HR_OK)
        *out = in;
    else
        hr_inspection_fini(&in);
    return status;
}
