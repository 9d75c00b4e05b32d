"""Whole forward passes: libdeconv, PyTorch (eager) and ONNX Runtime on the same weights and pictures,
each from an array of pictures to an array of scores. libdeconv runs twice: as traces do by default, and
with DECONV_TRACE_APPROXIMATE ("fast"), which lets Winograd's algorithm serve."""

import numpy as np
import onnxruntime
import torch

import nets_models
import side_by_side
from torchvision_models import relative

TOLERANCE = 1e-4


class Deconv:
    """A trace that keeps the scores only."""

    def __init__(self, ctx, net, pictures, approximate):
        self.ctx = ctx
        self.layer = net.outputs()[0]
        self.trace = net.trace(len(pictures), [self.layer], rules=(), approximate=approximate)
        self.pictures = pictures
        self.tensor = ctx.empty(pictures.shape)

    def __call__(self):
        self.ctx.write(self.tensor, self.pictures)
        self.trace.run_tensors([self.tensor])
        return self.trace.activation(self.layer)

    def close(self):
        self.trace.close()
        self.ctx.destroy(self.tensor)


def pytorch(model, pictures):
    def run():
        with torch.inference_mode():
            return model(pictures).numpy()

    return run


def ort(path, pictures, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"picture": pictures})[0]


def compare(ctx, net, name, model, path, batch, threads, effort):
    """{what: seconds}, and the largest difference of the scores."""
    pictures = nets_models.pictures(name, batch)
    array = pictures.numpy()
    mine = [Deconv(ctx, net, array, approximate) for approximate in (False, True)]
    works = {
        "libdeconv": mine[0],
        "fast": mine[1],
        "PyTorch": pytorch(model, pictures),
        "ONNX Runtime": ort(path, array, threads),
    }
    results = [np.asarray(work()) for work in works.values()]
    difference = max(relative(results[0], other) for other in results[1:])
    seconds = side_by_side.measure(works, **effort)
    for trace in mine:
        trace.close()
    return seconds, difference
