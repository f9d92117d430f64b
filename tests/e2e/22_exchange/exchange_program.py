# SPDX-License-Identifier: Apache-2.0
"""How the tests of this folder run the program."""
import json
import os
import pathlib
import struct
import subprocess

import numpy as np

PROGRAM = os.environ["HRNET_PROGRAM"]
TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
ASSUMED = "nothing in the file says how pictures are prepared"


def run(*args):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HRNET_PROGRESS": "none"}
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, env=environment, text=True)


def good(*args):
    result = run(*args)
    assert result.returncode == 0, result.stderr
    return result.stdout


def bad(code, word, *args):
    result = run(*args)
    assert result.returncode == code, (result.returncode, result.stderr)
    assert word in result.stderr, result.stderr
    errors = [line for line in result.stderr.strip().splitlines() if ASSUMED not in line]
    assert len(errors) == 1, result.stderr


def logits(model, x, folder):
    np.save(folder / "x.npy", x)
    good("run", model, "-i", folder / "x.npy", "-o", folder / "y.npy")
    return np.load(folder / "y.npy")


def tensors(path):
    """Name -> (dimensions, bytes) of a safetensors file."""
    data = path.read_bytes()
    size, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    return {name: (t["shape"], data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]])
            for name, t in header.items() if name != "__metadata__"}
