"""Runs the ONNX project's own node tests on every operator that libdeconv claims.

    python bench/onnx_nodes.py [--list docs/onnx-node-tests.md]

Needs the PyPI package onnx==1.16.2 (opset 21; it brings the tests) and numpy. A test fits when every tensor that crosses the network's
border is float32 with 1 to 5 dimensions; inputs that the library wants as constants (shapes, axes, bounds,
weights) are made initializers, as exporters do. Prints what is left out and why.
"""

import argparse
import collections
import pathlib
import sys
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

import deconv_ctypes as deconv

OPERATORS = """
    Conv ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool Relu LeakyRelu PRelu Elu Selu Celu Sigmoid
    Tanh Softplus Softsign HardSigmoid HardSwish Mish Gelu Clip Erf BatchNormalization LRN Gemm MatMul Add Sub Mul Div
    Concat Split Slice Pad Flatten Reshape Squeeze Unsqueeze Transpose Resize Upsample ReduceMean Dropout Identity
    Cast Constant Softmax LogSoftmax Shape Gather
""".split()

# Inputs that are constants in every exported network: all but these.
ACTIVATIONS = collections.defaultdict(lambda: [0])
ACTIVATIONS.update({op: [0, 1] for op in ("Add", "Sub", "Mul", "Div", "MatMul")})
ACTIVATIONS["Concat"] = list(range(16))


def read_tensors(folder, kind):
    files = sorted(folder.glob(f"{kind}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
    return [numpy_helper.to_array(onnx.load_tensor(str(f))) for f in files]


def make_constants(model, arrays):
    """Moves the inputs that are no activations to the initializers; returns the arrays left."""
    graph = model.graph
    wanted = set()
    for node in graph.node:
        for i, name in enumerate(node.input):
            if i in ACTIVATIONS[node.op_type]:
                wanted.add(name)
    left = []
    for value, array in list(zip(graph.input, arrays)):
        if value.name in wanted:
            left.append(array)
            continue
        graph.initializer.append(numpy_helper.from_array(array, value.name))
        graph.input.remove(value)
    return left


def why_left_out(model, inputs, outputs):
    """The reason that a test does not fit, None when it does."""
    foreign = {n.op_type for n in model.graph.node} - set(OPERATORS)
    if foreign:
        return f"uses {', '.join(sorted(foreign))}"
    if any(n.domain not in ("", "ai.onnx") for n in model.graph.node):
        return "foreign operator domain"
    if not inputs:
        return "no activation: nothing but constants"
    for what, arrays in (("input", inputs), ("output", outputs)):
        for array in arrays:
            if not isinstance(array, np.ndarray) or array.dtype != np.float32:
                return f"{what} of type {getattr(array, 'dtype', 'sequence')}"
            if not 1 <= array.ndim <= 5:
                return f"{what} of {array.ndim} dimensions"
            if array.size == 0:
                return f"empty {what}"
    return None


def run(ctx, model, inputs):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"{model.graph.name}.onnx"
        onnx.save(model, str(path))
        net = deconv.Net(ctx, path)
    layers = net.outputs()
    trace = net.trace(inputs[0].shape[0], layers, ["deconvnet"])
    trace.run([ctx.tensor(a) for a in inputs])
    results = [trace.activation(layer) for layer in layers]
    trace.close()
    net.close()
    return results


def compare(results, outputs, case):
    for result, output in zip(results, outputs):
        if result.shape != output.shape:
            return f"shape {result.shape}, expected {output.shape}"
        if not np.allclose(result, output, rtol=case.rtol, atol=case.atol, equal_nan=True):
            return f"differs by {np.abs(result - output).max():.2e}"
    return None


def check(ctx, case):
    """(verdict, reason) of one test."""
    folder = pathlib.Path(case.model_dir)
    model = onnx.load(str(folder / "model.onnx"))
    data = folder / "test_data_set_0"
    if not all(v.type.HasField("tensor_type") for v in [*model.graph.input, *model.graph.output]):
        return "left out", "sequences or optional values"
    outputs = read_tensors(data, "output")
    inputs = make_constants(model, read_tensors(data, "input"))
    reason = why_left_out(model, inputs, outputs)
    if reason:
        return "left out", reason
    for opset in model.opset_import:
        # Operators that did not change between the test's opset and 7, the oldest that is read.
        opset.version = max(opset.version, 7)
    try:
        reason = compare(run(ctx, model, inputs), outputs, case)
    except deconv.Error as error:
        # Without the path of the temporary file.
        return "refused", str(error).rpartition(".onnx: ")[2]
    return ("FAILED", reason) if reason else ("passed", "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", type=pathlib.Path, help="write the result as Markdown")
    arguments = parser.parse_args()
    ctx = deconv.Context()
    rows = []
    for case in load_model_tests(kind="node"):
        model = onnx.load(str(pathlib.Path(case.model_dir) / "model.onnx"))
        if {n.op_type for n in model.graph.node} & set(OPERATORS):
            rows.append((case.name, *check(ctx, case)))
    rows.sort()
    counts = collections.Counter(row[1] for row in rows)
    for name, verdict, reason in rows:
        if verdict != "passed":
            print(f"{verdict:8} {name}: {reason}")
    summary = ", ".join(f"{counts[v]} {v}" for v in ("passed", "FAILED", "refused", "left out"))
    print(f"onnx {onnx.__version__}: {summary}")
    if arguments.list:
        write_list(arguments.list, rows, summary)
    return counts["FAILED"] > 0


def write_list(path, rows, summary):
    lines = [
        "# The ONNX project's node tests",
        "",
        f"`python bench/onnx_nodes.py --list {path}` with onnx {onnx.__version__}: {summary}.",
        "",
        "Left out are tests that are not float32 of 1 to 5 dimensions or use operators that are not claimed; refused",
        "are those that the library turns away with the message shown.",
        "",
        "| test | | why |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {n} | {v} | {r.replace('|', chr(92) + '|')} |" for n, v, r in rows if v != "passed"]
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
