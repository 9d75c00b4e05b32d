/* Checks of one operator the way a network runs it, through the internal op interface: inputs that
 * get no signal are constants known on the host, and the inverse sees only what keeps() asked for.
 */
#include "harness.h"

#include "conv/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct net_case {
    deconv_ctx *ctx;
    ref_case *c;
    report *r;
    attr_list attrs;
    host_tensor host[REF_MAX_IN];
    weight weight[REF_MAX_IN];
    op *op;
    scratch scratch;
    buffer *kept;
    tensor *in[REF_MAX_IN], *out[REF_MAX_OUT];
    tensor *R[REF_MAX_OUT], *S[REF_MAX_IN];
} net_case;

static shape shape_of(const ref_tensor *t)
{
    shape s = {.rank = t->given ? t->rank : -1};

    memcpy(s.dim, t->dim, sizeof s.dim);
    return s;
}

static bool ok(net_case *n, deconv_status status, const char *what)
{
    return check_status(n->r, n->ctx, status, what);
}

static bool upload(net_case *n, const ref_tensor *from, tensor **out)
{
    shape s = shape_of(from);
    float *values = floats_of(from);
    bool done = ok(n, tensor_create(n->ctx, &s, "tensor", out), "tensor") &&
                ok(n, deconv_tensor_write(*out, values, (uint64_t)from->count), "write");

    free(values);
    return done;
}

static bool blank(net_case *n, const ref_tensor *like, tensor **out)
{
    shape s = shape_of(like);
    float *values = floats_filled(like->count, unwritten[0]);
    bool done = ok(n, tensor_create(n->ctx, &s, "tensor", out), "tensor") &&
                ok(n, deconv_tensor_write(*out, values, (uint64_t)like->count), "write");

    free(values);
    return done;
}

static bool open_op(net_case *n)
{
    const host_tensor *constant[REF_MAX_IN] = {NULL};
    bool is_weight[REF_MAX_IN] = {false};
    shape in_shape[REF_MAX_IN];
    ref_case *c = n->c;

    attrs_of(c, &n->attrs);
    for (int i = 0; i < c->n_in; i++) {
        in_shape[i] = shape_of(&c->in[i]);
        if (!c->in[i].given || ref_wants(c, i))
            continue;
        n->host[i] = (host_tensor){.shape = in_shape[i], .is_float = true};
        n->host[i].f = floats_of(&c->in[i]);
        constant[i] = &n->host[i];
        is_weight[i] = true;
    }
    return ok(n,
              op_create(n->ctx, c->op->type, c->op->type, c->problem->opset, n->attrs.attrs,
                        (size_t)n->attrs.count, c->n_in, in_shape, constant, is_weight, c->n_out,
                        &n->op),
              "op_create");
}

/* Planned as a graph does it: constants come to the device as the operator wants them there. */
static bool plan_op(net_case *n)
{
    n->op->scratch = &n->scratch;
    for (int i = 0; i < n->op->n_in; i++) {
        n->weight[i] = (weight){.ctx = n->ctx, .name = "a weight", .host = &n->host[i]};
        n->weight[i].keep_host = true;
        n->op->weight[i] = n->host[i].f ? &n->weight[i] : NULL;
    }
    return ok(n, op_plan(n->op), "op_plan") && ok(n, op_plan_inverse(n->op), "op_plan_inverse");
}

static bool open_case(net_case *n)
{
    ref_case *c = n->c;
    size_t keep;

    if (!open_op(n))
        return false;
    keep = n->op->class->keep_bytes ? n->op->class->keep_bytes(n->op) : 0;
    if (keep && !ok(n, buffer_create(n->ctx, keep, "switches", &n->kept), "switches"))
        return false;
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].given && !n->host[i].f && !upload(n, &c->in[i], &n->in[i]))
            return false;
    for (int o = 0; o < c->n_out; o++)
        if (!blank(n, &c->out[o], &n->out[o]) || !upload(n, &c->R[o], &n->R[o]))
            return false;
    return plan_op(n);
}

static void close_case(net_case *n)
{
    op_free(n->op);
    scratch_free(&n->scratch);
    buffer_free(n->kept);
    for (int i = 0; i < REF_MAX_IN; i++) {
        deconv_tensor_destroy(n->in[i]);
        deconv_tensor_destroy(n->S[i]);
        weight_free(&n->weight[i]);
        free(n->host[i].f);
    }
    for (int o = 0; o < REF_MAX_OUT; o++) {
        deconv_tensor_destroy(n->out[o]);
        deconv_tensor_destroy(n->R[o]);
    }
}

static bool compare(net_case *n, tensor *is, const ref_tensor *should, int64_t terms, double *worst,
                    const char *what)
{
    float *values = floats_filled(should->count, 0);
    bool same = ok(n, deconv_tensor_read(is, values, (uint64_t)should->count), "read") &&
                check_close(n->r, values, should, terms, worst, "in a network, %s", what);

    free(values);
    return same;
}

/* Input `i` of a pass. */
static const tensor *operand(const net_case *n, int i)
{
    return n->op->is_weight[i] ? op_weight(n->op, i) : n->in[i];
}

static bool check_forward(net_case *n, bool keep)
{
    const tensor *in[REF_MAX_IN] = {NULL};
    op_pass pass = {.in = in, .out = n->out, .kept = keep ? n->kept : NULL};

    for (int i = 0; i < n->op->n_in; i++)
        in[i] = operand(n, i);
    if (!ok(n, n->op->class->forward(n->op, &pass), "forward in a network") ||
        !ok(n, device_wait(n->ctx), "forward in a network"))
        return false;
    for (int o = 0; o < n->c->n_out; o++)
        if (!compare(n, n->out[o], &n->c->out[o], n->c->terms_out, &n->r->forward_error, "forward"))
            return false;
    return true;
}

/* What the inverse may read: weights always, activations where keeps() asks for them. */
static uint32_t narrow(net_case *n, const way_back *way, const tensor **in, tensor **out)
{
    const op_class *class = n->op->class;
    uint32_t keeps = class->keeps ? class->keeps(n->op, way->rule, way->flags) : 0;

    for (int i = 0; i < n->c->n_in; i++)
        in[i] = i < n->op->n_in && (n->op->is_weight[i] || keeps & KEEP_INPUT(i)) ? operand(n, i)
                                                                                  : NULL;
    for (int o = 0; o < n->c->n_out; o++)
        out[o] = keeps & KEEP_OUTPUT(o) ? n->out[o] : NULL;
    return keeps;
}

/* An operator that says it hands R through must do so. */
static void check_passes_signal(net_case *n, const way_back *way)
{
    const op_class *class = n->op->class;
    const ref_tensor *S = &n->c->S[0], *R = &n->c->R[0];

    if (!class->passes_signal || !class->passes_signal(n->op, way->rule, way->flags))
        return;
    check(n->r, S->count == R->count && !memcmp(S->at, R->at, (size_t)S->count * sizeof *S->at),
          "%s: passes_signal() is true, but the signal changes", way->name);
}

/* `missing`: an output at which nothing arrived, -1 for none. */
static bool check_inverse(net_case *n, const way_back *way, int missing)
{
    const tensor *in[REF_MAX_IN] = {NULL}, *signal_out[REF_MAX_OUT] = {NULL};
    tensor *out[REF_MAX_OUT] = {NULL};
    op_pass pass = {.rule = way->rule,
                    .flags = way->flags,
                    .in = in,
                    .out = out,
                    .kept = n->kept,
                    .signal_out = signal_out,
                    .signal_in = n->S};
    ref_case *c = n->c;

    narrow(n, way, in, out);
    for (int o = 0; o < c->n_out; o++) {
        signal_out[o] = o == missing ? NULL : n->R[o];
        if (o == missing)
            memset(c->R[o].at, 0, (size_t)c->R[o].count * sizeof *c->R[o].at);
    }
    for (int i = 0; i < c->n_in; i++) {
        deconv_tensor_destroy(n->S[i]);
        n->S[i] = NULL;
        if (ref_wants(c, i) && !blank(n, &c->S[i], &n->S[i]))
            return false;
    }
    ref_inverse(c, way->rule, way->flags);
    if (!ok(n, n->op->class->inverse(n->op, &pass), way->name) ||
        !ok(n, device_wait(n->ctx), way->name))
        return false;
    for (int i = 0; i < c->n_in; i++)
        if (n->S[i] && !compare(n, n->S[i], &c->S[i], c->terms_in, &n->r->inverse_error, way->name))
            return false;
    if (missing < 0)
        check_passes_signal(n, way);
    return true;
}

void check_as_network(deconv_ctx *ctx, ref_case *c, bool forward_only, report *r)
{
    net_case n = {.ctx = ctx, .c = c, .r = r};
    way_back ways[MAX_WAYS];
    int count = ways_back(c->op, ways);

    ref_forward(c);
    if (open_case(&n) && check_forward(&n, false) && !forward_only && check_forward(&n, true)) {
        for (int w = 0; w < count; w++)
            check_inverse(&n, &ways[w], -1);
        if (c->n_out > 1)
            check_inverse(&n, &ways[0], c->n_out - 1);
    }
    check(r, buffers_check_guards(ctx) == DECONV_OK, "in a network: %s", deconv_ctx_message(ctx));
    close_case(&n);
}

/* What the inverse needs besides over windows, where they may be of any frames. */
static void plan_windows(net_case *n)
{
    const op_class *class = n->op->class;
    window_frame out[REF_MAX_OUT], in[REF_MAX_IN];
    const windows w = {.count = 1, .out = out, .in = in};
    axes_apart how;
    void *plan = NULL;

    if (!class->apart || !class->apart(n->op, &how))
        return;
    for (int o = 0; o < n->op->n_out; o++)
        out[o] = frame_whole(&n->op->out_shape[o]);
    for (int i = 0; i < n->op->n_in; i++)
        in[i] = frame_whole(&n->op->in_shape[i]);
    if (ok(n, class->plan_windows(n->op, &w, &plan), "plan_windows") && plan)
        class->release_windows(n->op, plan);
}

void check_plans(deconv_ctx *ctx, ref_case *c, report *r)
{
    const bool convolution = !strncmp(c->op->type, "Conv", 4);
    const conv_algorithm *a;

    for (int i = 0; (a = conv_algorithm_at(i)) && (convolution || i == 0); i++) {
        net_case n = {.ctx = ctx, .c = c, .r = r};

        /* CPU devices never choose it, and CLBlast compiles slowly there. */
        if (!strcmp(a->name, "im2col") && device_limits_of(ctx)->kind == DECONV_DEVICE_CPU)
            continue;
        setenv("DECONV_CONV_ALGORITHM", a->name, 1);
        if (open_case(&n))
            plan_windows(&n);
        close_case(&n);
    }
    unsetenv("DECONV_CONV_ALGORITHM");
}
