/* SPDX-License-Identifier: Apache-2.0
 * A Paddle inference program, whichever of its two formats it comes in: operators by their names of
 * the older one (.pdmodel), operands by slot, attributes by name.  What pdmodel.c and pir.c
 * translate, and program_read.c makes a graph of. */
#ifndef HR_EXCHANGE_PROGRAM_H
#define HR_EXCHANGE_PROGRAM_H

#include <stdio.h>

#include "base/mem.h"
#include "exchange/import.h"
#include "model/model.h"

enum hr_attribute_kind {
    HR_ATTRIBUTE_INT,
    HR_ATTRIBUTE_LONG,
    HR_ATTRIBUTE_FLOAT,
    HR_ATTRIBUTE_BOOL,
    HR_ATTRIBUTE_TEXT,
    HR_ATTRIBUTE_INTS,
    HR_ATTRIBUTE_LONGS,
    HR_ATTRIBUTE_FLOATS
};

#define HR_MOST_NUMBERS 8 /* of a list: more is cut, and count tells */

struct hr_program_attribute {
    const char *name;
    enum hr_attribute_kind kind;
    const char *text;
    size_t count; /* of a list; else 1 */
    double number[HR_MOST_NUMBERS];
};

struct hr_program_slot {
    const char *name, *value; /* "Input", "conv2d_0.tmp_0" */
    struct hr_shape shape;    /* of results, when a program is written; -1: free */
};

struct hr_program_op {
    const char *type; /* "conv2d" */
    struct hr_program_slot *in, *out;
    struct hr_program_attribute *attributes;
    size_t in_count, out_count, attribute_count;
};

struct hr_program {
    struct hr_arena arena; /* owns what the operators have */
    struct hr_program_op *ops;
    size_t op_count, op_capacity;
    struct hr_program_param {
        const char *name, *value; /* PIR counts its values; else they are one */
        const char *source;       /* our name of the weights, when a program is written */
        struct hr_shape shape;
    } * params; /* in the order of the parameters' file */
    size_t param_count, param_capacity;
    struct hr_store
        *folded;      /* when a program is written: weights with norms multiplied in, or NULL */
    int64_t input[4]; /* declared dimensions; below 1: free */
};
void hr_program_fini(struct hr_program *program);

/* Appends an operator with room for so many operands and attributes. */
enum hr_status hr_program_add(struct hr_program *program, const char *type, size_t in_count,
                              size_t out_count, size_t attribute_count,
                              struct hr_program_op **out) HR_WARN_UNUSED;
enum hr_status hr_program_add_param(struct hr_program *program, const char *name,
                                    const char *value) HR_WARN_UNUSED;
/* Sorts the parameters as their file has them, by their bytes. */
void hr_program_sort_params(struct hr_program *program);

/* The first value in a slot, or NULL. */
const char *hr_program_in(const struct hr_program_op *op, const char *slot);
const char *hr_program_out(const struct hr_program_op *op, const char *slot);
const struct hr_program_attribute *hr_program_attribute(const struct hr_program_op *op,
                                                        const char *name); /* or NULL */

/* The two formats. */
enum hr_status hr_pdmodel_read(struct hr_program *program, const void *data, size_t size,
                               const char *name) HR_WARN_UNUSED;
enum hr_status hr_pir_read(struct hr_program *program, const void *data, size_t size,
                           const char *name) HR_WARN_UNUSED;

/* Makes a graph of a program (whose arena is used for names); params[size): the bytes of the
 * parameters' file, views of which go into the store. */
enum hr_status hr_program_graph(struct hr_graph **graph, struct hr_store **weights,
                                struct hr_foreign *is, struct hr_program *program,
                                const void *params, size_t size,
                                const char *params_name) HR_WARN_UNUSED;

struct hr_program_options {
    bool pir;              /* Paddle 3's format */
    int64_t batch;         /* below 1: free */
    int64_t height, width; /* below 1: free, both or none */
    enum hr_result result;
    bool fold; /* multiply batch norms into their convolutions, which get biases */
};
/* The program of a model, for one of the two formats.  Zero-initialise; fini even after a failure.
 */
enum hr_status hr_program_of(struct hr_program *program, const struct hr_model *model,
                             const struct hr_program_options *options) HR_WARN_UNUSED;
/* Write its two files to streams, whose errors stick to them; weights: the model's. */
enum hr_status hr_pdmodel_write(const struct hr_program *program, FILE *file,
                                const char *name) HR_WARN_UNUSED;
enum hr_status hr_pir_write(const struct hr_program *program, FILE *file,
                            const char *name) HR_WARN_UNUSED;
enum hr_status hr_program_write_params(const struct hr_program *program,
                                       const struct hr_store *weights, FILE *file) HR_WARN_UNUSED;

#endif
