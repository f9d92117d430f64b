# SPDX-License-Identifier: Apache-2.0
"""What the tests of the server share."""
import os
import sys

import numpy as np
import pytest

sys.path.insert(0, os.path.dirname(__file__))
from server import PICTURES, make_small, run, serving  # noqa: E402


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return make_small(tmp_path_factory.mktemp("models") / "small.safetensors")


@pytest.fixture(scope="session")
def server(small):
    with serving(f"small={small}", "--batch", 4) as server:
        yield server


@pytest.fixture(scope="session")
def cat():
    return (PICTURES / "cat_420.jpg").read_bytes()


@pytest.fixture(scope="session")
def tensor(tmp_path_factory):
    """The cat as the network's input, by the program's own preprocessing."""
    path = tmp_path_factory.mktemp("tensor") / "cat.npy"
    result = run("preprocess", PICTURES / "cat_420.jpg", "-o", path)
    assert result.returncode == 0, result.stderr
    return np.load(path)


@pytest.fixture(scope="session")
def logits(small, tensor, tmp_path_factory):
    """The answer of `hrnet run` to the same input."""
    folder = tmp_path_factory.mktemp("logits")
    np.save(folder / "x.npy", tensor)
    result = run("run", small, "-i", folder / "x.npy", "-o", folder / "y.npy")
    assert result.returncode == 0, result.stderr
    return np.load(folder / "y.npy").ravel()
