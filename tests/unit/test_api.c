/* SPDX-License-Identifier: Apache-2.0
 * The public API as a stranger meets it: NULL in every place, options of other versions, messages
 * and their threads, the log, an allocator that fails at every call, names that are no UTF-8.
 * Runs of networks are in test_sessions.c, pictures in test_pictures.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hrnet/hrnet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAT      HRNET_TESTS_DIR "/data/pictures/cat_420.jpg"
#define SIDE     32
#define CLASSES  3
#define PIXELS   (3 * SIDE * SIDE)
#define COUNT(a) (sizeof(a) / sizeof *(a))

struct fixture {
    hrnet_model *model;
    hrnet_session *session;
    char folder[32], path[64]; /* path: the model as a file of our own */
};

static hrnet_session *session_of(hrnet_model *model)
{
    struct hrnet_session_options options;
    hrnet_session *session = NULL;
    hrnet_session_options_init(&options, sizeof options);
    options.threads = 1;
    options.height = options.width = SIDE;
    if (hrnet_session_create(&session, model, &options) != HRNET_OK)
        fail_msg("%s", hrnet_last_error());
    return session;
}

static int set_up(void **state)
{
    static struct fixture f;
    struct hrnet_model_options options;
    f = (struct fixture){ .folder = "/tmp/hrnet-api-XXXXXX" };
    hrnet_model_options_init(&options, sizeof options);
    options.classes = CLASSES;
    assert_non_null(mkdtemp(f.folder));
    snprintf(f.path, sizeof f.path, "%s/m.safetensors", f.folder);
    if (hrnet_model_synthetic(&f.model, "hrnet_w18_small", &options) != HRNET_OK ||
        hrnet_model_save(f.model, f.path, HRNET_FILE_HRNET) != HRNET_OK)
        fail_msg("%s", hrnet_last_error());
    f.session = session_of(f.model);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    hrnet_session_destroy(f->session);
    hrnet_model_release(f->model);
    unlink(f->path);
    return rmdir(f->folder);
}

/* ---- NULL ---- */

static void refused(hrnet_status status, const char *function)
{
    assert_int_equal(status, HRNET_E_ARGUMENT);
    if (!strstr(hrnet_last_error(), function) || !strstr(hrnet_last_error(), "NULL"))
        fail_msg("'%s' does not name %s", hrnet_last_error(), function);
}
#define REFUSED(function, ...) refused(function(__VA_ARGS__), #function)

static void null_models(void **state)
{
    const struct fixture *f = *state;
    struct hrnet_model_info info;
    struct hrnet_recipe recipe;
    struct hrnet_verify_report report;
    hrnet_model *model = NULL;
    REFUSED(hrnet_model_open, NULL, f->path, NULL);
    REFUSED(hrnet_model_open, &model, NULL, NULL);
    REFUSED(hrnet_model_open_memory, NULL, "x", 1, "x", NULL);
    REFUSED(hrnet_model_open_memory, &model, NULL, 1, "x", NULL);
    REFUSED(hrnet_model_synthetic, NULL, "HRNet_W18_C", NULL);
    REFUSED(hrnet_model_synthetic, &model, NULL, NULL);
    REFUSED(hrnet_model_describe, NULL, &info);
    REFUSED(hrnet_model_describe, f->model, NULL);
    REFUSED(hrnet_model_recipe, NULL, &recipe);
    REFUSED(hrnet_model_recipe, f->model, NULL);
    REFUSED(hrnet_model_save, NULL, f->path, HRNET_FILE_HRNET);
    REFUSED(hrnet_model_save, f->model, NULL, HRNET_FILE_HRNET);
    REFUSED(hrnet_model_verify, NULL, &report);
    REFUSED(hrnet_model_verify, f->model, NULL);
    REFUSED(hrnet_recipe_named, NULL, &recipe);
    REFUSED(hrnet_recipe_named, "opencv", NULL);
    assert_string_equal(hrnet_model_label(NULL, 0), "");
    hrnet_model_release(NULL);
    assert_null(model);
    /* No name is needed for messages, and nothing is a model. */
    assert_int_equal(hrnet_model_open_memory(&model, NULL, 0, NULL, NULL), HRNET_E_FORMAT);
    assert_non_null(strstr(hrnet_last_error(), "memory"));
    assert_null(model);
}

static void null_sessions(void **state)
{
    const struct fixture *f = *state;
    struct hrnet_session_info info;
    struct hrnet_step_info step;
    hrnet_session *session = NULL;
    float x[PIXELS] = { 0 }, logits[CLASSES];
    uint64_t ns[1];
    int64_t shape[4];
    REFUSED(hrnet_session_create, NULL, f->model, NULL);
    REFUSED(hrnet_session_create, &session, NULL, NULL);
    REFUSED(hrnet_session_run, NULL, x, 1, logits);
    REFUSED(hrnet_session_run, f->session, NULL, 1, logits);
    REFUSED(hrnet_session_run, f->session, x, 1, NULL);
    REFUSED(hrnet_session_profile, NULL, x, 1, logits, ns);
    REFUSED(hrnet_session_profile, f->session, NULL, 1, logits, ns);
    REFUSED(hrnet_session_profile, f->session, x, 1, NULL, ns);
    REFUSED(hrnet_session_profile, f->session, x, 1, logits, NULL);
    REFUSED(hrnet_session_feature_shape, NULL, "pool", shape);
    REFUSED(hrnet_session_feature_shape, f->session, NULL, shape);
    REFUSED(hrnet_session_feature_shape, f->session, "pool", NULL);
    REFUSED(hrnet_session_feature, NULL, "pool", x);
    REFUSED(hrnet_session_feature, f->session, NULL, x);
    REFUSED(hrnet_session_feature, f->session, "pool", NULL);
    REFUSED(hrnet_session_describe, NULL, &info);
    REFUSED(hrnet_session_describe, f->session, NULL);
    REFUSED(hrnet_session_step, NULL, 0, &step);
    REFUSED(hrnet_session_step, f->session, 0, NULL);
    hrnet_session_destroy(NULL);
    assert_null(session);
}

static void null_pictures_and_answers(void **state)
{
    struct hrnet_recipe recipe;
    uint8_t rgb[3] = { 0 }, *png = NULL;
    float x[4] = { 1, 2, 3, 4 };
    size_t size = 0, index[4];
    (void)state;
    assert_int_equal(hrnet_recipe_named("opencv", &recipe), HRNET_OK);
    REFUSED(hrnet_preprocess_file, NULL, CAT, NULL, x, NULL);
    REFUSED(hrnet_preprocess_file, &recipe, NULL, NULL, x, NULL);
    REFUSED(hrnet_preprocess_file, &recipe, CAT, NULL, NULL, NULL);
    REFUSED(hrnet_preprocess_memory, NULL, "x", 1, "x", NULL, x, NULL);
    REFUSED(hrnet_preprocess_memory, &recipe, NULL, 1, "x", NULL, x, NULL);
    REFUSED(hrnet_preprocess_memory, &recipe, "x", 1, "x", NULL, NULL, NULL);
    REFUSED(hrnet_preprocess_pixels, NULL, rgb, 1, 1, x);
    REFUSED(hrnet_preprocess_pixels, &recipe, NULL, 1, 1, x);
    REFUSED(hrnet_preprocess_pixels, &recipe, rgb, 1, 1, NULL);
    REFUSED(hrnet_preprocess_crop, NULL, "x", 1, "x", NULL, rgb, NULL);
    REFUSED(hrnet_preprocess_crop, &recipe, NULL, 1, "x", NULL, rgb, NULL);
    REFUSED(hrnet_preprocess_crop, &recipe, "x", 1, "x", NULL, NULL, NULL);
    REFUSED(hrnet_encode_png, NULL, 1, 1, &png, &size);
    REFUSED(hrnet_encode_png, rgb, 1, 1, NULL, &size);
    REFUSED(hrnet_encode_png, rgb, 1, 1, &png, NULL);
    hrnet_softmax(NULL, 4, x);
    hrnet_softmax(x, 4, NULL);
    hrnet_model_scores(NULL, x, x);
    assert_int_equal(hrnet_top_k(NULL, 4, 2, index), 0);
    assert_int_equal(hrnet_top_k(x, 4, 2, NULL), 0);
    hrnet_synthetic_input(NULL, 4, x);
    hrnet_synthetic_input("name", 4, NULL);
    hrnet_free(NULL);
    assert_memory_equal(x, ((float[]){ 1, 2, 3, 4 }), sizeof x);
}

static void null_zoo_and_options(void **state)
{
    struct hrnet_zoo_entry entry;
    (void)state;
    REFUSED(hrnet_zoo_architecture, 0, NULL);
    REFUSED(hrnet_zoo_weights, 0, NULL);
    REFUSED(hrnet_zoo_find, NULL, &entry);
    REFUSED(hrnet_zoo_find, "HRNet_W18_C", NULL);
    hrnet_model_options_init(NULL, sizeof(struct hrnet_model_options));
    hrnet_session_options_init(NULL, sizeof(struct hrnet_session_options));
    hrnet_decode_options_init(NULL, sizeof(struct hrnet_decode_options));
    hrnet_set_log(NULL, NULL);
    hrnet_set_allocator(NULL, NULL, NULL);
}

/* ---- Options of other versions ---- */

/* Each call with options whose first member is struct_size. */
static hrnet_status open_with(const struct fixture *f, const void *options)
{
    hrnet_model *model = NULL;
    const hrnet_status status = hrnet_model_open(&model, f->path, options);
    hrnet_model_release(model);
    return status;
}

static hrnet_status create_with(const struct fixture *f, const void *options)
{
    hrnet_session *session = NULL;
    const hrnet_status status = hrnet_session_create(&session, f->model, options);
    hrnet_session_destroy(session);
    return status;
}

static hrnet_status decode_with(const struct fixture *f, const void *options)
{
    static float x[3 * 224 * 224];
    struct hrnet_recipe recipe;
    (void)f;
    assert_int_equal(hrnet_recipe_named("opencv", &recipe), HRNET_OK);
    return hrnet_preprocess_file(&recipe, CAT, options, x, NULL);
}

static void init_model(void *options, size_t size)
{
    hrnet_model_options_init(options, size);
}
static void init_session(void *options, size_t size)
{
    hrnet_session_options_init(options, size);
}
static void init_decode(void *options, size_t size)
{
    hrnet_decode_options_init(options, size);
}

static const struct {
    const char *name;
    size_t size;
    void (*init)(void *options, size_t size);
    hrnet_status (*use)(const struct fixture *f, const void *options);
} structs[] = {
    { "hrnet_model_options", sizeof(struct hrnet_model_options), init_model, open_with },
    { "hrnet_session_options", sizeof(struct hrnet_session_options), init_session, create_with },
    { "hrnet_decode_options", sizeof(struct hrnet_decode_options), init_decode, decode_with },
};

static void set_size(uint8_t *options, size_t size)
{
    memcpy(options, &size, sizeof size);
}

static void options_that_were_never_initialised_are_refused(void **state)
{
    static const size_t sizes[] = { 0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX };
    for (size_t s = 0; s < COUNT(structs); s++)
        for (size_t i = 0; i < COUNT(sizes); i++) {
            _Alignas(16) uint8_t options[512] = { 0 };
            structs[s].init(options, structs[s].size);
            set_size(options, sizes[i]);
            assert_int_equal(structs[s].use(*state, options), HRNET_E_ARGUMENT);
            assert_non_null(strstr(hrnet_last_error(), structs[s].name));
            assert_non_null(strstr(hrnet_last_error(), "_init()"));
        }
}

static void options_of_an_older_version_keep_the_rest_at_its_defaults(void **state)
{
    for (size_t s = 0; s < COUNT(structs); s++)
        for (size_t size = sizeof(size_t); size < structs[s].size; size += sizeof(size_t)) {
            _Alignas(16) uint8_t options[512];
            memset(options, 0xaa, sizeof options); /* behind the struct lies something else */
            structs[s].init(options, size);
            for (size_t i = size; i < sizeof options; i++)
                assert_int_equal(options[i], 0xaa);
            if (structs[s].use(*state, options) != HRNET_OK)
                fail_msg("%s of %zu bytes: %s", structs[s].name, size, hrnet_last_error());
        }
}

static void options_of_a_later_version_must_be_zero_where_they_are_unknown(void **state)
{
    for (size_t s = 0; s < COUNT(structs); s++) {
        _Alignas(16) uint8_t options[512];
        memset(options, 0xaa, sizeof options);
        structs[s].init(options, structs[s].size + 24);
        assert_int_equal(options[structs[s].size + 24], 0xaa);
        assert_int_equal(structs[s].use(*state, options), HRNET_OK);
        options[structs[s].size + 23] = 1;
        assert_int_equal(structs[s].use(*state, options), HRNET_E_UNSUPPORTED);
        assert_non_null(strstr(hrnet_last_error(), "later version"));
    }
}

/* What is said behind struct_size counts, in a struct of the least size that holds it too. */
static void options_count(void **state)
{
    const struct fixture *f = *state;
    struct hrnet_model_options model;
    struct hrnet_session_options session;
    struct hrnet_decode_options decode;
    hrnet_model_options_init(&model, offsetof(struct hrnet_model_options, replace_head));
    model.classes = CLASSES + 1;
    assert_int_equal(open_with(f, &model), HRNET_E_MISMATCH);
    hrnet_session_options_init(&session, sizeof session);
    session.height = 33;
    assert_int_equal(create_with(f, &session), HRNET_E_SHAPE);
    hrnet_decode_options_init(&decode, sizeof decode);
    decode.max_pixels = 10;
    assert_int_equal(decode_with(f, &decode), HRNET_E_LIMIT);
}

/* ---- Messages, log ---- */

static void *fail_elsewhere(void *context)
{
    struct hrnet_zoo_entry entry;
    char *copy = context;
    assert_string_equal(hrnet_last_error(), "");
    assert_int_equal(hrnet_zoo_find("elsewhere", &entry), HRNET_E_NOT_FOUND);
    snprintf(copy, 256, "%s", hrnet_last_error());
    return NULL;
}

static void a_message_stays_until_the_next_failure_of_its_thread(void **state)
{
    struct hrnet_zoo_entry entry;
    char other[256] = "", mine[256];
    pthread_t thread;
    (void)state;
    assert_int_equal(hrnet_zoo_find("here", &entry), HRNET_E_NOT_FOUND);
    const char *text = hrnet_last_error();
    snprintf(mine, sizeof mine, "%s", text);
    assert_non_null(strstr(text, "here"));
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, other), 0);
    pthread_join(thread, NULL);
    assert_non_null(strstr(other, "elsewhere"));
    assert_int_equal(hrnet_zoo_find("HRNet_W18_C", &entry), HRNET_OK);
    assert_ptr_equal(hrnet_last_error(), text);
    assert_string_equal(text, mine);
    assert_int_equal(hrnet_zoo_find("another", &entry), HRNET_E_NOT_FOUND);
    assert_non_null(strstr(hrnet_last_error(), "another"));
}

static void statuses_have_texts_and_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(hrnet_status_exit_code(HRNET_OK), 0);
    for (int i = HRNET_E_ARGUMENT; i <= HRNET_E_INTERNAL; i++) {
        assert_true(strlen(hrnet_status_text((hrnet_status)i)) > 5);
        assert_true(hrnet_status_exit_code((hrnet_status)i) > 0);
    }
    assert_int_equal(hrnet_status_exit_code(HRNET_E_FORMAT), 3);
    assert_int_equal(hrnet_status_exit_code(HRNET_E_IO), 4);
    assert_non_null(hrnet_status_text((hrnet_status)999));
}

static void keep_warning(void *context, int level, const char *message)
{
    if (level == 1)
        snprintf(context, 256, "%s", message);
}

static void the_log_receives_warnings(void **state)
{
    const struct fixture *f = *state;
    struct hrnet_session_options options;
    struct hrnet_session_info info;
    hrnet_session *session = NULL;
    char warning[256] = "";
    hrnet_session_options_init(&options, sizeof options);
    options.threads = 1024;
    options.height = options.width = SIDE;
    hrnet_set_log(keep_warning, warning);
    assert_int_equal(hrnet_session_create(&session, f->model, &options), HRNET_OK);
    hrnet_set_log(NULL, NULL);
    assert_int_equal(hrnet_session_describe(session, &info), HRNET_OK);
    assert_int_equal(info.threads, hrnet_cpu_count());
    hrnet_session_destroy(session);
    assert_non_null(strstr(warning, "1024"));
    assert_int_equal(hrnet_session_create(&session, f->model, &options), HRNET_OK); /* silent */
    hrnet_session_destroy(session);
}

/* ---- What is known without a model ---- */

static void the_library_describes_itself(void **state)
{
    char version[32];
    (void)state;
    snprintf(version, sizeof version, "%d.%d.%d", HRNET_VERSION_MAJOR, HRNET_VERSION_MINOR,
             HRNET_VERSION_PATCH);
    assert_string_equal(hrnet_version(), version);
    assert_non_null(strstr(hrnet_build_info(), version));
    assert_true(strlen(hrnet_cpu_name()) > 0);
    assert_true(strlen(hrnet_cpu_isa()) > 0);
    assert_true(hrnet_cpu_count() >= 1);
    assert_true(hrnet_cpu_peak_gflops(NULL, 1) > 0);
    assert_true(hrnet_cpu_peak_gflops("mmx", 1) == 0.0);
    assert_true(hrnet_cpu_peak_gflops(NULL, 0) == 0.0);
    assert_true(hrnet_cpu_read_gbytes(NULL, (size_t)1 << 20, 2) > 0);
    assert_true(hrnet_cpu_read_gbytes("baseline", 512, 1) > 0);
    assert_true(hrnet_cpu_read_gbytes("mmx", 512, 1) == 0.0);
    assert_true(hrnet_cpu_read_gbytes(NULL, 512, 2) == 0.0); /* a grain for one thread only */
    assert_true(hrnet_cpu_read_gbytes(NULL, SIZE_MAX, 1) == 0.0);
    assert_true(hrnet_cpu_read_gbytes(NULL, (size_t)1 << 20, 0) == 0.0);
}

static void the_zoo_is_found_by_index_and_name(void **state)
{
    struct hrnet_zoo_entry entry, found;
    (void)state;
    assert_int_equal(hrnet_zoo_architecture_count(), 18);
    for (size_t i = 0; i < hrnet_zoo_architecture_count(); i++) {
        assert_int_equal(hrnet_zoo_architecture(i, &entry), HRNET_OK);
        assert_int_equal(hrnet_zoo_find(entry.name, &found), HRNET_OK);
        assert_string_equal(found.architecture, entry.architecture);
        assert_int_equal(found.multiply_adds, entry.multiply_adds);
    }
    for (size_t i = 0; i < hrnet_zoo_weights_count(); i++) {
        assert_int_equal(hrnet_zoo_weights(i, &entry), HRNET_OK);
        assert_int_equal(hrnet_zoo_find(entry.name, &found), HRNET_OK);
        assert_string_equal(found.file, entry.file);
    }
    assert_int_equal(hrnet_zoo_architecture(18, &entry), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_zoo_weights(hrnet_zoo_weights_count(), &entry), HRNET_E_ARGUMENT);
    assert_int_equal(hrnet_zoo_find("HRNet_W19_C", &entry), HRNET_E_NOT_FOUND);
    assert_non_null(strstr(hrnet_last_error(), "did you mean"));
}

/* ---- Names that are no UTF-8 ---- */

static void paths_are_bytes(void **state)
{
    const struct fixture *f = *state;
    struct hrnet_model_info info;
    hrnet_model *model = NULL;
    char path[96], none[96];
    snprintf(path, sizeof path, "%s/\xff\xfe %%s\xc3.safetensors", f->folder);
    snprintf(none, sizeof none, "%s/\x80none%%n", f->folder);
    assert_int_equal(hrnet_model_save(f->model, path, HRNET_FILE_HRNET), HRNET_OK);
    assert_int_equal(hrnet_model_open(&model, path, NULL), HRNET_OK);
    assert_int_equal(hrnet_model_describe(model, &info), HRNET_OK);
    assert_int_equal(info.classes, CLASSES);
    hrnet_model_release(model);
    unlink(path);
    assert_int_equal(hrnet_model_open(&model, none, NULL), HRNET_E_NOT_FOUND);
    assert_non_null(strstr(hrnet_last_error(), none));
}

/* ---- An allocator that fails ---- */

struct failing {
    size_t calls, fail_at, live; /* fail_at counts from 1; 0: never */
};

static void *failing_allocate(void *context, size_t bytes, size_t align)
{
    struct failing *a = context;
    if (++a->calls == a->fail_at)
        return NULL;
    void *block = NULL;
    if (posix_memalign(&block, align, bytes) != 0)
        return NULL;
    a->live++;
    return block;
}

static void failing_release(void *context, void *block)
{
    struct failing *a = context;
    a->live -= block != NULL;
    free(block);
}

/* Everything from a file to an answer.  The first failure, or HRNET_OK. */
static hrnet_status whole_way(const char *path, struct hrnet_recipe *recipe)
{
    static float x[3 * 224 * 224], logits[CLASSES];
    static const char *const features[] = { "pool", "logits", NULL };
    struct hrnet_session_options options;
    struct hrnet_model_info info;
    hrnet_model *model = NULL;
    hrnet_session *session = NULL;
    hrnet_session_options_init(&options, sizeof options);
    options.threads = 2;
    options.height = options.width = SIDE;
    options.features = features;
    recipe->crop_height = recipe->crop_width = SIDE;
    hrnet_status status = hrnet_model_open(&model, path, NULL);
    if (status == HRNET_OK)
        status = hrnet_model_describe(model, &info);
    if (status == HRNET_OK)
        status = hrnet_session_create(&session, model, &options);
    if (status == HRNET_OK)
        status = hrnet_preprocess_file(recipe, CAT, NULL, x, NULL);
    if (status == HRNET_OK)
        status = hrnet_session_run(session, x, 1, logits);
    hrnet_session_destroy(session);
    hrnet_model_release(model);
    return status;
}

static int tear_down_allocator(void **state)
{
    (void)state;
    hrnet_set_allocator(NULL, NULL, NULL);
    return 0;
}

/* Every call in turn fails; each time the way ends in HRNET_E_MEMORY and nothing is left. */
static void memory_may_end_anywhere(void **state)
{
    const struct fixture *f = *state;
    struct failing a = { 0 };
    struct hrnet_recipe recipe;
    assert_int_equal(hrnet_recipe_named("opencv", &recipe), HRNET_OK);
    hrnet_set_allocator(failing_allocate, failing_release, &a);
    assert_int_equal(whole_way(f->path, &recipe), HRNET_OK);
    const size_t calls = a.calls;
    assert_true(calls > 100);
    for (size_t n = 1; n <= calls; n++) {
        a = (struct failing){ .fail_at = n };
        const hrnet_status status = whole_way(f->path, &recipe);
        if (status != HRNET_E_MEMORY || !strstr(hrnet_last_error(), "memory") || a.live)
            fail_msg("call %zu of %zu: status %d, %zu blocks left, '%s'", n, calls, (int)status,
                     a.live, hrnet_last_error());
    }
    print_message("%zu calls failed in turn\n", calls);
}

#define TEST(name) cmocka_unit_test(name)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(null_models),
        TEST(null_sessions),
        TEST(null_pictures_and_answers),
        TEST(null_zoo_and_options),
        TEST(options_that_were_never_initialised_are_refused),
        TEST(options_of_an_older_version_keep_the_rest_at_its_defaults),
        TEST(options_of_a_later_version_must_be_zero_where_they_are_unknown),
        TEST(options_count),
        TEST(a_message_stays_until_the_next_failure_of_its_thread),
        TEST(statuses_have_texts_and_exit_codes),
        TEST(the_log_receives_warnings),
        TEST(the_library_describes_itself),
        TEST(the_zoo_is_found_by_index_and_name),
        TEST(paths_are_bytes),
    };
    /* Apart: blocks must go back to the allocator that they came from. */
    const struct CMUnitTest failing[] = {
        cmocka_unit_test_teardown(memory_may_end_anywhere, tear_down_allocator),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down) +
           cmocka_run_group_tests(failing, set_up, tear_down);
}
