/* SPDX-License-Identifier: Apache-2.0
 * The pickle machine: every opcode it knows, every refusal by its words, names that are not
 * allowed, shared and nested values, every cut, every flipped bit, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/os.h"
#include "hostile.h"
#include "wire/pickle.h"

#define SEEDS HRNET_TESTS_DIR "/fuzz/corpus/pickle"

static const char *const allowed[] = { "builtins.tuple", "numpy.dtype" };

static enum hr_status load(struct hr_pickle **out, struct hr_arena *arena, const void *data,
                           size_t size)
{
    struct hr_reader reader = hr_reader_of(data, size, "x.pkl");
    return hr_pickle_load(out, arena, &reader, allowed, HR_COUNT(allowed));
}

#define LOAD(arena, text) load_whole(arena, text, sizeof text - 1)
static struct hr_pickle *load_whole(struct hr_arena *arena, const void *data, size_t size)
{
    struct hr_pickle *value = NULL;
    if (load(&value, arena, data, size) != HR_OK)
        fail_msg("%s", hr_last_message());
    return value;
}

static void numbers(void **state)
{
    static const struct {
        const char *pickle;
        size_t size;
        int64_t value;
    } cases[] = {
#define CASE(text, value) { text, sizeof text - 1, value }
        CASE("K\377.", 255),
        CASE("M\1\2.", 513),
        CASE("J\376\377\377\377.", -2),
        CASE("\x8a\0.", 0),
        CASE("\x8a\1\377.", -1),
        CASE("\x8a\2\0\1.", 256),
        CASE("\x8b\2\0\0\0\0\1.", 256),
        CASE("\x8a\x08\0\0\0\0\0\0\0\x80.", INT64_MIN),
        CASE("I12\n.", 12),
        CASE("I-3\n.", -3),
        CASE("L99L\n.", 99),
        CASE("L99\n.", 99),
#undef CASE
    };
    struct hr_arena arena = { 0 };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        const struct hr_pickle *v = load_whole(&arena, cases[i].pickle, cases[i].size);
        assert_int_equal(v->kind, HR_PICKLE_INT);
        assert_true(v->integer == cases[i].value);
    }
    assert_int_equal(LOAD(&arena, "\x88.")->kind, HR_PICKLE_BOOL);
    assert_int_equal(LOAD(&arena, "\x88.")->integer, 1);
    assert_int_equal(LOAD(&arena, "\x89.")->integer, 0);
    assert_int_equal(LOAD(&arena, "I01\n.")->kind, HR_PICKLE_BOOL);
    assert_int_equal(LOAD(&arena, "I01\n.")->integer, 1);
    assert_int_equal(LOAD(&arena, "I00\n.")->integer, 0);
    assert_int_equal(LOAD(&arena, "N.")->kind, HR_PICKLE_NONE);
    assert_true(LOAD(&arena, "G\x3f\xf8\0\0\0\0\0\0.")->real == 1.5);
    assert_true(LOAD(&arena, "F-2.5\n.")->real == -2.5);
    const struct hr_pickle *big = LOAD(&arena, "\x8a\x09\0\0\0\0\0\0\0\0\1.");
    assert_int_equal(big->kind, HR_PICKLE_BYTES);
    assert_int_equal(big->bytes.size, 9);
    hr_arena_fini(&arena);
}

static void texts_and_bytes(void **state)
{
    static const struct {
        const char *pickle;
        size_t size;
        enum hr_pickle_kind kind;
    } cases[] = {
#define CASE(text, kind) { text, sizeof text - 1, kind }
        CASE("X\2\0\0\0ab.", HR_PICKLE_STRING),
        CASE("\x8c\2ab.", HR_PICKLE_STRING),
        CASE("\x8d\2\0\0\0\0\0\0\0ab.", HR_PICKLE_STRING),
        CASE("U\2ab.", HR_PICKLE_STRING),
        CASE("T\2\0\0\0ab.", HR_PICKLE_STRING),
        CASE("Vab\n.", HR_PICKLE_STRING),
        CASE("S'ab'\n.", HR_PICKLE_STRING),
        CASE("C\2ab.", HR_PICKLE_BYTES),
        CASE("B\2\0\0\0ab.", HR_PICKLE_BYTES),
        CASE("\x8e\2\0\0\0\0\0\0\0ab.", HR_PICKLE_BYTES),
        CASE("\x96\2\0\0\0\0\0\0\0ab.", HR_PICKLE_BYTES), /* bytearray */
#undef CASE
    };
    struct hr_arena arena = { 0 };
    (void)state;
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        const struct hr_pickle *v = load_whole(&arena, cases[i].pickle, cases[i].size);
        assert_int_equal(v->kind, cases[i].kind);
        assert_true(hr_pickle_is(v, "ab"));
        assert_false(hr_pickle_is(v, "abc"));
    }
    hr_arena_fini(&arena);
}

static void containers(void **state)
{
    struct hr_arena arena = { 0 };
    (void)state;
    static const struct {
        const char *pickle;
        size_t size, count;
        enum hr_pickle_kind kind;
    } cases[] = {
#define CASE(text, kind, count) { text, sizeof text - 1, count, kind }
        CASE("].", HR_PICKLE_LIST, 0),
        CASE("]K\1a.", HR_PICKLE_LIST, 1),
        CASE("](K\1K\2e.", HR_PICKLE_LIST, 2),
        CASE("(K\1K\2l.", HR_PICKLE_LIST, 2),
        CASE(").", HR_PICKLE_TUPLE, 0),
        CASE("K\1\x85.", HR_PICKLE_TUPLE, 1),
        CASE("K\1N\x86.", HR_PICKLE_TUPLE, 2),
        CASE("K\1NN\x87.", HR_PICKLE_TUPLE, 3),
        CASE("(NNNNt.", HR_PICKLE_TUPLE, 4),
        CASE("}.", HR_PICKLE_DICT, 0),
        CASE("}K\1Ns.", HR_PICKLE_DICT, 2),
        CASE("}(K\1NK\2Nu.", HR_PICKLE_DICT, 4),
        CASE("(K\1Nd.", HR_PICKLE_DICT, 2),
        CASE("\x8f(K\1K\2\x90.", HR_PICKLE_LIST, 2), /* a set */
        CASE("(K\1K\2\x91.", HR_PICKLE_LIST, 2),     /* a frozen set */
        CASE("K\1"
             "20K\2\x86.",
             HR_PICKLE_TUPLE, 2), /* DUP, POP */
        CASE("]"
             "(NN1.",
             HR_PICKLE_LIST, 0), /* POP_MARK */
        CASE("]"
             "(0.",
             HR_PICKLE_LIST, 0), /* POP of a mark */
        CASE("\x80\4\x95\0\0\0\0\0\0\0\0].", HR_PICKLE_LIST, 0),
        CASE("]q\0h\0\x86.", HR_PICKLE_TUPLE, 2),
        CASE("]r\0\0\0\0j\0\0\0\0\x86.", HR_PICKLE_TUPLE, 2),
        CASE("]\x94h\0\x86.", HR_PICKLE_TUPLE, 2),
        CASE("]p0\ng0\n\x86.", HR_PICKLE_TUPLE, 2),
        CASE("ccollections\nOrderedDict\n)R.", HR_PICKLE_DICT, 0),
        CASE("ccollections\nOrderedDict\n](K\1K\2\x86"
             "e\x85R.",
             HR_PICKLE_DICT, 2),
#undef CASE
    };
    for (size_t i = 0; i < HR_COUNT(cases); i++) {
        const struct hr_pickle *v = load_whole(&arena, cases[i].pickle, cases[i].size);
        if (v->kind != cases[i].kind || v->count != cases[i].count)
            fail_msg("case %zu: kind %d, count %zu", i, v->kind, v->count);
    }
    const struct hr_pickle *twice = LOAD(&arena, "}(U\1aK\1U\1aK\2U\1bK\3u.");
    assert_int_equal(hr_pickle_get(twice, "a")->integer, 2);
    assert_int_equal(hr_pickle_get(twice, "b")->integer, 3);
    assert_null(hr_pickle_get(twice, "c"));
    assert_null(hr_pickle_get(LOAD(&arena, "N."), "a"));
    hr_arena_fini(&arena);
}

static void calls_are_recorded_not_made(void **state)
{
    struct hr_arena arena = { 0 };
    (void)state;
    const struct hr_pickle *v = LOAD(&arena, "cbuiltins\ntuple\nK\7\x85RN\x62.");
    assert_true(hr_pickle_made_by(v, "builtins.tuple"));
    assert_int_equal(v->args->items[0]->integer, 7);
    assert_int_equal(v->state->kind, HR_PICKLE_NONE);
    v = LOAD(&arena, "\x8c\5numpy\x8c\5dtype\x93.");
    assert_int_equal(v->kind, HR_PICKLE_GLOBAL);
    assert_true(hr_pickle_is(v, "numpy.dtype"));
    v = LOAD(&arena, "U\7storage\x85Q.");
    assert_int_equal(v->kind, HR_PICKLE_PERSISTENT);
    assert_true(hr_pickle_is(v->args->items[0], "storage"));
    assert_false(hr_pickle_seen(v));
    assert_true(hr_pickle_seen(v));
    hr_arena_fini(&arena);
}

static void refuse(const char *pickle, size_t size, enum hr_status want, const char *words)
{
    struct hr_arena arena = { 0 };
    struct hr_pickle *value = NULL;
    const enum hr_status status = load(&value, &arena, pickle, size);
    if (status != want || !strstr(hr_last_message(), words))
        fail_msg("'%s' wanted, status %d: %s", words, status, hr_last_message());
    assert_non_null(strstr(hr_last_message(), "x.pkl"));
    assert_null(value);
    hr_arena_fini(&arena);
}

static void forbidden_names_are_told(void **state)
{
    (void)state;
#define REFUSE(text, status, words) refuse(text, sizeof text - 1, status, words)
    REFUSE("cos\nsystem\nU\4true\x85R.", HR_E_UNSUPPORTED, "'os.system'");
    REFUSE("\x8c\5posix\x8c\6system\x93.", HR_E_UNSUPPORTED, "'posix.system'");
    REFUSE("c__builtin__\neval\n.", HR_E_UNSUPPORTED, "'__builtin__.eval'");
    REFUSE("cbuiltins\ntupl\n.", HR_E_UNSUPPORTED, "'builtins.tupl'");
    REFUSE("cbuiltins\ntuples\n.", HR_E_UNSUPPORTED, "nothing was run");
    REFUSE("c\33[31mos\nsystem\n.", HR_E_FORMAT, "not text");
    REFUSE("cos\0\nsystem\n.", HR_E_FORMAT, "not text");
}

static void every_refusal(void **state)
{
    static char deep[10001];
    (void)state;
    REFUSE("", HR_E_FORMAT, "ends in the middle");
    REFUSE("N", HR_E_FORMAT, "ends in the middle");
    REFUSE(".", HR_E_FORMAT, "the stack is empty");
    REFUSE("\x80\6N.", HR_E_UNSUPPORTED, "protocol 6 is newer than 5");
    REFUSE("X\377\377\377\377abc", HR_E_FORMAT, "a string of 4294967295 bytes at byte 5, only 3");
    REFUSE("\x8e\377\377\377\377\377\377\377\377abc", HR_E_FORMAT, "18446744073709551615 bytes");
    REFUSE("\x96\377\377\377\177\0\0\0\0abc", HR_E_FORMAT, "2147483647 bytes");
    REFUSE("\x8b\377\377\377\177.", HR_E_FORMAT, "ends too early");
    REFUSE("Nr\377\377\377\177.", HR_E_FORMAT, "memo index is too large");
    REFUSE("h\0.", HR_E_FORMAT, "used before it is set");
    REFUSE("Nq\2h\1.", HR_E_FORMAT, "used before it is set");
    REFUSE("q\0.", HR_E_FORMAT, "the stack is empty");
    REFUSE("Np-1\n.", HR_E_FORMAT, "memo index is negative");
    REFUSE("g-1\n.", HR_E_FORMAT, "memo index is negative");
    REFUSE("Ix\n.", HR_E_FORMAT, "no whole number");
    REFUSE("Fx\n.", HR_E_FORMAT, "no number");
    REFUSE("I12", HR_E_FORMAT, "has no end");
    REFUSE("L1111111111111111111111111111111111111111111111111111111111111111L\n.", HR_E_FORMAT,
           "too long");
    REFUSE("S'\n.", HR_E_FORMAT, "lacks its quotes");
    REFUSE("}(N"
           "u.",
           HR_E_FORMAT, "a key without a value");
    REFUSE("(N"
           "d.",
           HR_E_FORMAT, "a key without a value");
    REFUSE("]NNs.", HR_E_FORMAT, "no dict");
    REFUSE("}Na.", HR_E_FORMAT, "no list");
    REFUSE("t.", HR_E_FORMAT, "there is no mark");
    REFUSE("1.", HR_E_FORMAT, "there is no mark");
    REFUSE("NN\x87.", HR_E_FORMAT, "the stack is empty");
    REFUSE("N(\x85.", HR_E_FORMAT, "the stack is empty");
    REFUSE("(2.", HR_E_FORMAT, "the stack is empty");
    REFUSE("NN\x93.", HR_E_FORMAT, "is no string");
    REFUSE("N)R.", HR_E_FORMAT, "what is no known name");
    REFUSE("cbuiltins\ntuple\nNR.", HR_E_FORMAT, "what is no known name");
    REFUSE("NN"
           "b.",
           HR_E_FORMAT, "what is no object");
    REFUSE("ccollections\nOrderedDict\n](Ne\x85R.", HR_E_FORMAT, "no pairs");
    REFUSE("(ios\nsystem\n.", HR_E_UNSUPPORTED, "opcode 0x69");                  /* INST */
    REFUSE("(cbuiltins\ntuple\no.", HR_E_UNSUPPORTED, "opcode 0x6f at byte 17"); /* OBJ */
    REFUSE("cbuiltins\ntuple\n)\x81.", HR_E_UNSUPPORTED, "opcode 0x81");         /* NEWOBJ */
    REFUSE("\x82\1.", HR_E_UNSUPPORTED, "opcode 0x82");                          /* EXT1 */
    REFUSE("\x97.", HR_E_UNSUPPORTED, "opcode 0x97"); /* a buffer outside the pickle */
    REFUSE("N\x98.", HR_E_UNSUPPORTED, "opcode 0x98");
    memset(deep, '(', 10000);
    refuse(deep, 10000, HR_E_FORMAT, "ends in the middle");
    memset(deep, ']', 10000);
    refuse(deep, 10000, HR_E_FORMAT, "ends in the middle");
#undef REFUSE
}

/* 40 lists, each twice in the next: 2^40 leaves for whoever forgets what was seen. */
static void shared_values_cost_nothing(void **state)
{
    struct hr_map map = { 0 };
    struct hr_arena arena = { 0 };
    (void)state;
    assert_int_equal(hr_map_open(&map, SEEDS "/seed_shared"), HR_OK);
    const struct hr_pickle *v = load_whole(&arena, map.data, map.size);
    for (int level = 0; level < 40; level++) {
        assert_int_equal(v->count, 2);
        assert_ptr_equal(v->items[0], v->items[1]);
        v = v->items[0];
    }
    assert_int_equal(v->count, 0);
    hr_arena_fini(&arena);
    hr_map_close(&map);
}

/* One list of pairs made into ordered dicts again and again would grow without bound. */
static void copies_are_bounded(void **state)
{
    struct hr_buffer b = { 0 };
    struct hr_arena arena = { 0 };
    struct hr_pickle *value;
    (void)state;
    hr_buffer_put(&b, "](", 2);
    for (int i = 0; i < 200; i++)
        hr_buffer_put(&b, "NN\x86", 3);
    hr_buffer_put(&b, "e\x85q\0", 4);
    for (int i = 0; i < 20; i++)
        hr_buffer_put(&b, "ccollections\nOrderedDict\nh\0R0", 29);
    hr_buffer_put(&b, ".", 1);
    assert_int_equal(load(&value, &arena, b.data, b.size), HR_E_FORMAT);
    assert_non_null(strstr(hr_last_message(), "again and again"));
    hr_arena_fini(&arena);
    hr_buffer_fini(&b);
}

/* ---- Hostile bytes ---- */

static void any_end(void *context, const uint8_t *data, size_t size)
{
    struct hr_arena arena = { 0 };
    struct hr_pickle *value = NULL;
    const enum hr_status status = load(&value, &arena, data, size);
    if (context) /* must fail, with words */
        assert_true(status == HR_E_FORMAT || status == HR_E_UNSUPPORTED);
    assert_true((status == HR_OK) == (value != NULL));
    assert_true(status != HR_E_MEMORY && status != HR_E_INTERNAL);
    hr_arena_fini(&arena);
}

static void failing_memory(const struct hr_map *map)
{
    bool failed = true;
    for (unsigned n = 0; failed; n++) {
        struct hr_arena arena = { 0 };
        struct hr_pickle *value;
        hostile_memory_fail(n);
        const enum hr_status status = load(&value, &arena, map->data, map->size);
        hr_arena_fini(&arena);
        failed = hostile_memory_restore();
        if (failed)
            assert_int_equal(status, HR_E_MEMORY);
    }
}

static void hostile_seeds(void **state)
{
    struct hr_names names = { 0 };
    (void)state;
    assert_int_equal(hr_os_walk(&names, SEEDS, true), HR_OK);
    assert_in_range(names.count, 14, 1000);
    for (size_t i = 0; i < names.count; i++) {
        struct hr_map map = { 0 };
        assert_int_equal(hr_map_open(&map, names.items[i]), HR_OK);
        hostile_cuts(map.data, map.size, any_end, "must fail");
        hostile_flips(map.data, map.size, any_end, NULL);
        hostile_mutations(map.data, map.size, 7, 300, any_end, NULL);
        if (strstr(names.items[i], "plain") || strstr(names.items[i], "shared"))
            failing_memory(&map);
        hr_map_close(&map);
    }
    hr_names_fini(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts_and_bytes),
        cmocka_unit_test(containers),
        cmocka_unit_test(calls_are_recorded_not_made),
        cmocka_unit_test(forbidden_names_are_told),
        cmocka_unit_test(every_refusal),
        cmocka_unit_test(shared_values_cost_nothing),
        cmocka_unit_test(copies_are_bounded),
        cmocka_unit_test(hostile_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
