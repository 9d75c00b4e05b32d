"""Just enough of ONNX's wire format to write small models for tests. Standard library only."""

import struct


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out + bytes([n]))


def number(field, n):
    return varint(field << 3) + varint(n)


def text(field, value):
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def attribute(name, value):
    """Integers, a list of integers, a float or a string."""
    out = text(1, name)
    if isinstance(value, list):
        return out + b"".join(number(8, v) for v in value) + number(20, 7)
    if isinstance(value, int):
        return out + number(3, value) + number(20, 2)
    if isinstance(value, float):
        return out + varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
    return out + text(4, value) + number(20, 3)


def node(op_type, inputs, outputs, **attributes):
    out = b"".join(text(1, i) for i in inputs) + b"".join(text(2, o) for o in outputs)
    out += text(4, op_type)
    return out + b"".join(text(5, attribute(k, v)) for k, v in attributes.items())


def weights(name, shape, values):
    data = struct.pack(f"<{len(values)}f", *values)
    return b"".join(number(1, d) for d in shape) + number(2, 1) + text(8, name) + text(9, data)


def external_weights(name, shape, path):
    """Weights that lie in another file."""
    entry = text(1, "location") + text(2, path)
    return (
        b"".join(number(1, d) for d in shape)
        + number(2, 1)
        + text(8, name)
        + text(13, entry)
        + number(14, 1)
    )


def value(name, shape):
    dims = b"".join(text(1, number(1, d) if isinstance(d, int) else text(2, d)) for d in shape)
    return text(1, name) + text(2, text(1, number(1, 1) + text(2, dims)))


def model(nodes, inputs, outputs, initializers=(), opset=13):
    graph = b"".join(text(1, n) for n in nodes) + text(2, "g")
    graph += b"".join(text(5, t) for t in initializers)
    graph += b"".join(text(11, v) for v in inputs) + b"".join(text(12, v) for v in outputs)
    return number(1, 8) + text(7, graph) + text(8, number(2, opset))
