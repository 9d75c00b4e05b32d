"""libdeconv from Python through ctypes: what the comparisons in this folder need, no more.

The library is taken from $DECONV_LIBRARY, else build/release/lib/libdeconv.so.1.
"""

import ctypes
import os
import pathlib
import typing

import numpy as np

RULES = {"deconvnet": 0, "gradient": 1, "guided": 2}
VALUES = {"activation": 0, "one": 1}
STRONGEST = -1
TRACE_NO_INVERSE = 0x200
TRACE_APPROXIMATE = 0x400
ENGINES = {"incremental": 0, "full": 1}
LOG_INFO = 2
MAX_RANK = 5

_path = os.environ.get(
    "DECONV_LIBRARY",
    pathlib.Path(__file__).resolve().parent.parent / "build/release/lib/libdeconv.so.1",
)
_lib = ctypes.CDLL(str(_path))
_lib.deconv_ctx_message.restype = ctypes.c_char_p
_lib.deconv_version.restype = ctypes.c_char_p
_lib.deconv_tensor_size.restype = ctypes.c_int64
_lib.deconv_occlusion_values.restype = ctypes.POINTER(ctypes.c_float)
_lib.deconv_occlusion_tops.restype = ctypes.POINTER(ctypes.c_int64)
_lib.deconv_occlusion_lefts.restype = ctypes.POINTER(ctypes.c_int64)

c_void, c_u32, c_i64, c_u64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int64, ctypes.c_uint64


class LayerInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_u32),
        ("rank", c_u32),
        ("shape", c_i64 * MAX_RANK),
        ("parameters", c_u64),
        ("field_height", c_i64),
        ("field_width", c_i64),
        ("name", ctypes.c_char_p),
        ("op_type", ctypes.c_char_p),
    ]


class TraceOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_u32),
        ("rules", c_u32),
        ("flags", c_u32),
        ("keep_count", c_u32),
        ("keep", ctypes.POINTER(c_u32)),
        ("last", ctypes.POINTER(c_u32)),
        ("last_count", c_u32),
        ("reserved", c_u32),
    ]


class Seed(ctypes.Structure):
    _fields_ = [("item", c_i64), ("unit", c_i64), ("y", c_i64), ("x", c_i64)]


class ProjectionInfo(ctypes.Structure):
    _fields_ = [
        ("item", c_i64),
        ("unit", c_i64),
        ("y", c_i64),
        ("x", c_i64),
        ("activation", ctypes.c_float),
        ("largest", ctypes.c_float),
        ("died_at", ctypes.c_int32),
        ("reserved", c_u32),
    ]


class ProjectOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_u32),
        ("rule", ctypes.c_int),
        ("flags", c_u32),
        ("value", ctypes.c_int),
        ("input", c_u32),
        ("reserved", c_u32),
    ]


class Occlusion(typing.NamedTuple):
    """A map, (rows, columns), and where the patch's corners are."""

    values: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray


class OcclusionMap(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("layer", c_u32), ("unit", c_i64)]


class OcclusionOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_u32),
        ("engine", ctypes.c_int),
        ("patch_height", c_i64),
        ("patch_width", c_i64),
        ("stride_y", c_i64),
        ("stride_x", c_i64),
        ("top", c_i64),
        ("left", c_i64),
        ("bottom", c_i64),
        ("right", c_i64),
        ("class_index", c_i64),
        ("label", ctypes.c_char_p),
        ("card", c_void),
        ("fill", ctypes.c_int),
        ("colour", ctypes.c_float * 3),
        ("seed", c_u64),
        ("maps", ctypes.POINTER(OcclusionMap)),
        ("map_count", c_u32),
        ("input", c_u32),
    ]


class OcclusionInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_u32),
        ("map_count", c_u32),
        ("rows", c_i64),
        ("columns", c_i64),
        ("rest", c_i64 * 8),
        ("clean_prob", ctypes.c_float),
        ("clean_logit", ctypes.c_float),
    ]


class CtxOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_u32),
        ("flags", c_u32),
        ("device", ctypes.c_char_p),
        ("cache_dir", ctypes.c_char_p),
        ("level", ctypes.c_int),
        ("reserved", c_u32),
        ("log", c_void),
        ("log_user", c_void),
        ("progress", c_void),
        ("progress_user", c_void),
        ("allocate", c_void),
        ("release", c_void),
        ("allocator_user", c_void),
        ("error", ctypes.c_char_p),
        ("error_size", c_u64),
        ("memory", c_u64),
    ]


LogFunction = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, c_void)


class DeviceInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_u32),
        ("kind", ctypes.c_int),
        ("compute_units", c_u32),
        ("is_default", c_u32),
        ("global_memory", c_u64),
        ("max_allocation", c_u64),
        ("name", ctypes.c_char * 128),
        ("vendor", ctypes.c_char * 128),
        ("driver", ctypes.c_char * 128),
        ("platform", ctypes.c_char * 128),
        ("version", ctypes.c_char * 128),
    ]


class Error(RuntimeError):
    pass


def version():
    return _lib.deconv_version().decode()


class Context:
    def __init__(self, device=None, memory=0, log=None):
        """`memory`: the budget in bytes, 0 for the default. `log`: a function that takes lines, from
        those of level "info" on."""
        message = ctypes.create_string_buffer(512)
        options = CtxOptions()
        _lib.deconv_ctx_options_init(ctypes.byref(options))
        options.device = device.encode() if device else None
        options.memory = memory
        if log:
            self.log = LogFunction(lambda level, line, user: log(line.decode()))
            options.log = ctypes.cast(self.log, c_void)
            options.level = LOG_INFO
        options.error = ctypes.cast(message, ctypes.c_char_p)
        options.error_size = len(message)
        self.handle = c_void()
        if _lib.deconv_ctx_create(ctypes.byref(options), ctypes.byref(self.handle)):
            raise Error(message.value.decode())

    def close(self):
        """What was made in it must be gone."""
        _lib.deconv_ctx_destroy(self.handle)
        self.handle = c_void()

    def check(self, status):
        if status:
            raise Error(_lib.deconv_ctx_message(self.handle).decode())

    def device(self):
        """The device in one line."""
        info = DeviceInfo(struct_size=ctypes.sizeof(DeviceInfo))
        self.check(_lib.deconv_ctx_device(self.handle, ctypes.byref(info)))
        return f"{info.name.decode().strip()} ({info.version.decode().strip()})"

    def tensor(self, array):
        """A tensor with the array's values; the caller calls destroy()."""
        tensor = self.empty(array.shape)
        self.write(tensor, array)
        return tensor

    def write(self, tensor, array):
        array = np.ascontiguousarray(array, np.float32)
        data = array.ctypes.data_as(c_void)
        self.check(_lib.deconv_tensor_write(tensor, data, c_u64(array.size)))

    def empty(self, shape):
        tensor = c_void()
        dims = (c_i64 * len(shape))(*shape)
        self.check(
            _lib.deconv_tensor_create(self.handle, dims, len(shape), ctypes.byref(tensor))
        )
        return tensor

    @staticmethod
    def destroy(tensor):
        _lib.deconv_tensor_destroy(tensor)

    def read(self, tensor):
        rank = _lib.deconv_tensor_rank(tensor)
        shape = [_lib.deconv_tensor_size(tensor, d) for d in range(rank)]
        array = np.empty(shape, np.float32)
        self.read_into(tensor, array)
        return array

    def read_into(self, tensor, array):
        data = array.ctypes.data_as(c_void)
        self.check(_lib.deconv_tensor_read(tensor, data, c_u64(array.size)))


class Net:
    def __init__(self, ctx, path):
        self.ctx = ctx
        self.handle = c_void()
        ctx.check(
            _lib.deconv_net_open(ctx.handle, str(path).encode(), None, ctypes.byref(self.handle))
        )

    def close(self):
        _lib.deconv_net_destroy(self.handle)
        self.handle = c_void()

    def occlude(self, picture, patch, stride, engine, region=None):
        """Probabilities of the strongest class. patch, stride: (height, width); region: top, left,
        bottom, right."""
        options = OcclusionOptions()
        _lib.deconv_occlusion_options_init(ctypes.byref(options))
        options.engine = ENGINES[engine]
        options.patch_height, options.patch_width = patch
        options.stride_y, options.stride_x = stride
        if region:
            options.top, options.left, options.bottom, options.right = region
        tensor, result = self.ctx.tensor(picture), c_void()
        try:
            self.ctx.check(
                _lib.deconv_occlusion_run(
                    self.handle,
                    ctypes.byref(tensor),
                    c_u32(1),
                    ctypes.byref(options),
                    ctypes.byref(result),
                )
            )
            return self.read_occlusion(result)
        finally:
            _lib.deconv_occlusion_destroy(result)
            self.ctx.destroy(tensor)

    def read_occlusion(self, result):
        info = OcclusionInfo(struct_size=ctypes.sizeof(OcclusionInfo))
        self.ctx.check(_lib.deconv_occlusion_get(result, ctypes.byref(info)))
        parts = (
            (_lib.deconv_occlusion_values(result, c_u32(0)), (info.rows, info.columns)),
            (_lib.deconv_occlusion_tops(result), (info.rows,)),
            (_lib.deconv_occlusion_lefts(result), (info.columns,)),
        )
        return Occlusion(*[np.ctypeslib.as_array(*part).copy() for part in parts])

    def layers(self):
        infos = []
        for i in range(_lib.deconv_net_layer_count(self.handle)):
            info = LayerInfo(struct_size=ctypes.sizeof(LayerInfo))
            self.ctx.check(_lib.deconv_net_layer(self.handle, i, ctypes.byref(info)))
            infos.append(info)
        return infos

    def find(self, name):
        index = c_u32()
        self.ctx.check(_lib.deconv_net_find(self.handle, name.encode(), ctypes.byref(index)))
        return index.value

    def outputs(self):
        found = []
        for i in range(_lib.deconv_net_output_count(self.handle)):
            layer = c_u32()
            self.ctx.check(_lib.deconv_net_output(self.handle, i, ctypes.byref(layer)))
            found.append(layer.value)
        return found

    def trace(self, batch, keep, rules=("deconvnet", "gradient", "guided"), approximate=False):
        """No rules: a trace that goes forward only."""
        return Trace(self, batch, keep, rules, approximate)


class Trace:
    """One forward pass at a time; `keep` lists layers by index."""

    def __init__(self, net, batch, keep, rules, approximate=False):
        self.ctx = net.ctx
        layers = (c_u32 * len(keep))(*keep)
        options = TraceOptions()
        _lib.deconv_trace_options_init(ctypes.byref(options))
        options.rules = sum(1 << RULES[r] for r in rules)
        options.flags = 0 if rules else TRACE_NO_INVERSE
        if approximate:
            options.flags |= TRACE_APPROXIMATE
        options.keep = options.last = layers
        options.keep_count = options.last_count = len(keep)
        self.handle = c_void()
        self.ctx.check(
            _lib.deconv_trace_create(
                net.handle, c_i64(batch), ctypes.byref(options), ctypes.byref(self.handle)
            )
        )

    def close(self):
        _lib.deconv_trace_destroy(self.handle)
        self.handle = c_void()

    def run(self, arrays):
        tensors = [self.ctx.tensor(a) for a in arrays]
        try:
            self.run_tensors(tensors)
        finally:
            for tensor in tensors:
                self.ctx.destroy(tensor)

    def run_tensors(self, tensors):
        inputs = (c_void * len(tensors))(*[t.value for t in tensors])
        self.ctx.check(_lib.deconv_trace_run(self.handle, inputs, len(tensors)))

    def activation(self, layer):
        tensor = c_void()
        self.ctx.check(_lib.deconv_trace_activation(self.handle, layer, ctypes.byref(tensor)))
        return self.ctx.read(tensor)

    def project(self, layer, seeds, input_shape, rule="deconvnet"):
        """`seeds`: (item, unit, y, x) tuples. Returns the projections and what is known of them."""
        tensor = self.ctx.empty((len(seeds), *input_shape))
        try:
            infos = self.project_into(tensor, layer, seeds, rule)
            return self.ctx.read(tensor), infos
        finally:
            self.ctx.destroy(tensor)

    def project_into(self, tensor, layer, seeds, rule="deconvnet", value="activation"):
        """The same into a tensor of shape (seeds, *input_shape)."""
        options = ProjectOptions()
        _lib.deconv_project_options_init(ctypes.byref(options))
        options.rule = RULES[rule]
        options.value = VALUES[value]
        packed = (Seed * len(seeds))(*[Seed(*s) for s in seeds])
        infos = (ProjectionInfo * len(seeds))()
        self.ctx.check(
            _lib.deconv_project(
                self.handle,
                layer,
                packed,
                c_u64(len(seeds)),
                ctypes.byref(options),
                tensor,
                infos,
            )
        )
        return infos
