/* SPDX-License-Identifier: Apache-2.0
 * Models by name and version: which one a name means, exchange and unloading while requests hold
 * them, a folder that changes, and failures that change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/pool.h"
#include "small_request.h"

static const struct hr_model_source three[] = { { "a", "1", "5" },
                                                { "a", "10", "6" },
                                                { "a", "9", "7" } };

static struct hr_registry_options options_of(const struct hr_model_source *sources, size_t count)
{
    struct hr_service_options service;
    small_service_options(&service);
    service.registry.sources = sources;
    service.registry.source_count = count;
    service.registry.lanes.batch = 1;
    return service.registry;
}

static struct hr_registry *registry_of(const struct hr_registry_options *options)
{
    struct hr_registry *r = NULL;
    if (hr_registry_create(&r, options) != HR_OK || hr_registry_load_all(r) != HR_OK)
        fail_msg("%s", hr_last_message());
    return r;
}

/* Classes of the model that is found: each of the tests' has another count; -1: none. */
static int found(struct hr_registry *r, const char *name, const char *version)
{
    struct hr_served *served = NULL;
    if (hr_registry_find(r, &served, name, version) != HR_OK)
        return -1;
    const int classes = served->info.classes;
    hr_served_release(served);
    return classes;
}

static void names_and_versions_are_found(void **state)
{
    const struct hr_model_source sources[] = { { "b", "2", "4" }, three[0], three[1], three[2] };
    const struct hr_registry_options options = options_of(sources, HR_COUNT(sources));
    (void)state;
    struct hr_registry *r = registry_of(&options);
    assert_int_equal(found(r, NULL, NULL), 4); /* the first */
    assert_int_equal(found(r, "", ""), 4);
    assert_int_equal(found(r, "a", NULL), 6); /* the highest, as numbers */
    assert_int_equal(found(r, "a", "9"), 7);
    assert_int_equal(found(r, "a", "2"), -1);
    assert_non_null(strstr(hr_last_message(), "no version '2'"));
    assert_int_equal(found(r, "c", NULL), -1);
    assert_non_null(strstr(hr_last_message(), "'c'"));
    assert_true(hr_registry_knows(r, "a"));
    assert_false(hr_registry_knows(r, "c"));
    hr_registry_destroy(r);
}

struct index_text {
    char text[256];
};

static void add(void *context, const struct hr_registry_entry *entry)
{
    struct index_text *index = context;
    const size_t length = strlen(index->text);
    assert_int_equal(entry->served != NULL, strcmp(entry->state, "READY") == 0);
    snprintf(index->text + length, sizeof index->text - length, "%s/%s %s %s;", entry->name,
             entry->version, entry->state, entry->reason);
}

static void index_is(struct hr_registry *r, const char *text)
{
    struct index_text index = { "" };
    hr_registry_index(r, add, &index);
    assert_string_equal(index.text, text);
}

static void what_is_unloaded_keeps_its_place(void **state)
{
    const struct hr_registry_options options = options_of(three, HR_COUNT(three));
    (void)state;
    struct hr_registry *r = registry_of(&options);
    index_is(r, "a/1 READY ;a/10 READY ;a/9 READY ;");
    assert_int_equal(hr_registry_unload(r, "b"), HR_E_NOT_FOUND);
    assert_int_equal(hr_registry_unload(r, "a"), HR_OK);
    index_is(r, "a/1 UNAVAILABLE unloaded;a/10 UNAVAILABLE unloaded;a/9 UNAVAILABLE unloaded;");
    assert_false(hr_registry_ready(r));
    assert_int_equal(found(r, "a", NULL), -1);
    assert_non_null(strstr(hr_last_message(), "not loaded"));
    assert_int_equal(found(r, NULL, NULL), -1);
    assert_int_equal(hr_registry_reload(r), HR_OK); /* of what is loaded: nothing */
    assert_false(hr_registry_ready(r));
    assert_int_equal(hr_registry_load(r, "b"), HR_E_NOT_FOUND);
    assert_int_equal(hr_registry_load(r, "a"), HR_OK);
    index_is(r, "a/1 READY ;a/10 READY ;a/9 READY ;");
    hr_registry_destroy(r);
}

static void a_bad_model_is_told_and_the_others_serve(void **state)
{
    const struct hr_model_source sources[] = { { "a", "1", "5" }, { "x", "1", "bad" } };
    const struct hr_registry_options options = options_of(sources, HR_COUNT(sources));
    struct hr_registry *r = NULL;
    (void)state;
    assert_int_equal(hr_registry_create(&r, &options), HR_OK);
    assert_int_equal(hr_registry_load_all(r), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "model x: "));
    assert_int_equal(found(r, "a", NULL), 5);
    index_is(r, "a/1 READY ;x/1 UNAVAILABLE file or message is malformed;"); /* no path of ours */
    hr_registry_destroy(r);

    const struct hr_model_source twice[] = { { "a", "1", "5" }, { "a", "1", "6" } };
    const struct hr_registry_options again = options_of(twice, 2), none = options_of(NULL, 0);
    assert_int_equal(hr_registry_create(&r, &again), HR_E_ARGUMENT);
    assert_non_null(strstr(hr_last_message(), "twice"));
    assert_int_equal(hr_registry_create(&r, &none), HR_OK);
    assert_int_equal(hr_registry_load_all(r), HR_E_NOT_FOUND);
    hr_registry_destroy(r);
}

/* A file's source is what stands in it. */
static hrnet_status open_file(void *context, const char *source, hrnet_model **out)
{
    uint8_t *text = NULL;
    size_t size;
    char word[16] = "";
    const enum hr_status status = hr_file_read(source, sizeof word - 1, &text, &size);
    if (status != HR_OK)
        return (hrnet_status)status;
    memcpy(word, text, size);
    hr_mem_free(text);
    return small_open(context, word, out);
}

static char folder[64];

static void put(const char *path, const char *text)
{
    char whole[128];
    snprintf(whole, sizeof whole, "%s/%s", folder, path);
    for (char *slash = whole + strlen(folder); (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        (void)mkdir(whole, 0755);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void drop(const char *path)
{
    char whole[128];
    snprintf(whole, sizeof whole, "%s/%s", folder, path);
    assert_int_equal(remove(whole), 0);
}

static void a_folder_is_looked_at_again(void **state)
{
    struct hr_registry_options options = options_of(NULL, 0);
    (void)state;
    strcpy(folder, "/tmp/hrnet-registry-XXXXXX");
    assert_non_null(mkdtemp(folder));
    options.folder = folder;
    options.open = open_file;
    put("cats/1/model", "5");
    put("cats/readme", "no version");
    put("cats/one/model", "4"); /* nor is this */
    struct hr_registry *r = registry_of(&options);
    index_is(r, "cats/1 READY ;");
    put("cats/2/model", "bad");
    put("dogs/7/model", "6");
    assert_int_equal(hr_registry_reload(r), HR_E_FORMAT); /* one of them; the others are there */
    index_is(r, "cats/1 READY ;cats/2 UNAVAILABLE file or message is malformed;dogs/7 READY ;");
    assert_int_equal(found(r, "cats", NULL), 5);
    put("cats/2/model", "4");
    put("cats/1/model", "bad");
    assert_int_equal(hr_registry_load(r, "cats"), HR_E_FORMAT); /* the old one stays */
    assert_int_equal(found(r, "cats", "1"), 5);
    assert_int_equal(found(r, "cats", NULL), 4);
    drop("dogs/7/model");
    drop("cats/1/model");
    assert_int_equal(hr_registry_reload(r), HR_OK);
    index_is(r, "cats/2 READY ;");
    hr_registry_destroy(r);
    static const char *const left[] = {
        "cats/2/model", "cats/2", "cats/1", "cats/one/model", "cats/one",
        "cats/readme",  "cats",   "dogs/7", "dogs",           ""
    };
    for (size_t i = 0; i < HR_COUNT(left); i++)
        drop(left[i]);
}

/* ---- Requests in flight ---- */

static void who_holds_a_model_keeps_it(void **state)
{
    struct small_request held, r;
    float x[SMALL_FLOATS], logits[SMALL_CLASSES];
    (void)state;
    struct hr_service *service = small_service_start(NULL);
    small_input("x", x);
    small_logits(service, x, logits);
    small_hold_begin(&held, service, x);
    small_request_init(&r, service, 3);
    small_request_tensors(&r, x, SMALL_SIDE, SMALL_SIDE);
    assert_int_equal(small_request_submit(&r, service), HR_OK); /* waits for the old one */
    const struct hr_served *old = r.request.served;
    assert_int_equal(hr_registry_load(service->registry, "m"), HR_OK);
    assert_int_equal(hr_registry_unload(service->registry, "m"), HR_OK);
    assert_int_equal(atomic_load(&old->references), 2); /* the two requests' */
    small_let_go();
    small_request_wait(&r);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(r.items[i].status, HR_OK);
        assert_memory_equal(r.logits[i], logits, sizeof logits);
    }
    small_request_fini(&held);
    small_request_fini(&r);
    small_service_stop(service);
}

struct asker {
    struct hr_service *service;
    const float *x, *logits;
    atomic_bool stop;
    unsigned answers;
};

static void *ask_on(void *argument)
{
    struct asker *a = argument;
    while (!atomic_load(&a->stop) || a->answers < 3) {
        struct small_request r;
        small_request_init(&r, a->service, 2);
        small_request_tensors(&r, a->x, SMALL_SIDE, SMALL_SIDE);
        assert_int_equal(hr_batcher_run(a->service->batcher, &r.request), HR_OK);
        assert_int_equal(r.items[1].status, HR_OK);
        assert_memory_equal(r.logits[1], a->logits, SMALL_CLASSES * sizeof *a->logits);
        a->answers++;
        small_request_fini(&r);
    }
    return NULL;
}

static void no_request_is_dropped_by_an_exchange(void **state)
{
    float x[SMALL_FLOATS], logits[SMALL_CLASSES];
    struct asker askers[3];
    pthread_t threads[3];
    (void)state;
    struct hr_service *service = small_service_start(NULL);
    small_input("x", x);
    small_logits(service, x, logits);
    for (size_t i = 0; i < 3; i++) {
        askers[i] = (struct asker){ .service = service, .x = x, .logits = logits };
        assert_int_equal(hr_thread_start(&threads[i], ask_on, &askers[i]), 0);
    }
    for (int round = 0; round < 4; round++)
        assert_int_equal(round % 2 ? hr_registry_load(service->registry, "m")
                                   : hr_registry_reload(service->registry),
                         HR_OK);
    for (size_t i = 0; i < 3; i++)
        atomic_store(&askers[i].stop, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    struct hr_served *served = NULL;
    assert_int_equal(hr_registry_find(service->registry, &served, "m", NULL), HR_OK);
    assert_int_equal(atomic_load(&served->references), 2); /* the registry's and ours */
    hr_served_release(served);
    small_service_stop(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_versions_are_found),
        cmocka_unit_test(what_is_unloaded_keeps_its_place),
        cmocka_unit_test(a_bad_model_is_told_and_the_others_serve),
        cmocka_unit_test(a_folder_is_looked_at_again),
        cmocka_unit_test(who_holds_a_model_keeps_it),
        cmocka_unit_test(no_request_is_dropped_by_an_exchange),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
