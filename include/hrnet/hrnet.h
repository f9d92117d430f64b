/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file hrnet.h
 * HRNet image models: open weights, preprocess pictures, run, read the answer.
 *
 * Model objects are immutable and may be used from any thread; a session serves one thread at a
 * time, and any number of sessions may share one model.  Functions return HRNET_OK or an error;
 * hrnet_last_error() then holds one sentence, per thread.  On failure outputs are untouched unless
 * stated.  The library never prints, exits or aborts.
 */
#ifndef HRNET_H
#define HRNET_H

#include <stddef.h>
#include <stdint.h>

#define HRNET_VERSION_MAJOR 0
#define HRNET_VERSION_MINOR 1
#define HRNET_VERSION_PATCH 0

#if defined(__GNUC__)
#define HRNET_API __attribute__((visibility("default")))
#else
#define HRNET_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Errors, log, memory ------------------------------------------------------------------ */

typedef enum hrnet_status {
    HRNET_OK = 0,
    HRNET_E_ARGUMENT = 1,    /**< an argument or option is out of range */
    HRNET_E_SHAPE = 2,       /**< shapes or sizes do not fit */
    HRNET_E_FORMAT = 3,      /**< a file or message is malformed */
    HRNET_E_NOT_FOUND = 4,   /**< no such file, model, feature or name */
    HRNET_E_IO = 5,          /**< reading, writing or the network failed */
    HRNET_E_LIMIT = 6,       /**< larger than a limit allows */
    HRNET_E_UNSUPPORTED = 7, /**< understood, but not supported */
    HRNET_E_MISMATCH = 8,    /**< weights do not fit the model */
    HRNET_E_MEMORY = 9,      /**< out of memory */
    HRNET_E_DEADLINE = 10,   /**< a deadline passed */
    HRNET_E_BUSY = 11,       /**< a queue is full */
    HRNET_E_CANCELLED = 12,  /**< cancelled by the caller */
    HRNET_E_INTERNAL = 13    /**< a bug in hrnet */
} hrnet_status;

/** Text of a status ("file or message is malformed"); never NULL. */
HRNET_API const char *hrnet_status_text(hrnet_status status);
/** Exit code that a program should end with for this status (0 to 4, 130). */
HRNET_API int hrnet_status_exit_code(hrnet_status status);
/** This thread's last error, one sentence; "" if none.  Valid until its next failure. */
HRNET_API const char *hrnet_last_error(void);

/** Receives warnings; level 0 information, 1 warning.  Set before other threads use the library. */
typedef void hrnet_log_fn(void *context, int level, const char *message);
HRNET_API void hrnet_set_log(hrnet_log_fn *fn, void *context);

/** Replaces malloc for the library's own blocks.  Call before anything else; both or neither NULL.
 */
typedef void *hrnet_allocate_fn(void *context, size_t bytes, size_t align);
typedef void hrnet_release_fn(void *context, void *block);
HRNET_API void hrnet_set_allocator(hrnet_allocate_fn *allocate, hrnet_release_fn *release,
                                   void *context);

/** "0.1.0" of the library that is running. */
HRNET_API const char *hrnet_version(void);
/** One line: version, compiler, features built in. */
HRNET_API const char *hrnet_build_info(void);
/** This machine's CPU name and the instruction set that would be used ("AMD EPYC", "avx2"). */
HRNET_API const char *hrnet_cpu_name(void);
HRNET_API const char *hrnet_cpu_isa(void);
/** CPUs this process may use (affinity and container quota). */
HRNET_API unsigned hrnet_cpu_count(void);
/** Measured peak of one core of instruction set `isa` (NULL: the best), in GFLOP/s fp32; takes
 *  about 50 ms.  `threads` cores at once; the sum is returned.  0 for an unknown isa. */
HRNET_API double hrnet_cpu_peak_gflops(const char *isa, unsigned threads);
/** Measured rate at which `threads` cores together read a block of `bytes` over and over with the
 *  loads of `isa` (NULL: the best), in GB/s: of memory if the block is far larger than the caches,
 *  of a cache if it fits.  Takes about 20 ms more than making the block.  0 without memory, for an
 *  unknown isa, or for less than 512 bytes a thread. */
HRNET_API double hrnet_cpu_read_gbytes(const char *isa, size_t bytes, unsigned threads);

/* ---- The zoo ------------------------------------------------------------------------------ */

/** What is known about an architecture, or a set of published weights, by name. */
struct hrnet_zoo_entry {
    const char *name;          /**< "HRNet_W18_C" */
    const char *architecture;  /**< same as name for an architecture */
    uint64_t parameters;       /**< trainable, 1000 classes */
    uint64_t multiply_adds;    /**< 224x224 */
    const char *url, *file;    /**< NULL for an architecture; url: and where none can be fetched */
    const char *sha256_prefix; /**< first hex digits of the file's SHA-256, or NULL */
    const char *recipe;
    double top1, top5; /**< published, as fractions; 0 if none */
    double flops_printed,
        parameters_printed;     /**< the published table's columns (G, M), 0 if none */
    const char *note, *licence; /**< or NULL */
};
HRNET_API size_t hrnet_zoo_architecture_count(void);
HRNET_API hrnet_status hrnet_zoo_architecture(size_t index, struct hrnet_zoo_entry *out);
HRNET_API size_t hrnet_zoo_weights_count(void);
HRNET_API hrnet_status hrnet_zoo_weights(size_t index, struct hrnet_zoo_entry *out);
/** By any name or alias: weights first, then architectures; HRNET_E_NOT_FOUND gives a hint. */
HRNET_API hrnet_status hrnet_zoo_find(const char *name, struct hrnet_zoo_entry *out);

/* ---- Recipes ------------------------------------------------------------------------------ */

typedef enum hrnet_resize {
    HRNET_RESIZE_OPENCV = 0,
    HRNET_RESIZE_PILLOW = 1,
    HRNET_RESIZE_PILLOW_BICUBIC = 2
} hrnet_resize;

/** From a picture to the network's input; see docs/recipes.md. */
struct hrnet_recipe {
    char name[32];
    hrnet_resize resize;
    int resize_short;            /**< short side after resizing, px; 0: resize to the crop size */
    int crop_width, crop_height; /**< px */
    float scale, mean[3], deviation[3]; /**< RGB */
};
/** "opencv", "opencv-deploy", "pillow", "pillow-bicubic". */
HRNET_API hrnet_status hrnet_recipe_named(const char *name, struct hrnet_recipe *out);

/* ---- Models ------------------------------------------------------------------------------- */

typedef struct hrnet_model hrnet_model;

/** What a network answers with: logits, or scores: shares of 1 (softmax) for one label a picture,
 * or each class for itself (sigmoid) for several. */
typedef enum hrnet_result {
    HRNET_RESULT_LOGITS = 0,
    HRNET_RESULT_SOFTMAX = 1,
    HRNET_RESULT_SIGMOID = 2
} hrnet_result;

struct hrnet_model_options {
    size_t struct_size;       /**< set by hrnet_model_options_init() */
    const char *architecture; /**< the file must be this one; NULL: whatever it is */
    int classes;              /**< the file must have so many; 0: whatever it has */
    int replace_head;         /**< nonzero: make a fresh head of `classes` outputs instead */
    const struct hrnet_recipe *recipe; /**< NULL: the file's own, or its family's default */
    const char *labels_path;  /**< label file; NULL: the file's own or the built-in names */
    int microsoft_fuse_order; /**< nonzero: add fuse terms in Microsoft's order */
    hrnet_result activation;  /**< what makes scores; logits: what the file says, or softmax */
    unsigned threads;         /**< that check the file's values; 0: the CPUs, at most 8 */
};
/** Sets the defaults; struct_size is sizeof of the caller's struct.  Options of another size than
 *  this version's are taken: missing ones keep their default, later ones must be zero.  Options
 *  that were not initialised are refused.  The same holds for the other two option structs. */
HRNET_API void hrnet_model_options_init(struct hrnet_model_options *options, size_t struct_size);

/**
 * Opens a model in any known format (told from the content) and checks every tensor.  path: a file
 * of weights or an ONNX file, or a Paddle program's folder or prefix.
 * @param out   receives the model; release with hrnet_model_release()
 * @param options NULL for the defaults
 * @return HRNET_E_NOT_FOUND, _FORMAT, _MISMATCH (the message is the verdict), _LIMIT, _MEMORY
 */
HRNET_API hrnet_status hrnet_model_open(hrnet_model **out, const char *path,
                                        const struct hrnet_model_options *options);
/** From memory, which must outlive the model.  `name` is for messages. */
HRNET_API hrnet_status hrnet_model_open_memory(hrnet_model **out, const void *data, size_t size,
                                               const char *name,
                                               const struct hrnet_model_options *options);
/** An architecture with deterministic synthetic weights: for benchmarks and tests only. */
HRNET_API hrnet_status hrnet_model_synthetic(hrnet_model **out, const char *architecture,
                                             const struct hrnet_model_options *options);
/** Sessions keep their model alive; releasing early is fine.  NULL is allowed. */
HRNET_API void hrnet_model_release(hrnet_model *model);

struct hrnet_model_info {
    const char *architecture, *format, *scheme; /**< "HRNet_W18_C", "safetensors", "Paddle 2.1" */
    const char *prefix;                         /**< wrapper stripped from names, "" if none */
    const char *verdict;                        /**< how loading ended, in words */
    const char *precision;                      /**< "fp32" */
    const char *published;                      /**< name of published weights, or NULL */
    const char *fuse_order;                     /**< "paddle" or "microsoft" */
    int classes, squeeze;                       /**< squeeze: nonzero with squeeze-and-excitation */
    uint64_t parameters;                        /**< trainable */
    uint64_t parameters_page;   /**< as the published page counts: without linear biases */
    uint64_t parameters_stored; /**< with running statistics */
    uint64_t tensors;
    uint64_t multiply_adds; /**< at the recipe's size, one picture */
    uint64_t weight_bytes;
    char checksum[65]; /**< SHA-256 over names, shapes and bytes */
    int label_count;
    int head_untrained;      /**< nonzero: the classifier was never trained, nothing is predicted */
    uint64_t ignored;        /**< tensors of the file that are none of the network's */
    hrnet_result activation; /**< what makes scores of its logits: softmax or sigmoid */
};
/** Strings live as long as the model. */
HRNET_API hrnet_status hrnet_model_describe(const hrnet_model *model, struct hrnet_model_info *out);
HRNET_API hrnet_status hrnet_model_recipe(const hrnet_model *model, struct hrnet_recipe *out);
/** Name of a class, or "" where there is none. */
HRNET_API const char *hrnet_model_label(const hrnet_model *model, int class_index);

/** Formats of hrnet_model_save(). */
typedef enum hrnet_file_format {
    HRNET_FILE_HRNET = 0,       /**< our own: safetensors, Paddle's names */
    HRNET_FILE_SAFETENSORS = 1, /**< safetensors, timm's names */
    HRNET_FILE_PADDLE = 2,      /**< .pdparams */
    HRNET_FILE_TORCH = 3,       /**< .pth, zip */
    HRNET_FILE_HALF = 4         /**< our own, convolutions and the classifier in 16 bits */
} hrnet_file_format;
/** Writes atomically.  Every format carries labels, recipe, checksum and the logits of the self
 *  test, which is run; Paddle's and PyTorch's own loaders do not see them (docs/formats.md). */
HRNET_API hrnet_status hrnet_model_save(hrnet_model *model, const char *path,
                                        hrnet_file_format format);

typedef enum hrnet_export_format {
    HRNET_EXPORT_ONNX = 0,
    HRNET_EXPORT_PADDLE = 1,        /**< PATH.pdmodel and PATH.pdiparams */
    HRNET_EXPORT_PADDLE_PIR = 2,    /**< PATH.json and PATH.pdiparams, of Paddle 3 */
    HRNET_EXPORT_PADDLE_SERVING = 3 /**< folders PATH_serving and PATH_client */
} hrnet_export_format;
struct hrnet_export_options {
    size_t struct_size; /**< set by hrnet_export_options_init() */
    int opset;          /**< of ONNX: 11 to 21 (default 17) */
    int batch;          /**< 0: free */
    int free_size;      /**< nonzero: any legal size; else the recipe's */
    hrnet_result result;
    int fold;                   /**< nonzero: multiply batch norms into their convolutions */
    int preprocess;             /**< nonzero: take uint8 [n,h,w,3] and normalise in the graph */
    int half;                   /**< nonzero: weights as float16, computed with as float32 */
    hrnet_export_format format; /**< opset, preprocess and half are ONNX's */
};
HRNET_API void hrnet_export_options_init(struct hrnet_export_options *options, size_t struct_size);
struct hrnet_export_report {
    double error; /**< of the file read back: largest difference over the largest logit */
};
/** Writes the network as an ONNX file, with recipe and labels as metadata, or as the two files of a
 *  Paddle program, of which `path` is the prefix.  Files get their names only after they were read
 *  back and the logits agreed (1e-4 of the largest; 2e-2 with float16 weights).  options may be
 * NULL for the defaults, report NULL. */
HRNET_API hrnet_status hrnet_model_export(hrnet_model *model, const char *path,
                                          const struct hrnet_export_options *options,
                                          struct hrnet_export_report *report);

struct hrnet_verify_report {
    int checksum_stored, checksum_passed;
    int self_test_stored, self_test_passed;
    double self_test_error; /**< largest difference over the largest logit */
    int uniform; /**< nonzero: every class gets nearly the same score, as of an untrained head */
};
/** Recomputes checksum and self test.  HRNET_OK: both are stored and passed, not uniform; else
 *  HRNET_E_MISMATCH and the report tells (it is filled either way). */
HRNET_API hrnet_status hrnet_model_verify(hrnet_model *model, struct hrnet_verify_report *out);

/* ---- Sessions ----------------------------------------------------------------------------- */

typedef struct hrnet_session hrnet_session;

/** When the steps of a network run.  The answers are the same. */
typedef enum hrnet_order {
    HRNET_ORDER_AUTO = 0,  /**< waves from three threads on, if they are more than the batch */
    HRNET_ORDER_STEPS = 1, /**< one after the other, each split over the threads */
    HRNET_ORDER_WAVES = 2  /**< steps that do not need each other side by side: branches of a
                                   module share the threads */
} hrnet_order;

struct hrnet_session_options {
    size_t struct_size;
    unsigned threads;  /**< 0: every CPU this process may use; more is clamped */
    size_t batch;      /**< largest batch, 1 to 1024 (default 1) */
    int height, width; /**< input size; 0: the recipe's */
    const char *cpu;   /**< "baseline", "avx2", "avx512": use at most this; NULL: the best */
    const char *const *features; /**< names of feature maps to keep; NULL-terminated, or NULL */
    int exact;          /**< nonzero: no Winograd; slower, and the same bits on every CPU */
    int untrained_head; /**< nonzero: run even if the classifier is untrained: for features, timing
                         */
    int lean_memory;   /**< nonzero: larger packed weights only where they gain much: three quarters
                          of the memory or less, some per cent slower, bits of its own */
    int bits_of_batch; /**< nonzero: kernels are chosen for `batch` pictures, not for one: up to a
                          tenth faster at 8, and a picture's bits then depend on `batch` */
    hrnet_order order;
    const char *tuning_file; /**< of hrnet_session_tune(), or NULL; one that is not there, is
                                damaged or was made by another CPU or build changes nothing */
};
HRNET_API void hrnet_session_options_init(struct hrnet_session_options *options,
                                          size_t struct_size);
/** Plans the model for this CPU and takes all memory of later runs.  A model whose head is
 * untrained is HRNET_E_MISMATCH unless options->untrained_head. */
HRNET_API hrnet_status hrnet_session_create(hrnet_session **out, hrnet_model *model,
                                            const struct hrnet_session_options *options);
/** NULL is allowed. */
HRNET_API void hrnet_session_destroy(hrnet_session *session);

/**
 * Runs a batch.  Allocates nothing; the same bits for any thread count, batch and position.
 * @param x       float32 [n,3,height,width], RGB, preprocessed; read only
 * @param n       1 to the session's batch
 * @param logits  float32 [n,classes]; must not overlap x
 */
HRNET_API hrnet_status hrnet_session_run(hrnet_session *session, const float *x, size_t n,
                                         float *logits);
/** Shape [n,c,h,w] of a kept feature map (h = w = 0 for vectors) for the full batch. */
HRNET_API hrnet_status hrnet_session_feature_shape(const hrnet_session *session, const char *name,
                                                   int64_t shape[4]);
/** Copies a feature map of the last run, dense float32 [n,c,h,w] of the n of that run. */
HRNET_API hrnet_status hrnet_session_feature(const hrnet_session *session, const char *name,
                                             float *out);
/** All feature names of a model, NULL-terminated; static. */
HRNET_API const char *const *hrnet_feature_names(void);

struct hrnet_session_info {
    unsigned threads;
    size_t batch;
    int height, width, classes;
    const char *isa;
    size_t arena_bytes, packed_bytes; /**< known before the first run */
    size_t step_count;
};
HRNET_API hrnet_status hrnet_session_describe(const hrnet_session *session,
                                              struct hrnet_session_info *out);

struct hrnet_step_info {
    const char *name, *op, *kernel;
    int64_t in[4], out[4];  /**< NCHW; missing dimensions are 0 */
    uint64_t multiply_adds; /**< whole batch */
    uint64_t weight_bytes, activation_bytes;
    int at_peak;   /**< nonzero at the step where most memory is in use */
    uint64_t work; /**< multiply-adds that its kernel needs, transforms included: fewer than
                        multiply_adds with Winograd */
};
HRNET_API hrnet_status hrnet_session_step(const hrnet_session *session, size_t index,
                                          struct hrnet_step_info *out);
/** As hrnet_session_run(), writing the time of each step to nanoseconds[step_count]. */
HRNET_API hrnet_status hrnet_session_profile(hrnet_session *session, const float *x, size_t n,
                                             float *logits, uint64_t *nanoseconds);

/** One shape of convolution that hrnet_session_tune() has timed. */
struct hrnet_tuned {
    int kernel, stride;
    int64_t channels, out_channels, height, width; /**< of its input */
    size_t count;                                  /**< steps of this shape */
    const char *chosen, *winner; /**< kernels: the one that is foreseen, the one that is faster */
    double chosen_us, winner_us; /**< of one picture on one thread */
};
typedef void hrnet_tuned_fn(void *context, const struct hrnet_tuned *tuned);
/** Times the kernels that could compute each convolution of a session and puts the ones that are at
 *  least 3 % faster than foreseen into `file` (made, or its other lines kept), for sessions that
 * name it as tuning_file: logits then differ by rounding (5e-4 of the largest at most), the same
 * for every batch and thread count.  Takes some seconds.  `told` may be NULL. */
HRNET_API hrnet_status hrnet_session_tune(const hrnet_session *session, const char *file,
                                          hrnet_tuned_fn *told, void *context);

struct hrnet_foretold {
    double ms;       /**< one run of the session's batch */
    double idle;     /**< share of the threads' time in which they wait, 0 to 1 */
    double chain_ms; /**< the longest chain of steps that need each other, all threads on each */
    size_t waves;    /**< barriers between steps */
};
/** How long a run would take on `threads` CPUs like this one, more than it has if need be: from
 *  what each step took on one (nanoseconds[step_count], by hrnet_session_profile() of this session,
 *  whose threads must be 1), by the rules of the schedule, if memory keeps up. */
HRNET_API hrnet_status hrnet_session_foretell(const hrnet_session *session,
                                              const uint64_t *nanoseconds, unsigned threads,
                                              hrnet_order schedule, struct hrnet_foretold *out);

/* ---- Differences -------------------------------------------------------------------------- */

typedef enum hrnet_diff_kind {
    HRNET_DIFF_WEIGHTS = 0,
    HRNET_DIFF_RECIPE = 1,
    HRNET_DIFF_ACTIVATIONS = 2,
    HRNET_DIFF_LOGITS = 3
} hrnet_diff_kind;
struct hrnet_difference {
    hrnet_diff_kind kind;
    const char *name;  /**< of the tensor, recipe or feature map; valid during the call */
    double difference; /**< largest, over the largest value of A; infinite when not comparable */
    const char *note;  /**< "missing in B", "transposed: [2,3] and [3,2]", ... or "" */
};
/** Told of every difference above 0, in order: weights, recipe, activations, logits. */
typedef void hrnet_difference_fn(void *context, const struct hrnet_difference *difference);

struct hrnet_diff_options {
    size_t struct_size;
    double tolerance;  /**< of activations and logits, over the largest (default 1e-4) */
    const float *x;    /**< float32 [1,3,height,width] to run; NULL: a synthetic one */
    int height, width; /**< of x */
};
HRNET_API void hrnet_diff_options_init(struct hrnet_diff_options *options, size_t struct_size);
struct hrnet_diff_report {
    int same_answers;                    /**< nonzero: nothing is above the tolerance */
    int recipes_differ;                  /**< nonzero: pictures are prepared differently */
    uint64_t weights, weights_differing; /**< tensors; any difference counts */
    double logits_difference;
    char parts_at[32]; /**< first feature map above the tolerance, "logits", "classes", or "" */
};
/** Compares two models: tensors by name (or place, where no name is shared), feature maps where
 * both are the same architecture, logits.  fn may be NULL. */
HRNET_API hrnet_status hrnet_model_diff(hrnet_model *a, hrnet_model *b,
                                        const struct hrnet_diff_options *options,
                                        hrnet_difference_fn *fn, void *context,
                                        struct hrnet_diff_report *out);

/* ---- Pictures ----------------------------------------------------------------------------- */

struct hrnet_decode_options {
    size_t struct_size;
    uint64_t max_pixels, max_bytes; /**< limits; bombs are refused from the header */
    int ignore_orientation;         /**< nonzero: leave EXIF orientation alone */
};
HRNET_API void hrnet_decode_options_init(struct hrnet_decode_options *options, size_t struct_size);

/** What was noticed about a picture. */
struct hrnet_picture_report {
    const char *format;    /**< "JPEG", "PNG", ... */
    int64_t width, height; /**< px, upright */
    int orientation;       /**< EXIF orientation applied, 1 to 8 */
    int truncated;
    char warning[160]; /**< "" or one line */
};

/** Picture file -> tensor float32 [3,crop_height,crop_width].  Thread-safe.  report may be NULL. */
HRNET_API hrnet_status hrnet_preprocess_file(const struct hrnet_recipe *recipe, const char *path,
                                             const struct hrnet_decode_options *options, float *x,
                                             struct hrnet_picture_report *report);
/** The same from encoded bytes in memory; `name` is for messages. */
HRNET_API hrnet_status hrnet_preprocess_memory(const struct hrnet_recipe *recipe, const void *data,
                                               size_t size, const char *name,
                                               const struct hrnet_decode_options *options, float *x,
                                               struct hrnet_picture_report *report);
/** The same from RGB pixels [height][width][3] in memory. */
HRNET_API hrnet_status hrnet_preprocess_pixels(const struct hrnet_recipe *recipe,
                                               const uint8_t *rgb, int64_t width, int64_t height,
                                               float *x);
/** The 8-bit crop that the tensor is made of: RGB [crop_height][crop_width][3], from bytes. */
HRNET_API hrnet_status hrnet_preprocess_crop(const struct hrnet_recipe *recipe, const void *data,
                                             size_t size, const char *name,
                                             const struct hrnet_decode_options *options,
                                             uint8_t *rgb, struct hrnet_picture_report *report);
/** The whole picture made smaller, never larger, to fit into width x height px: RGB pixels in *rgb
 *  (free with hrnet_free), of *out_width x *out_height. */
HRNET_API hrnet_status hrnet_thumbnail(const void *data, size_t size, const char *name,
                                       const struct hrnet_decode_options *options, int64_t width,
                                       int64_t height, uint8_t **rgb, int64_t *out_width,
                                       int64_t *out_height);
/** Encodes RGB pixels as PNG into *out (free with hrnet_free). */
HRNET_API hrnet_status hrnet_encode_png(const uint8_t *rgb, int64_t width, int64_t height,
                                        uint8_t **out, size_t *size);
/** Frees memory that the library handed out.  NULL is allowed. */
HRNET_API void hrnet_free(void *block);

/* ---- Explanations ------------------------------------------------------------------------- */

/** How a map is made of a feature map A and the gradients g of a class's logit. */
typedef enum hrnet_explain_method {
    HRNET_EXPLAIN_CAM = 0,      /**< A times the head's weights; of feature "last" alone: exact */
    HRNET_EXPLAIN_GRAD_CAM = 1, /**< A times the mean of g, where positive */
    HRNET_EXPLAIN_LAYER_CAM = 2 /**< A times g, where positive */
} hrnet_explain_method;
/** A model made ready to tell which pixels an answer comes from; serves one thread at a time. */
typedef struct hrnet_explainer hrnet_explainer;
struct hrnet_explainer_options {
    size_t struct_size;
    unsigned threads;            /**< 0: every CPU this process may use */
    int height, width;           /**< input size; 0: the recipe's */
    const char *cpu;             /**< as in hrnet_session_options */
    const char *const *features; /**< whose maps are wanted; NULL-terminated, or NULL: "last" */
};
HRNET_API void hrnet_explainer_options_init(struct hrnet_explainer_options *options,
                                            size_t struct_size);
HRNET_API hrnet_status hrnet_explainer_create(hrnet_explainer **out, hrnet_model *model,
                                              const struct hrnet_explainer_options *options);
HRNET_API void hrnet_explainer_destroy(hrnet_explainer *explainer);
/** One picture x [3,h,w] there and back.  class_index: whose logit, -1: of the best answer; *chosen
 *  receives it, logits [classes] the answer. */
HRNET_API hrnet_status hrnet_explainer_run(hrnet_explainer *explainer, const float *x,
                                           int class_index, float *logits, int *chosen);
HRNET_API hrnet_status hrnet_explainer_map_size(const hrnet_explainer *explainer,
                                                const char *feature, int64_t *rows,
                                                int64_t *columns);
/** The map [rows][columns] of the last run. */
HRNET_API hrnet_status hrnet_explainer_map(hrnet_explainer *explainer, hrnet_explain_method method,
                                           const char *feature, float *map);

struct hrnet_occlusion_options {
    size_t struct_size;
    int class_index; /**< whose logit; -1 (default): of the best answer */
    int side, step;  /**< px: of the square (32), from one to the next (16) */
    /** Called now and then; nonzero stops.  May be NULL. */
    int (*progress)(void *context, uint64_t done, uint64_t all);
    void *context;
};
HRNET_API void hrnet_occlusion_options_init(struct hrnet_occlusion_options *options,
                                            size_t struct_size);
HRNET_API hrnet_status hrnet_occlusion_map_size(const hrnet_session *session,
                                                const struct hrnet_occlusion_options *options,
                                                int64_t *rows, int64_t *columns);
/** How far the logit falls when a square there is covered with the mean colour: map
 *  [rows][columns].  x is one picture; the session's batch is used whole.  logits [classes] are of
 *  the whole picture.  options may be NULL. */
HRNET_API hrnet_status hrnet_occlusion_map(hrnet_session *session, const float *x,
                                           const struct hrnet_occlusion_options *options,
                                           float *map, float *logits, int *chosen);

/** Lays a map over RGB pixels in place: blue for 0 and less, red for its largest value. */
HRNET_API hrnet_status hrnet_draw_overlay(uint8_t *rgb, int64_t width, int64_t height,
                                          const float *map, int64_t rows, int64_t columns);
/** Fills RGB pixels with a map, dark for its least value, bright for its largest. */
HRNET_API hrnet_status hrnet_draw_map(uint8_t *rgb, int64_t width, int64_t height, const float *map,
                                      int64_t rows, int64_t columns);
struct hrnet_tile {
    const uint8_t *rgb; /**< [height][width][3], or NULL: left empty */
    int64_t width, height;
    const char *caption; /**< "\n" begins a line; may be NULL */
};
/** Pictures side by side with captions below: RGB pixels in *rgb (free with hrnet_free). */
HRNET_API hrnet_status hrnet_draw_sheet(const struct hrnet_tile *tiles, size_t count,
                                        size_t columns, uint8_t **rgb, int64_t *width,
                                        int64_t *height);

/* ---- Training ----------------------------------------------------------------------------- */

/**
 * Settings of a training run.  Texts in words: "NAME:KEY=NUMBER,KEY=NUMBER", lists as "30/60/90".
 *  - schedule: constant, linear (end, power), cosine (end), cyclic (peak, up, down, gamma; halving,
 *    steps), step (every, gamma), piecewise (at, values; paddle), multi-step (at, gamma),
 *    cosine-fixmatch (cycles, warmup-steps), one-cycle (end, divide, phase; lines, three-phases),
 *    plateau (factor, threshold, least, epsilon, patience, cooldown; absolute); all: by-epoch,
 * start (of the warm-up).  Lengths are epochs; of cyclic, with `steps`, steps.
 *  - optimizer: sgd, momentum and nesterov (momentum), adam (beta1, beta2, epsilon), adamw (and
 *    decay), rmsprop (rho, epsilon, momentum).
 */
struct hrnet_train_options {
    size_t struct_size;
    const char *data;       /**< a folder of class folders, or a list of "path label" lines */
    const char *validation; /**< the same for pictures that choose the best epoch, or NULL */
    const char *root;       /**< of the paths in lists; NULL: the list's own folder */
    const char *architecture;
    const char *weights; /**< to start from, a fresh head where classes differ; NULL: random */
    const char *folder;  /**< for checkpoints */
    int resume;          /**< nonzero: go on from the folder's checkpoint, if there is one */
    int size, batch;     /**< height and width, px (default 224); pictures a batch (32) */
    int epochs;          /**< default 30 */
    uint64_t seed;
    const char *schedule;       /**< default "cosine" */
    const char *optimizer;      /**< default "momentum" */
    double rate, warmup_epochs; /**< default 0 (by the optimizer and the pictures a step), 0 */
    double momentum, l2, decay; /**< default 0.9, 1e-4, 0; decay is AdamW's */
    double clip_norm;           /**< default 0: gradients are not clipped */
    double smoothing;           /**< of labels, default 0 */
    int whole;                  /**< nonzero: pictures are resized and cropped as in evaluation */
    double least_area, flip;    /**< random crop and flip: default 0.08, 0.5 */
    /** More augmentations, "randaugment:n=2,m=9;erasing:p=0.25;mixup:alpha=0.2", or NULL; kinds and
     *  numbers are those of hrnet_augment_kinds(). */
    const char *augment;
    double held_back; /**< share of each class that validates where validation is NULL; default 0 */
    int balanced;     /**< nonzero: every class is seen equally often */
    int most_bad;     /**< pictures that may be unreadable: they are left out (default 100) */
    unsigned threads, loader_threads; /**< 0: every CPU this process may use */
    const char *cpu;                  /**< as in hrnet_session_options */
    int replace_head;     /**< nonzero: a fresh head for as many classes as `weights` has, too */
    int test_size;        /**< height and width in evaluation, px; 0: size */
    double crop_ratio;    /**< of that and the shorter side pictures are resized to (0.875) */
    int accumulate;       /**< batches a step (1) */
    double rate_batch;    /**< pictures a step that `rate` is meant for, which scales it; 0 */
    double l1;            /**< weight decay of the absolute value (0) */
    int no_decay_one_dim; /**< nonzero: no decay of norms and biases */
    const char *no_decay; /**< nor of parameters whose name holds one of these: "A,B"; NULL */
    const char *rates;    /**< factors of the rate by the beginning of names: "st4=0.5,fc=10" */
    const char *freeze;   /**< names that begin so do not move: "conv_layer1,layer1"; NULL */
    double layer_decay;   /**< each part's rate over that of the part behind it (1) */
    double average;       /**< decay of averaged weights (EMA); 0: none */
    const char *class_weights; /**< of the loss: "balanced", or one number a class: "1,2.5"; NULL */
    int keep;                  /**< epochs of which model and state are kept (0) */
    int patience;              /**< validated epochs without a better one that end the run; 0:
                                    never */
    int save_steps;            /**< steps between checkpoints within an epoch; 0: none */
    const char *validation_root; /**< of the paths in a list of validation; NULL: root */
    int classes;                 /**< outputs of the network; 0: as many as the data has */
    /** Normalisation and resizing, in the ratio of its crop_width and resize_short instead of
     *  crop_ratio; NULL: "opencv". */
    const struct hrnet_recipe *recipe;
    int paddle;             /**< nonzero: write latest and best_model as PaddleClas does, too */
    const char *checkpoint; /**< prefix of such files to go on from, in a fresh folder; or NULL */
    int tensorboard;        /**< nonzero: write event files for TensorBoard into the folder */
    /** Distillation: weights of a teacher, which stay, or NULL.  Lists may then have pictures
     *  without a label, -1. */
    const char *teacher;
    /** "dml" (default), "kl" (temperature) or "ce", each with weight (1) and labels, the weight of
     *  the labels' own loss (0). */
    const char *distill;
    int teacher_batch_statistics; /**< nonzero: the teacher's norms use the batch's, as PaddleClas
                                   */
    int recompute; /**< nonzero: results of convolutions are made again in the backward half instead
                      of kept: less than half the memory, more time, the same bits */
    /** How activations wait for the backward half: "fp32" (default), "bf16" or "fp16"; all else is
     *  fp32. */
    const char *precision;
    /** Factor of the loss while gradients are computed: "none", "fixed" (scale) or "dynamic"
     * (scale, every, grow, shrink), which leave steps out whose gradient overflows; NULL: dynamic
     * with fp16, else none. */
    const char *loss_scale;
    /** Of processes that were started together, by mpirun; `batch` is of each: */
    int sync_batch_norm; /**< nonzero: norms use the statistics of all their pictures */
    double lost_seconds; /**< without an answer that end the run; 0: 1800 */
    /** Asked often, with the context of the callback: nonzero stops all of them after the step,
     * with a checkpoint at once, since one may be gone and the step never end; NULL: never */
    int (*stop)(void *context);
    int drop_last;  /**< nonzero: a last batch of an epoch that is not full is left out */
    int in_order;   /**< nonzero: the pictures of every epoch come in the order of the data */
    int eval_every; /**< validate after epochs that this divides, and after the last (1) */
    int eval_from;  /**< but not before this epoch (1) */
    int give_up;    /**< epochs behind the warm-up whose loss is that of a guess, which end the run
                       (10); 0: never */
};
/** The augmentations there are, two lines each: name and what it does; its chance and numbers with
 *  their defaults.  Free with hrnet_free(); NULL without memory. */
HRNET_API char *hrnet_augment_kinds(void);
HRNET_API void hrnet_train_options_init(struct hrnet_train_options *options, size_t struct_size);

/** Epochs and steps count from 1; loss and shares are of the epoch so far. */
struct hrnet_train_progress {
    uint64_t epoch, epochs, step, steps, pictures;
    double loss, accuracy, rate;
    int epoch_end;                          /**< nonzero once an epoch's checkpoint is written */
    int validated, best;                    /**< then: was there validation, and the best so far? */
    double validation_loss, top1, top5;     /**< shares */
    uint64_t activation_bytes, state_bytes; /**< memory that the run holds */
    uint64_t step_pictures;
    double accuracy5;           /**< share of pictures whose class is among the five likeliest */
    double norm;                /**< of the step's gradient, before clipping */
    double load_seconds;        /**< that the step waited for pictures */
    int averaged, average_best; /**< as validated and best, of the averaged weights */
    double average_loss, average_top1, average_top5;
    uint64_t bad;        /**< pictures of this run that could not be used, each counted once */
    uint64_t left_out;   /**< pictures of this epoch that were the only one of their batch */
    double step_loss;    /**< of this step alone */
    double step_seconds; /**< that it took */
    double best_top1;    /**< share, or map, of all epochs so far; -1: none was validated */
    int several; /**< nonzero: several labels a picture; accuracy and top1: all labels right */
    double map, average_map; /**< then mean average precision, which chooses the best epoch */
    uint64_t classes;        /**< of the training pictures */
    const char *data_hash;   /**< SHA-256 of their names, sizes and labels; valid during the call */
    double loss_scale;       /**< of the step that comes next */
    uint64_t skipped; /**< steps of the run that were left out because the gradient overflowed */
};
/** Called after every step and every epoch; nonzero stops the run. */
typedef int hrnet_train_fn(void *context, const struct hrnet_train_progress *progress);

/**
 * Trains a network.  Writes latest.safetensors, best.safetensors and state.safetensors into the
 * folder, with averaged weights average.safetensors and best-average.safetensors, and epoch-N of
 * both kinds that are kept, each whole or not at all; steps.csv and epochs.csv grow.  Same options,
 * same bits, for any number of threads, and for a run that was stopped and resumed.
 *
 * Processes that mpirun started together, in a build with MPI, each train on their part of every
 * batch and end with the same weights.  The callback is the first process's; where all fail, the
 * others' hrnet_last_error() is "".
 * @return HRNET_E_CANCELLED when the callback (which may be NULL) stopped it, with a checkpoint of
 *         the last step; HRNET_E_INTERNAL naming epoch, step and layer when a value became infinite
 *         or no number
 */
HRNET_API hrnet_status hrnet_train(const struct hrnet_train_options *options, hrnet_train_fn *fn,
                                   void *context);

/** What hrnet_time_training() times. */
struct hrnet_timing_options {
    size_t struct_size;
    const char *architecture; /**< a network of the zoo */
    const char *pictures;     /**< folder or list for the loader's time, or NULL */
    const char *cpu;          /**< as in hrnet_session_options */
    double seconds;           /**< of timing: 2; at least 3 steps */
    int size, batch, classes; /**< 224, 16, 1000 */
    unsigned threads;         /**< 0: every CPU this process may use */
    int exact;                /**< nonzero: only convolutions of equal bits on every CPU */
    int recompute;            /**< nonzero: convolutions are made again instead of kept */
    const char *precision;    /**< as in hrnet_train_options */
};
HRNET_API void hrnet_timing_options_init(struct hrnet_timing_options *options, size_t struct_size);
/** Milliseconds of a training step on synthetic pictures; parts are means. */
struct hrnet_timing {
    double median_ms, least_ms;
    double conv_ms, conv_data_ms, conv_weights_ms,
        conv_again_ms; /**< convolutions, linear layers */
    double norm_ms, norm_grad_ms, norm_again_ms, other_ms;
    double loss_ms, optimizer_ms;
    double loader_ms; /**< a batch decoded by as many threads; 0 without pictures */
    uint64_t steps, activation_bytes, state_bytes;
    unsigned threads;
    const char *isa;
};
HRNET_API hrnet_status hrnet_time_training(const struct hrnet_timing_options *options,
                                           struct hrnet_timing *out);

/* ---- Preview of augmentations ------------------------------------------------------------- */

struct hrnet_preview_options {
    size_t struct_size;
    const char *augment; /**< as in hrnet_train_options */
    int size;            /**< height and width of a sample, px (default 224) */
    int rows, columns;   /**< of samples (3, 6); each row begins with the plain picture */
    uint64_t seed;
    int whole; /**< these three as in hrnet_train_options */
    double least_area, flip;
    const char
        *vary; /**< "m=1,5,9": a row for each value of that number instead of rows; or NULL */
};
HRNET_API void hrnet_preview_options_init(struct hrnet_preview_options *options,
                                          size_t struct_size);
/** Draws what training would make of pictures, which take turns, as a sheet in PNG: *png is freed
 *  with hrnet_free().  A row is a batch where batches are mixed. */
HRNET_API hrnet_status hrnet_preview(const char *const *paths, size_t count,
                                     const struct hrnet_preview_options *options, uint8_t **png,
                                     size_t *size);

/* ---- Inspection of data ------------------------------------------------------------------- */

typedef enum hrnet_level { HRNET_NOTE = 0, HRNET_WARNING = 1, HRNET_ERROR = 2 } hrnet_level;

/** Something about a data set that its user should know. */
struct hrnet_finding {
    hrnet_level level;
    /** "list", "missing", "unreadable", "truncated", "duplicate", "leak", "label", "class",
     *  "balance" or "order" */
    const char *kind;
    int validation;      /**< nonzero: about the validation data */
    const char *message; /**< one sentence; valid during the call */
};
typedef void hrnet_finding_fn(void *context, const struct hrnet_finding *finding);

struct hrnet_inspect_options {
    size_t struct_size;
    const char *data, *validation, *root, *validation_root; /**< as in hrnet_train_options */
    int classes;                                            /**< labels must be below; 0: any */
    int quick;            /**< nonzero: only lists and names, no picture is opened */
    unsigned threads;     /**< 0: every CPU this process may use */
    hrnet_finding_fn *fn; /**< told of every finding, in an order that follows from the data */
    int (*progress)(void *context, uint64_t done, uint64_t all); /**< nonzero stops; or NULL */
    void *context;
};
HRNET_API void hrnet_inspect_options_init(struct hrnet_inspect_options *options,
                                          size_t struct_size);
/** Two numbers are of training and of validation. */
struct hrnet_inspection {
    uint64_t pictures[2], missing[2], unreadable[2];
    uint64_t errors, warnings;
    uint64_t classes;
    int several;      /**< nonzero: several labels a picture */
    uint64_t *counts; /**< [classes] of training, then of validation; free with hrnet_free() */
    char *names;      /**< a name a class, each ended by a zero, "" for none; hrnet_free() */
};
/** Looks for what is wrong with labelled pictures: lines, labels, classes, files, equal pictures.
 */
HRNET_API hrnet_status hrnet_inspect(const struct hrnet_inspect_options *options,
                                     struct hrnet_inspection *out);

/* ---- Evaluation --------------------------------------------------------------------------- */

struct hrnet_evaluate_options {
    size_t struct_size;
    const char *data;                  /**< as hrnet_train_options has it; folders are classes */
    const char *root;                  /**< of the paths in lists; NULL: the list's own folder */
    const struct hrnet_recipe *recipe; /**< NULL: the model's */
    int batch;                         /**< default 16 */
    unsigned threads, loader_threads;  /**< 0: every CPU this process may use */
    const char *cpu;                   /**< as in hrnet_session_options */
    /** Called after each batch, with how many pictures are done; nonzero stops.  May be NULL. */
    int (*progress)(void *context, uint64_t done, uint64_t all);
    void *context;
    int mistakes; /**< how many of the worst mistakes are told (0) */
};
HRNET_API void hrnet_evaluate_options_init(struct hrnet_evaluate_options *options,
                                           size_t struct_size);
#define HRNET_BINS 15
/** Pictures whose answer has a probability from b / HRNET_BINS to (b + 1) / HRNET_BINS. */
struct hrnet_bin {
    uint64_t pictures, right;
    double confidence; /**< sum of those probabilities */
};
struct hrnet_mistake {
    const char *path;
    int truth, answer;
    double confidence, truth_probability; /**< probabilities of answer and truth */
};
/** Of one class, where a picture may show several. */
struct hrnet_label {
    uint64_t truth, answers,
        right; /**< pictures that show it, that are said to (above 1/2), both */
    double average_precision;
};
struct hrnet_evaluation {
    uint64_t classes, pictures, top1, top5; /**< counts of pictures that were right */
    double loss;                            /**< mean cross entropy */
    uint64_t *confusion;                    /**< [truth][answer]; free with hrnet_free() */
    /** Expected calibration error (Guo et al. 2017): mean over pictures of the distance between the
     *  mean confidence and the share of right answers in their bin. */
    double ece;
    struct hrnet_bin bins[HRNET_BINS];
    struct hrnet_mistake
        *mistakes; /**< the most confident first, or NULL; free with hrnet_free() */
    uint64_t mistake_count;
    /** [classes], for lists with several labels a picture; then confusion is NULL, bins and
     * mistakes are empty, and top1 counts pictures with all labels right.  Free with hrnet_free().
     */
    struct hrnet_label *labels;
    double map, hamming; /**< mean average precision; mean share of labels that are wrong */
};
/** Measures a model on labelled pictures, with the code of inference. */
HRNET_API hrnet_status hrnet_evaluate(hrnet_model *model,
                                      const struct hrnet_evaluate_options *options,
                                      struct hrnet_evaluation *out);

/* ---- Answers ------------------------------------------------------------------------------ */

/** p = softmax(logits); p may be logits.  NULL does nothing, as in the three below. */
HRNET_API void hrnet_softmax(const float *logits, size_t count, float *p);
/** Scores of one picture's logits [classes], by what the model was trained for: softmax, or sigmoid
 *  for several labels a picture; scores may be logits. */
HRNET_API void hrnet_model_scores(const hrnet_model *model, const float *logits, float *scores);
/** Indices of the k largest, best first, the lower index first among equals; k is clamped to
 *  count.  @return how many were written */
HRNET_API size_t hrnet_top_k(const float *values, size_t count, size_t k, size_t *index);
/** The deterministic input of self tests and benchmarks: count floats in [-2, 2), by name. */
HRNET_API void hrnet_synthetic_input(const char *name, size_t count, float *x);

#ifdef __cplusplus
}
#endif
#endif
