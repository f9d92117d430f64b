/* SPDX-License-Identifier: Apache-2.0
 * classify MODEL PICTURE: the five likeliest classes of a picture.
 * Build: cc classify.c $(pkg-config --cflags --libs hrnet) -o classify */
#include <hrnet/hrnet.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(void)
{
    fprintf(stderr, "classify: %s\n", hrnet_last_error());
    return 1;
}

int main(int argc, char **argv)
{
    hrnet_model *model;
    hrnet_session *session;
    struct hrnet_recipe recipe;
    struct hrnet_session_info info;
    if (argc != 3) {
        fprintf(stderr, "usage: classify MODEL PICTURE\n");
        return 2;
    }
    if (hrnet_model_open(&model, argv[1], NULL) || hrnet_model_recipe(model, &recipe) ||
        hrnet_session_create(&session, model, NULL) || hrnet_session_describe(session, &info))
        return fail();

    float *x = malloc(sizeof *x * 3 * (size_t)recipe.crop_height * (size_t)recipe.crop_width);
    float *p = malloc(sizeof *p * (size_t)info.classes);
    if (!x || !p || hrnet_preprocess_file(&recipe, argv[2], NULL, x, NULL) ||
        hrnet_session_run(session, x, 1, p))
        return fail();

    size_t best[5];
    hrnet_softmax(p, (size_t)info.classes, p);
    const size_t count = hrnet_top_k(p, (size_t)info.classes, 5, best);
    for (size_t i = 0; i < count; i++)
        printf("%5.2f %% %s\n", 100 * p[best[i]], hrnet_model_label(model, (int)best[i]));

    free(x);
    free(p);
    hrnet_session_destroy(session);
    hrnet_model_release(model);
    return 0;
}
