"""Runs the ONNX project's own node tests on every operator that libdeconv claims.

    python bench/onnx_nodes.py [--list docs/onnx-node-tests.md] [--only TEXT]

Needs the packages of the first part of requirements.txt; onnx brings the tests. A test is run up to
two ways:

as a layer     The test's first input (all of them, where branches may meet) is the network's
               input; what exporters store in the file (weights, shapes, axes, bounds) becomes
               initializers. It fits when all that enters and leaves the network is float32 of 1
               to 5 dimensions.
as constants   Every input becomes an initializer, so that the library must fold the whole graph
               when it loads it; a layer that adds zero makes a network of the result. It fits
               when all operators can be folded.

A test must pass in every way that it fits. The others are listed with the reason.
"""

import argparse
import collections
import pathlib
import re
import sys
import tempfile
import textwrap

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

import deconv_ctypes as deconv

# What runs on activations: lib/ops/registry.c.
LAYERS = set(
    """
    Conv ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool Resize Upsample Gemm
    MatMul Relu PRelu Pow BatchNormalization LRN Softmax LogSoftmax ReduceMean ReduceSum Transpose
    Slice Concat Split Pad Gather Expand Tile Reshape Flatten Squeeze Unsqueeze Identity Dropout
    Cast LeakyRelu ThresholdedRelu Elu Selu Celu Sigmoid Tanh Softplus Softsign HardSigmoid
    HardSwish Mish Gelu Clip Erf Exp Sqrt Abs Neg Reciprocal Add Sub Mul Div Sum
    """.split()
)

# What is computed at load when it depends on constants and shapes alone: lib/onnx/fold_*.c.
FOLDED = set(
    """
    Cast Constant ConstantOfShape Shape Size Range Identity Reshape Flatten Squeeze Unsqueeze
    Transpose Concat Split Add Sub Mul Div Mod Pow Min Max Neg Abs Sqrt Reciprocal Exp Floor Ceil
    Round Equal Less Greater LessOrEqual GreaterOrEqual Not And Or Xor ReduceSum ReduceProd
    ReduceMax ReduceMin ReduceMean Slice Gather Expand Tile Where
    """.split()
)

BY_SHAPE = {"Shape", "Size"}  # do not depend on what their input holds

# The inputs that may be activations; of every other operator it is the first.
ALL_INPUTS = {"Add", "Sub", "Mul", "Div", "Sum", "MatMul", "Concat"}

FLOAT = TensorProto.FLOAT
BFLOAT16 = TensorProto.BFLOAT16
CONSTANT_TYPES = {
    getattr(TensorProto, name)
    for name in "FLOAT FLOAT16 DOUBLE BOOL INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32".split()
}


class Misfit(Exception):
    """Why a test does not fit."""


def type_name(element):
    return TensorProto.DataType.Name(element).lower()


def read_case(case):
    """(model, inputs, outputs) of a test; the tensors by name."""
    folder = pathlib.Path(case.model_dir)
    model = onnx.load(str(folder / "model.onnx"))
    values = [*model.graph.input, *model.graph.output]
    if not all(v.type.HasField("tensor_type") for v in values):
        raise Misfit("sequences or optional values")

    def tensors(kind, values):
        files = [folder / "test_data_set_0" / f"{kind}_{i}.pb" for i in range(len(values))]
        found = {v.name: onnx.load_tensor(str(f)) for v, f in zip(values, files)}
        for value in values:
            # The tests' files say uint16 where bfloat16 is stored.
            if value.type.tensor_type.elem_type == BFLOAT16:
                found[value.name].data_type = BFLOAT16
        return found

    # Tests of operators that have not changed since opset 1 to 6 are marked with that opset; 7 is
    # the oldest that is read.
    for opset in model.opset_import:
        opset.version = max(opset.version, 7)
    return model, tensors("input", model.graph.input), tensors("output", model.graph.output)


def keep_inputs(model, inputs, wanted):
    """Makes initializers of all inputs but those named in `wanted`."""
    graph = model.graph
    for value in list(graph.input):
        if value.name not in wanted:
            graph.initializer.append(inputs[value.name])
            graph.initializer[-1].name = value.name
            graph.input.remove(value)


def check_operators(model):
    """Raises a Misfit where an activation meets an operator that is claimed for constants only."""
    activations = {v.name for v in model.graph.input}
    wrong = set()
    for node in model.graph.node:
        depends = node.op_type not in BY_SHAPE and any(i in activations for i in node.input)
        if depends:
            activations.update(node.output)
        if node.op_type not in (LAYERS if depends else FOLDED):
            wrong.add(f"{node.op_type} of {'activations' if depends else 'constants'}")
    if wrong:
        raise Misfit(f"not claimed: {', '.join(sorted(wrong))}")
    if not activations & {v.name for v in model.graph.output}:
        raise Misfit("the result depends on constants and shapes only")


def check_border(kind, values, tensors):
    """Raises a Misfit unless all of the values are float32 of 1 to 5 dimensions."""
    for value in values:
        element, shape = value.type.tensor_type.elem_type, tensors[value.name].dims
        if element != FLOAT:
            raise Misfit(f"{kind} of type {type_name(element)}")
        if not 1 <= len(shape) <= deconv.MAX_RANK:
            raise Misfit(f"{kind} of {len(shape)} dimensions")
        if 0 in shape:
            raise Misfit(f"empty {kind}")


def as_layer(model, inputs, outputs):
    """Turns `model` into the network of the first way; returns its input and output arrays."""
    graph = model.graph
    if any(n.domain not in ("", "ai.onnx") for n in graph.node):
        raise Misfit("operators of another domain")
    missing = {n.op_type for n in graph.node} - LAYERS - FOLDED
    if missing:
        raise Misfit(f"not claimed: {', '.join(sorted(missing))}")
    wanted = {
        name
        for node in graph.node
        for i, name in enumerate(node.input)
        if i == 0 or node.op_type in ALL_INPUTS
    }
    check_border("input", [v for v in graph.input if v.name in wanted], inputs)
    check_border("output", graph.output[:1], outputs)
    check_border(f"second output ({graph.node[-1].op_type})", graph.output[1:], outputs)
    keep_inputs(model, inputs, wanted)
    check_operators(model)
    arrays = [numpy_helper.to_array(inputs[v.name]) for v in graph.input]
    return arrays, [numpy_helper.to_array(t) for t in outputs.values()]


def as_constants(model, inputs, outputs):
    """Turns `model` into the network of the second way; returns its input and output arrays."""
    graph = model.graph
    if any(n.op_type not in FOLDED for n in graph.node):
        raise Misfit("not all of it can be folded")
    # What is cast to bfloat16 stays float32, more exact than bfloat16's own tests allow.
    types = {v.type.tensor_type.elem_type for v in graph.input} - {BFLOAT16}
    types |= {v.type.tensor_type.elem_type for v in graph.output}
    if not types <= CONSTANT_TYPES:
        raise Misfit("constants of a type that is not folded")
    if any(len(t.dims) > deconv.MAX_RANK or 0 in t.dims for t in outputs.values()):
        raise Misfit("an empty result or one of more than 5 dimensions")
    keep_inputs(model, inputs, ())
    results = list(graph.output)
    del graph.output[:]
    zeros, expected = [], []
    for value in results:
        array = np.atleast_1d(numpy_helper.to_array(outputs[value.name])).astype(np.float32)
        zero, result, total = (f"{value.name}/{part}" for part in ("zero", "float", "sum"))
        graph.node.append(helper.make_node("Cast", [value.name], [result], to=FLOAT))
        graph.node.append(helper.make_node("Add", [result, zero], [total]))
        graph.input.append(helper.make_tensor_value_info(zero, FLOAT, array.shape))
        graph.output.append(helper.make_tensor_value_info(total, FLOAT, array.shape))
        zeros.append(np.zeros_like(array))
        expected.append(array)
    return zeros, expected


def run(ctx, model, inputs):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "test.onnx"
        onnx.save(model, str(path))
        net = deconv.Net(ctx, path)
    layers = net.outputs()
    trace = net.trace(inputs[0].shape[0], layers, ["deconvnet"])
    trace.run(inputs)
    results = [trace.activation(layer) for layer in layers]
    trace.close()
    net.close()
    return results


def compare(results, outputs, case):
    for result, output in zip(results, outputs, strict=True):
        if result.shape != output.shape:
            return f"shape {result.shape}, expected {output.shape}"
        if not np.allclose(result, output, rtol=case.rtol, atol=case.atol, equal_nan=True):
            return f"differs by {np.abs(result - output).max():.2e}"
    return None


def check_way(ctx, case, way):
    """(verdict, reason) of one test run in one way."""
    try:
        model, inputs, outputs = read_case(case)
        arrays, expected = way(model, inputs, outputs)
    except Misfit as misfit:
        return "left out", str(misfit)
    try:
        reason = compare(run(ctx, model, arrays), expected, case)
    except deconv.Error as error:
        return "refused", str(error).rpartition(".onnx: ")[2]  # without the temporary file's path
    return ("FAILED", reason) if reason else ("passed", "")


def check(ctx, case):
    """(verdict, reason, ways in which it passed) of one test."""
    layer = check_way(ctx, case, as_layer)
    constants = check_way(ctx, case, as_constants)
    ways = [w for w, r in (("layer", layer), ("constants", constants)) if r[0] == "passed"]
    for verdict in ("FAILED", "refused"):
        for result in (layer, constants):
            if result[0] == verdict:
                return *result, ways
    return ("passed", "", ways) if ways else (*layer, ways)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", type=pathlib.Path, help="write the result as Markdown")
    parser.add_argument("--only", default="", help="only tests with this in their name")
    arguments = parser.parse_args()
    ctx = deconv.Context()
    rows = []
    for case in load_model_tests(kind="node"):
        model = onnx.load(str(pathlib.Path(case.model_dir) / "model.onnx"))
        operators = {n.op_type for n in model.graph.node}
        if arguments.only in case.name and operators & (LAYERS | FOLDED):
            rows.append((case.name, *check(ctx, case)))
    rows.sort(key=lambda row: row[0])
    for name, verdict, reason, _ in rows:
        if verdict != "passed":
            print(f"{verdict:8} {name}: {reason}")
    counts = collections.Counter(row[1] for row in rows)
    ways = collections.Counter(way for row in rows for way in row[3])
    summary = (
        f"{counts['passed']} passed ({ways['layer']} as layers, {ways['constants']} as constants), "
        f"{counts['FAILED']} failed, {counts['refused']} refused, {counts['left out']} left out"
    )
    print(f"onnx {onnx.__version__}: {summary}")
    if arguments.list:
        write_list(arguments.list, rows, summary, deconv.version(), ctx.device())
    return counts["FAILED"] > 0


def general(reason):
    """A reason without what is a matter of the one test: the node, the shape of its input."""
    reason = re.sub(r"^(node )?\S+( \(\w+\))?: ", "", reason)
    return re.sub(r"an input of shape [0-9x]+ has", "an input has", reason)


def section(rows, verdict):
    """Lines of Markdown: the reasons, most frequent first, each with its tests."""
    groups = collections.defaultdict(list)
    for name, found, reason, _ in rows:
        if found == verdict:
            groups[general(reason)].append(name)
    lines = []
    for reason, names in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        lines += [f"**{reason}** ({len(names)})", "", *textwrap.wrap(", ".join(names), 100), ""]
    return lines


def write_list(path, rows, summary, version, device):
    text = f"""\
        # The ONNX project's node tests

        Written by `python bench/onnx_nodes.py --list docs/onnx-node-tests.md`:
        libdeconv {version}, onnx {onnx.__version__} (opset {onnx.defs.onnx_opset_version()}),
        numpy {np.__version__},
        {device}.

        **{summary}**, of
        the {len(rows)} tests whose graph has an operator that is claimed.

        A test is run as a layer (its first input is the network's input, what exporters store is in
        the file) and as constants (everything is in the file and folded at load), in each way that
        it fits. Its tolerances are its own.
        """
    lines = textwrap.dedent(text).splitlines() + [""]
    lines += ["## Refused", ""]
    lines += ["The library turns the file away with this message. Spatial operators are 1-D and"]
    lines += ["2-D, networks run for inference, Resize scales whole pictures.", ""]
    lines += section(rows, "refused")
    lines += ["## Left out", "", "Not float32 of 1 to 5 dimensions, or more than is claimed.", ""]
    lines += section(rows, "left out")
    path.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    sys.exit(main())
