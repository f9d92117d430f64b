#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of the fuzz targets from scratch: make_corpus.py FOLDER.

Weight files come from Python's own pickle and zipfile and from NumPy; PyTorch's are pickled with
stand-ins of its classes, so that no PyTorch is needed.  Each file of FOLDER/TARGET/seed_* is small.
What fuzzing found lies beside them in corpus/TARGET under other names."""
import collections
import gzip
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile
import zlib

import numpy as np

out = sys.argv[1]


def put(target, name, data):
    folder = os.path.join(out, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "seed_" + name), "wb") as file:
        file.write(data)


def module(name):
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        whole = ".".join(parts[:i])
        if whole not in sys.modules:
            sys.modules[whole] = types.ModuleType(whole)
            if i > 1:
                setattr(sys.modules[".".join(parts[:i - 1])], parts[i - 1], sys.modules[whole])
    return sys.modules[name]


def stand_in(where, name):
    thing = type(name, (), {"__module__": where})
    setattr(module(where), name, thing)
    return thing


class Call:
    """Pickled as callable(*args)."""

    def __init__(self, callable_, *args):
        self.callable, self.args = callable_, args

    def __reduce__(self):
        return self.callable, self.args


REBUILD2 = stand_in("torch._utils", "_rebuild_tensor_v2")
REBUILD3 = stand_in("torch._utils", "_rebuild_tensor_v3")
PARAMETER = stand_in("torch._utils", "_rebuild_parameter")
SIZE = stand_in("torch", "Size")
UNTYPED = stand_in("torch.storage", "UntypedStorage")
UINT16 = stand_in("torch", "uint16")
STORAGE = {code: stand_in("torch", name + "Storage")
           for code, name in (("f4", "Float"), ("f2", "Half"), ("f8", "Double"), ("i8", "Long"))}


class Storage:
    def __init__(self, array, key, kind=None):
        self.array, self.key = np.ascontiguousarray(array), key
        self.id = ("storage", kind or STORAGE[array.dtype.str[1:]], key, "cpu", array.size)


def tensor(storage, shape, stride, offset=0):
    return Call(REBUILD2, storage, offset, shape, stride, False, collections.OrderedDict())


class TorchPickler(pickle.Pickler):
    legacy = False

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return obj.id + (None,) if self.legacy else obj.id
        return None


def torch_pickle(obj, legacy=False):
    file = io.BytesIO()
    pickler = TorchPickler(file, 2)
    pickler.legacy = legacy
    pickler.dump(obj)
    return file.getvalue()


def torch_zip(obj, storages, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as z:
        def add(name, data):
            info = zipfile.ZipInfo("archive/" + name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            z.writestr(info, data)
        add("data.pkl", torch_pickle(obj))
        add("byteorder", b"little")
        for s in storages:
            add("data/" + s.key, s.array.tobytes())
        add("version", b"3\n")
    return file.getvalue()


def torch_legacy(obj, storages):
    data = b"".join(pickle.dumps(x, 2) for x in (
        0x1950a86a20f9469cfc6c, 1001,
        {"protocol_version": 1001, "little_endian": True,
         "type_sizes": {"short": 2, "int": 4, "long": 4}}))
    data += torch_pickle(obj, True) + pickle.dumps([s.key for s in storages], 2)
    for s in storages:
        data += struct.pack("<q", s.array.size) + s.array.tobytes()
    return data


def safetensors(arrays, meta=None):
    header, data = {}, b""
    if meta:
        header["__metadata__"] = meta
    for name, a in arrays.items():
        header[name] = {"dtype": a.dtype.str[1:].upper().replace("F4", "F32").replace("I8", "I64"),
                        "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
        data += a.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def weights():
    w = np.arange(6, dtype="f4").reshape(2, 3)
    arrays = {"w": w, "f": np.asfortranarray(w.T), "n": np.array(7), "h": w[0].astype("f2")}
    named = {**arrays, "StructuredToParameterName@@": {k: "p_" + k for k in arrays}, "epoch": 3}
    for protocol in (2, 3, 4, 5):
        data = pickle.dumps(named, protocol)
        put("store", f"paddle{protocol}", data)
        put("pickle", f"paddle{protocol}", data)
    old = pickle.dumps(named, 2)
    for a, b in ((b"numpy.core.", b"numpy._core."), (b"numpy._core.", b"numpy.core.")):
        put("store", "paddle2_" + b.decode().split(".")[1], old.replace(b"c" + a, b"c" + b))
    put("store", "pairs", pickle.dumps({"a": ("p", w), "b": Call(tuple, ("q", w))}, 4))
    flat = w.reshape(-1)
    put("store", "slices", pickle.dumps(
        {"big@@.0": flat[:4], "big@@.1": flat[4:], "UnpackBigParamInfor@@":
         {"big": {"OriginShape": (2, 3), "slices": ["big@@.0", "big@@.1"]}}}, 2))
    put("store", "pdopt", pickle.dumps([{"p_w_velocity_0": ("p_w_velocity_0", w),
                                         "LR_Scheduler": {"last_epoch": 9, "last_lr": 0.5}}], 4))
    put("store", "safetensors", safetensors({"a": w, "b": np.array([7])}, {"format": "pt"}))
    s = [Storage(w, "0"), Storage(np.array([7]), "1"), Storage(w[0].astype("f2"), "2")]
    state = collections.OrderedDict(
        w=tensor(s[0], (2, 3), (3, 1)), turned=tensor(s[0], (3, 2), (1, 3)),
        part=Call(PARAMETER, tensor(s[0], (2,), (3,), 1), True, collections.OrderedDict()),
        n=tensor(s[1], (), ()), h=tensor(s[2], (3,), (1,)))
    checkpoint = {"epoch": 3, "state_dict": state, "best": np.float64(0.5), "moments": w,
                  "seen": {1, 2}, "size": Call(SIZE, (2, 3)), "nothing": [None, True, -1 << 40]}
    u = [Storage(np.array([1, 65535], "u2"), "0", UNTYPED)]
    untyped = {"u": Call(REBUILD3, u[0], 0, (2,), (1,), False, collections.OrderedDict(), UINT16)}
    put("store", "torch_zip", torch_zip(state, s))
    put("store", "torch_checkpoint", torch_zip(checkpoint, s))
    put("store", "torch_deflated", torch_zip({"np": w, **state}, s, zipfile.ZIP_DEFLATED))
    put("store", "torch_untyped", torch_zip(untyped, u))
    put("store", "torch_legacy", torch_legacy(state, s))
    put("pickle", "torch", torch_pickle(checkpoint))
    put("zip", "torch", torch_zip(state, s))
    put("zip", "deflated", torch_zip(state, s, zipfile.ZIP_DEFLATED))


def pickles():
    loop = []
    loop.append(loop)
    value = {"a": [1, 2.5, None, True, "x" * 300], b"b": (), (1,): {1, 2}, "f": frozenset((3,)),
             "big": 1 << 70, "loop": loop, "bytes": b"\xff" * 300, "array": bytearray(b"abc")}
    for protocol in (0, 1, 2, 3, 4, 5):
        simple = {"a": [1, -2, 2.5, None, True, "text", 1 << 40], "t": (1, 2, 3, 4)}
        put("pickle", f"plain{protocol}", pickle.dumps(simple, protocol))
    for protocol in (4, 5):
        put("pickle", f"all{protocol}", pickle.dumps(
            {k: v for k, v in value.items() if protocol == 5 or k != "array"}, protocol))
    bomb = []
    for _ in range(40):
        bomb = [bomb, bomb]
    put("pickle", "shared", pickle.dumps(bomb, 2))
    put("pickle", "forbidden", pickle.dumps(Call(os.system, "true"), 2))


def arrays():
    for name, a in {"f4": np.arange(6, dtype="f4").reshape(1, 2, 3), "scalar": np.array(2.5),
                    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
                    "empty": np.zeros((0, 3), "f2"), "bool": np.array([True, False])}.items():
        file = io.BytesIO()
        np.save(file, a)
        put("npy", name + ".npy", file.getvalue())
    for save, name in ((np.savez, "stored"), (np.savez_compressed, "deflated")):
        file = io.BytesIO()
        save(file, x=np.arange(6, dtype="f4").reshape(1, 2, 3), y=np.array(1))
        put("npy", name + ".npz", file.getvalue())
        put("zip", name + ".npz", file.getvalue())


def texts():
    put("labels", "names", "tench\ngoldfish, Carassius auratus\n图\n".encode())
    put("labels", "ids", b"\xef\xbb\xbf1 b\r\n0 a\r\n")
    put("recipe", "opencv.json", json.dumps(
        {"name": "opencv", "resize": "opencv", "resize_short": 256, "crop_width": 224,
         "crop_height": 224, "scale": 1 / 255, "mean": [.485, .456, .406],
         "deviation": [.229, .224, .225]}).encode())


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def message(*fields):
    """Protobuf: (number, value), an int as a varint, text and bytes with their length."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def floats(n):
    return struct.pack(f"<{n}f", *(i / 8 for i in range(n)))


def calls():
    """The method's place in the tables of fuzz_call.c, then messages with a length of two bytes."""
    def put_call(name, method, *messages):
        put("call", name, bytes([method]) + b"".join(struct.pack(">H", len(m)) + m for m in messages))

    def infer(datatype, shape, *more, model="m", raw=None, contents=None, parameter=None):
        x = [(1, "x"), (2, datatype)] + [(3, n) for n in shape]
        x += [(5, contents)] if contents is not None else []
        x += [(4, message((1, parameter), (2, message((3, "r")))))] if parameter else []
        request = [(1, model), (3, "id"), (5, message(*x)), *more]
        return message(*request, *([(7, raw)] if raw is not None else []))

    picture = struct.pack("<I", 4) + b"\xff\xd8\xff\0"  # an even sum: read
    wanted = (6, message((1, "probabilities"), (2, message((1, "classification"), (2, message((2, 3)))))))
    timeout = (4, message((1, "timeout"), (2, message((2, 1000)))))
    raw = infer("FP32", [1, 3, 2, 2], timeout, wanted, raw=floats(12))
    for name, method in (("live", 0), ("ready", 1), ("server", 3), ("shared", 12), ("trace", 14)):
        put_call(name, method, b"")
    for name, method in (("model_ready", 2), ("metadata", 4), ("config", 7), ("statistics", 8)):
        put_call(name, method, message((1, "m"), (2, "1")))
    put_call("statistics_all", 8, b"")
    put_call("index", 9, message((2, 1)))
    put_call("load", 10, message((2, "m")))
    put_call("load_parameter", 10, message((2, "m"), (3, message((1, "config"), (2, message((3, "{}")))))))
    put_call("unload", 11, message((2, "m")))
    put_call("infer_raw", 5, raw)
    put_call("infer_typed", 5, infer("FP32", [1, 3, 2, 2], contents=message((6, floats(12)))))
    put_call("infer_pixels", 5, infer("UINT8", [1, 2, 2, 3], contents=message((4, bytes(range(12))))))
    put_call("infer_pictures", 5, infer("BYTES", [2], raw=2 * picture))
    put_call("infer_picture", 5, infer("BYTES", [1, 1], contents=message((8, picture[4:]))))
    put_call("infer_other", 5, infer("FP32", [1, 3, 2, 2], model="other", raw=floats(12)))
    put_call("infer_shared", 5, infer("FP32", [1, 3, 2, 2], parameter="shared_memory_region"))
    put_call("infer_short", 5, infer("FP32", [2, 3, 2, 2], raw=floats(12)))
    put_call("stream", 6, raw, infer("INT8", [1], raw=b"x"), raw)
    put_call("pipeline", 16, message((1, "image"), (2, "/9j/AA=="), (4, "m"), (6, 7)))
    tensor = message((10, 1), (11, 1), (11, 3), (11, 2), (11, 2), (2, floats(12)), (13, "x"))
    put_call("general_floats", 17, message((1, tensor), (2, "prediction"), (4, 9)))
    put_call("general_picture", 17, message((1, message((9, "/9j/AA=="), (10, 20), (11, 1), (13, "x"))), (2, "p")))
    put_call("health", 18, b"")
    put_call("watch", 19, message((1, "grpc.health.v1.Health")))
    put_call("reflect", 20, message((7, "")), message((4, "inference.ModelInferRequest")), message((3, "oip.proto")))


def requests():
    def put_request(name, line, body=b"", *headers):
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        put("request", name, "\n".join([line, *headers]).encode() + b"\n\n" + body)

    picture = b"\xff\xd8\xff\0"  # an even sum: read
    coded = "/9j/AA=="
    x = {"name": "x", "shape": [1, 3, 2, 2], "datatype": "FP32", "data": [i / 8 for i in range(12)]}
    for i, path in enumerate(("/", "/status", "/openapi.json", "/metrics", "/debug/plan", "/v2", "/v2/health/live",
                              "/v2/health/ready", "/v2/models/m", "/v2/models/m/versions/1/ready",
                              "/v2/models/m/config", "/v2/models/m/stats", "/v2/models/stats", "/v1/models/m",
                              "/nothing/here")):
        put_request(f"get_{i}", "GET " + path)
    put_request("classify", "POST /v1/classify?k=2&logits=1&model=m", picture)
    put_request("classify_bad", "POST /v1/classify", picture[:3])
    put_request("classify_late", "POST /v1/classify", picture + b"\1")
    put_request("classify_explain", "POST /v1/classify?explain=1", picture)
    form = b"".join(b"--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b.jpg\"\r\n\r\n" + picture + b"\r\n"
                    for _ in range(2)) + b"--b--\r\n"
    put_request("classify_form", "POST /v1/classify", form, "Content-Type:multipart/form-data; boundary=b")
    put_request("infer", "POST /v2/models/m/infer", {"id": "a", "inputs": [x], "outputs": [
        {"name": "logits", "parameters": {"classification": 2}}, {"name": "probabilities"}]})
    put_request("infer_nested", "POST /v2/models/m/versions/1/infer", {"inputs": [
        {"name": "x", "shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [[[[1, 2, 3], [4, 5, 6]]] * 2]}],
        "parameters": {"binary_data_output": True, "timeout": 1000}})
    put_request("infer_text", "POST /v2/models/m/infer", {"inputs": [
        {"name": "x", "shape": [1], "datatype": "BYTES", "data": ["ab"]}]})
    head = json.dumps({"inputs": [{"name": "x", "shape": [1, 3, 2, 2], "datatype": "FP32",
                                   "parameters": {"binary_data_size": 48}}]}).encode()
    put_request("infer_binary", "POST /v2/models/m/infer", head + floats(12), f"Inference-Header-Content-Length:{len(head)}")
    put_request("infer_raw", "POST /v2/models/m/infer", floats(12), "Inference-Header-Content-Length:0")
    put_request("index", "POST /v2/repository/index", {"ready": True})
    put_request("load", "POST /v2/repository/models/m/load", {})
    put_request("load_parameters", "POST /v2/repository/models/m/load", {"parameters": {"config": "{}"}})
    put_request("unload", "POST /v2/repository/models/m/unload")
    put_request("pipeline", "POST /m/prediction", {"key": ["image"], "value": [coded]})
    put_request("general", "POST /GeneralModelService/inference", {"tensor": [
        {"data": [coded], "name": "x", "elem_type": 20, "shape": [1]}], "fetch_var_names": ["prediction"], "log_id": 1})
    put_request("general_floats", "POST /GeneralModelService/inference", {"tensor": [
        {"float_data": [0.5] * 12, "name": "x", "elem_type": 1, "shape": [1, 3, 2, 2]}]})
    put_request("general_proto", "POST /GeneralModelService/inference", message((1, message((9, coded), (10, 20), (11, 1)))),
                "Content-Type:application/proto")
    put_request("hub", "POST /predict/clas_system", {"images": [coded], "top_k": 2})
    put_request("paddlex", "POST /image-classification", {"image": coded, "topk": 1})
    put_request("tensorflow", "POST /v1/models/m:predict", {"instances": [{"b64": coded}], "signature_name": "a"})
    put_request("tensorflow_numbers", "POST /v1/models/m/versions/1:predict", {"instances": [[[[0, 1], [2, 3]]] * 3]})
    put_request("torchserve", "POST /predictions/m", picture)


def frames():
    """Messages of gRPC: plain, empty, gzip, zlib, marked compressed and not, too long."""
    def message(flag, body):
        return struct.pack(">BI", flag, len(body)) + body
    put("frame", "plain", message(0, b"hello") + message(0, b"") + message(0, b"x" * 300))
    put("frame", "gzip", message(1, gzip.compress(b"hello " * 50, mtime=0)) + message(0, b"a"))
    put("frame", "zlib", message(1, zlib.compress(b"hello " * 50)))
    put("frame", "bomb", message(1, zlib.compress(bytes(100000))))
    put("frame", "long", message(0, b"")[:1] + b"\xff\xff\xff\xff")
    put("frame", "timeout", b"99999999H")
    put("frame", "percent", b"50%25 %C3%BC")


weights()
pickles()
arrays()
texts()
frames()
calls()
requests()
