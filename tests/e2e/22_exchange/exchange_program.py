# SPDX-License-Identifier: Apache-2.0
"""How the tests of this folder run the program."""
import os
import pathlib
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
