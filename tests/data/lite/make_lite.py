# SPDX-License-Identifier: Apache-2.0
"""A Paddle-Lite file of meta version 2, by its published schema and Google's flatbuffers package:
python3 make_lite.py OUT.  Tensors: conv.w float32 [2,3,1,1], conv.b float16 [2], steps int64 [1]."""
import struct
import sys

import flatbuffers
import numpy as np

TYPES = {"int64": 3, "float16": 4, "float32": 5}


def param(name, array):
    b = flatbuffers.Builder(0)
    data = b.CreateByteVector(array.tobytes())
    dims = b.CreateNumpyVector(np.array(array.shape, np.int64))
    text = b.CreateString(name)
    b.StartObject(5)  # LoDTensorDesc
    b.PrependUOffsetTRelativeSlot(2, dims, 0)
    b.PrependInt32Slot(3, TYPES[str(array.dtype)], 0)
    b.PrependUOffsetTRelativeSlot(4, data, 0)
    tensor = b.EndObject()
    b.StartObject(4)  # ParamDesc
    b.PrependUOffsetTRelativeSlot(1, text, 0)
    b.PrependUint8Slot(2, 1, 0)
    b.PrependUOffsetTRelativeSlot(3, tensor, 0)
    b.Finish(b.EndObject())
    return bytes(b.Output())


params = [param("conv.b", np.array([0.5, -2], np.float16)),
          param("conv.w", np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1)),
          param("steps", np.array([7], np.int64))]
network = b"some network"
out = struct.pack("<H16sQ", 2, b"v2.12", len(network)) + network
out += struct.pack("<HHHHI", 0, 0, 6, len(params), max(map(len, params)))
out += b"".join(struct.pack("<II", len(p) + 4, 4) + p for p in params)
open(sys.argv[1], "wb").write(out)
