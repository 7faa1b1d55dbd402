#include "tests/bench/bench_models.h"

#include <stdio.h>

#include "common/tape/image.h"

enum {
    TAB_1 = 256,
    TAB_2 = 128,
    TS_HIDDEN = 128,
    TX_D = 128,
    TX_HEADS = 4,
    TX_FF = 256,
    PART = 64, /* outputs of a part of multi */
    FUSED = 128
};

static const size_t channels[4] = {1, 16, 32, 64};
static const size_t groups[3] = {4, 8, 8};

const char *const bench_name[BENCH_KINDS] = {"tab", "ts", "img", "tx", "multi"};

/* ---- parameters ------------------------------------------------------------------------------ */

/* The first failure sticks, so that declarations read as a list. */
struct declare {
    struct param_table *table;
    struct error *err;
    enum rc rc;
};

static struct param_id slice(struct declare *d, const char *name, const char *part,
                             enum param_init init, size_t O, size_t D)
{
    char full[PARAM_NAME_MAX];
    struct param_id id = {0};
    (void)snprintf(full, sizeof full, "%s.%s", name, part);
    if (d->rc == RC_OK) {
        d->rc = param_add(d->table, full, PARAM_SHARED, init, D == 0 ? 1 : 2, (size_t[]){O, D}, &id,
                          d->err);
    }
    return id;
}

static struct dense dense(struct declare *d, const char *name, size_t O, size_t D)
{
    return (struct dense){slice(d, name, "weight", PARAM_FAN_IN, O, D),
                          slice(d, name, "bias", PARAM_ZERO, O, 0)};
}

static struct scale_shift scale_shift(struct declare *d, const char *name, size_t D)
{
    return (struct scale_shift){slice(d, name, "gain", PARAM_ONE, D, 0),
                                slice(d, name, "shift", PARAM_ZERO, D, 0)};
}

static void declare_tab(struct bench_model *m, struct declare *d, size_t outputs)
{
    m->tab[0] = dense(d, "tab.0", TAB_1, TAB_IN);
    m->tab[1] = dense(d, "tab.1", TAB_2, TAB_1);
    m->tab[2] = dense(d, "tab.2", outputs, TAB_2);
}

static void declare_ts(struct bench_model *m, struct declare *d, size_t outputs)
{
    m->lstm = dense(d, "lstm", 4 * (size_t)TS_HIDDEN, TS_IN + TS_HIDDEN);
    m->ts_out = dense(d, "ts.out", outputs, TS_HIDDEN);
}

static void declare_img(struct bench_model *m, struct declare *d, size_t outputs)
{
    for (size_t i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "img.%zu", i);
        m->conv[i] = slice(d, name, "weight", PARAM_FAN_IN, channels[i + 1], 9 * channels[i]);
        m->group[i] = scale_shift(d, name, channels[i + 1]);
    }
    m->img_out = dense(d, "img.out", outputs, channels[3]);
}

static void declare_tx(struct bench_model *m, struct declare *d, size_t outputs)
{
    m->words = slice(d, "tx", "words", PARAM_FAN_IN, TX_WORDS, TX_D);
    for (size_t i = 0; i < TX_BLOCKS; i++) {
        char name[8][16];
        static const char *const part[8] = {"q", "k", "v", "o", "up", "down", "first", "second"};
        for (size_t j = 0; j < 8; j++) {
            (void)snprintf(name[j], sizeof name[j], "tx.%zu.%s", i, part[j]);
        }
        m->block[i].q = dense(d, name[0], TX_D, TX_D);
        m->block[i].k = dense(d, name[1], TX_D, TX_D);
        m->block[i].v = dense(d, name[2], TX_D, TX_D);
        m->block[i].o = dense(d, name[3], TX_D, TX_D);
        m->block[i].up = dense(d, name[4], TX_FF, TX_D);
        m->block[i].down = dense(d, name[5], TX_D, TX_FF);
        m->block[i].first = scale_shift(d, name[6], TX_D);
        m->block[i].second = scale_shift(d, name[7], TX_D);
    }
    m->tx_out = dense(d, "tx.out", outputs, TX_D);
}

enum rc bench_model_open(enum bench_kind kind, struct bench_model *out, struct error *err)
{
    struct bench_model m = {.kind = kind};
    struct declare d = {&m.table, err, RC_OK};
    const bool all = kind == BENCH_MULTI;
    const size_t outputs = all ? PART : 1;
    if (all || kind == BENCH_TAB) {
        declare_tab(&m, &d, outputs);
    }
    if (all || kind == BENCH_TS) {
        declare_ts(&m, &d, outputs);
    }
    if (all || kind == BENCH_IMG) {
        declare_img(&m, &d, outputs);
    }
    if (all || kind == BENCH_TX) {
        declare_tx(&m, &d, outputs);
    }
    if (all) {
        m.fuse[0] = dense(&d, "fuse.0", FUSED, 4 * (size_t)PART);
        m.fuse[1] = dense(&d, "fuse.1", 1, FUSED);
    }
    if (d.rc != RC_OK) {
        param_table_release(&m.table);
        return d.rc;
    }
    param_table_seal(&m.table);
    *out = m;
    return RC_OK;
}

void bench_model_release(struct bench_model *m)
{
    param_table_release(&m->table);
}

/* ---- recording ------------------------------------------------------------------------------- */

static struct node *affine(struct tape *t, struct node *x, struct dense l)
{
    return tape_affine(t, x, l.w, l.b);
}

static struct node *layer_norm(struct tape *t, struct node *x, struct scale_shift s)
{
    return tape_layer_norm(t, x, s.gain, s.shift);
}

static struct node *tab(const struct bench_model *m, struct tape *t, const float *x)
{
    struct node *h = tape_relu_over(t, affine(t, tape_input(t, x, TAB_IN), m->tab[0]));
    h = tape_relu_over(t, affine(t, h, m->tab[1]));
    return affine(t, h, m->tab[2]);
}

static struct node *ts(const struct bench_model *m, struct tape *t, const float *x)
{
    struct node *s = tape_input_shaped(t, x, 2, (size_t[]){TS_STEPS, TS_IN});
    s = tape_lstm(t, s, m->lstm.w, m->lstm.b, NULL);
    return affine(t, tape_last(t, s, NULL), m->ts_out);
}

static struct node *img(const struct bench_model *m, struct tape *t, const float *x)
{
    struct node *h = tape_input_shaped(t, x, 3, (size_t[]){IMG_SIDE, IMG_SIDE, 1});
    for (size_t i = 0; i < 3; i++) {
        h = tape_conv2d(t, h, m->conv[i], window_square(3, 1, 1));
        const struct scale_shift s = m->group[i];
        h = i < 2 ? tape_group_norm_relu_pool(t, h, s.gain, s.shift, groups[i],
                                              window_square(2, 2, 0))
                  : tape_group_norm_relu(t, h, s.gain, s.shift, groups[i]);
    }
    return affine(t, tape_global_average(t, h), m->img_out);
}

static struct node *tx(const struct bench_model *m, struct tape *t, const int32_t *words)
{
    struct node *h = tape_sinusoids(t, tape_embedding_sequence(t, m->words, words, TX_TOKENS));
    for (size_t i = 0; i < TX_BLOCKS; i++) {
        struct node *a = tape_attention(t, affine(t, h, m->block[i].q), affine(t, h, m->block[i].k),
                                        affine(t, h, m->block[i].v), TX_HEADS, NULL);
        h = layer_norm(t, tape_add(t, h, affine(t, a, m->block[i].o)), m->block[i].first);
        struct node *f = tape_relu_over(t, affine(t, h, m->block[i].up));
        h = layer_norm(t, tape_add(t, h, affine(t, f, m->block[i].down)), m->block[i].second);
    }
    return affine(t, tape_masked_mean(t, h, NULL), m->tx_out);
}

static struct node *multi(const struct bench_model *m, struct tape *t, const struct bench_batch *b)
{
    struct node *part[4] = {tab(m, t, b->tab), ts(m, t, b->ts), img(m, t, b->img),
                            tx(m, t, b->words)};
    struct node *h = tape_relu(t, tape_concat_all(t, 4, part));
    return affine(t, tape_relu_over(t, affine(t, h, m->fuse[0])), m->fuse[1]);
}

struct node *bench_model_loss(const struct bench_model *m, struct tape *t,
                              const struct bench_batch *all, size_t at)
{
    const struct bench_batch b = {.tab = all->tab + at * TAB_IN,
                                  .ts = all->ts + at * TS_STEPS * TS_IN,
                                  .img = all->img + at * IMG_SIDE * IMG_SIDE,
                                  .words = all->words + at * TX_TOKENS,
                                  .label = all->label + at};
    struct node *z = NULL;
    switch (m->kind) {
    case BENCH_TAB:
        z = tab(m, t, b.tab);
        break;
    case BENCH_TS:
        z = ts(m, t, b.ts);
        break;
    case BENCH_IMG:
        z = img(m, t, b.img);
        break;
    case BENCH_TX:
        z = tx(m, t, b.words);
        break;
    case BENCH_MULTI:
        z = multi(m, t, &b);
        break;
    }
    return tape_bce(t, z, b.label);
}

/* ---- useful work ----------------------------------------------------------------------------- */

static double tab_products(size_t outputs)
{
    return (double)(TAB_IN * TAB_1 + TAB_1 * TAB_2) + (double)(TAB_2 * outputs);
}

static double ts_products(size_t outputs)
{
    return (double)(TS_STEPS * (TS_IN + TS_HIDDEN) * 4 * TS_HIDDEN) + (double)(TS_HIDDEN * outputs);
}

static double img_products(size_t outputs)
{
    double sum = (double)(channels[3] * outputs);
    for (size_t i = 0; i < 3; i++) {
        const size_t side = IMG_SIDE >> i;
        sum += (double)(side * side * 9 * channels[i] * channels[i + 1]);
    }
    return sum;
}

static double tx_products(size_t outputs)
{
    const size_t dense_products = TX_TOKENS * (4 * TX_D * TX_D + 2 * TX_D * TX_FF);
    const size_t attention = 2 * TX_TOKENS * TX_TOKENS * TX_D; /* scores, and weighted values */
    return (double)(TX_BLOCKS * (dense_products + attention)) + (double)(TX_D * outputs);
}

double bench_model_products(const struct bench_model *m)
{
    switch (m->kind) {
    case BENCH_TAB:
        return tab_products(1);
    case BENCH_TS:
        return ts_products(1);
    case BENCH_IMG:
        return img_products(1);
    case BENCH_TX:
        return tx_products(1);
    case BENCH_MULTI:
        break;
    }
    return tab_products(PART) + ts_products(PART) + img_products(PART) + tx_products(PART) +
           4.0 * PART * FUSED + FUSED;
}
