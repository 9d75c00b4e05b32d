/* oneDNN's description of a convolution; see peer_convolution.h. */
#include "peer_convolution.h"

#include <string.h>

static dnnl_memory_desc_t desc_of(int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t desc;

    check_dnnl(dnnl_memory_desc_init_by_tag(&desc, rank, dims, dnnl_f32, tag), "layout");
    return desc;
}

static dnnl_memory_desc_t side_desc(const conv_problem *p, bool x, dnnl_format_tag_t tag)
{
    const int64_t *size = x ? p->in_size : p->out_size;
    const dnnl_dims_t dims = {p->batch, x ? p->in_channels : p->out_channels, size[0], size[1]};

    return desc_of(4, dims, tag);
}

static dnnl_memory_desc_t weights_desc(const conv_problem *p, bool plain)
{
    const dnnl_dims_t whole = {p->out_channels, p->in_channels, p->kernel[0], p->kernel[1]};
    const dnnl_dims_t grouped = {p->groups, p->out_channels / p->groups, p->in_channels / p->groups,
                                 p->kernel[0], p->kernel[1]};

    if (p->groups == 1)
        return desc_of(4, whole, plain ? dnnl_oihw : dnnl_format_tag_any);
    return desc_of(5, grouped, plain ? dnnl_goihw : dnnl_format_tag_any);
}

bool peer_plan_make(dnnl_engine_t engine, const conv_problem *p, bool forward, bool plain,
                    peer_plan *out)
{
    const dnnl_format_tag_t tag = plain ? dnnl_nchw : dnnl_format_tag_any;
    const dnnl_memory_desc_t x = side_desc(p, true, tag), y = side_desc(p, false, tag);
    const dnnl_memory_desc_t w = weights_desc(p, false);
    const dnnl_dims_t stride = {p->stride[0], p->stride[1]};
    const dnnl_dims_t dilation = {p->dilation[0] - 1, p->dilation[1] - 1};
    const dnnl_dims_t pad = {p->pad[0], p->pad[1]};
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t status;

    check_dnnl(dnnl_dilated_convolution_forward_desc_init(
                   &desc, forward ? dnnl_forward_inference : dnnl_forward_training,
                   dnnl_convolution_direct, &x, &w, NULL, &y, stride, dilation, pad, pad),
               "convolution");
    status = dnnl_primitive_desc_create(&out->desc, &desc, NULL, engine, NULL);
    if (status == dnnl_success && !forward) {
        hint = out->desc;
        check_dnnl(dnnl_dilated_convolution_backward_data_desc_init(
                       &desc, dnnl_convolution_direct, &x, &w, &y, stride, dilation, pad, pad),
                   "convolution");
        status = dnnl_primitive_desc_create(&out->desc, &desc, NULL, engine, hint);
        dnnl_primitive_desc_destroy(hint);
    }
    if (status == dnnl_unimplemented)
        return false;
    check_dnnl(status, "convolution");
    out->plain_x = side_desc(p, true, dnnl_nchw);
    out->plain_y = side_desc(p, false, dnnl_nchw);
    out->plain_weights = weights_desc(p, true);
    out->x = dnnl_primitive_desc_query_md(out->desc,
                                          forward ? dnnl_query_src_md : dnnl_query_diff_src_md, 0);
    out->y = dnnl_primitive_desc_query_md(out->desc,
                                          forward ? dnnl_query_dst_md : dnnl_query_diff_dst_md, 0);
    out->weights = dnnl_primitive_desc_query_md(out->desc, dnnl_query_weights_md, 0);
    check_dnnl(dnnl_primitive_desc_query(out->desc, dnnl_query_impl_info_str, 0, &out->kernel),
               "name");
    return true;
}
