# SPDX-License-Identifier: Apache-2.0
"""Weight files against Python's own pickle and NumPy, and PyTorch where it is installed.

Files are made by the outside world and listed by us, or written by us and read by the outside
world; every tensor is compared by type, shape and the SHA-256 of its bytes."""
import collections
import hashlib
import os
import pickle
import subprocess

import numpy as np
import pytest

TOOL = os.environ["HRNET_STORE_TOOL"]
NAMES = {"f4": "F32", "f2": "F16", "f8": "F64", "i1": "I8", "u1": "U8", "i2": "I16", "u2": "BF16",
         "i4": "I32", "i8": "I64", "b1": "BOOL"}


def run(*args):
    return subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True)


def listed(path):
    result = run("list", path)
    assert result.returncode == 0, result.stderr
    out = {}
    for line in result.stdout.splitlines():
        name, dtype, shape, digest = line.split("\t")
        out[name] = (dtype, shape, digest)
    return out


def described(arrays):
    out = {}
    for name, a in arrays.items():
        rows = np.ascontiguousarray(a)
        shape = "[" + ",".join(map(str, a.shape)) + "]"
        out[name] = (NAMES[a.dtype.str[1:]], shape, hashlib.sha256(rows.tobytes()).hexdigest())
    return out


@pytest.fixture
def arrays():
    rng = np.random.default_rng(7)
    out = collections.OrderedDict()
    for code in NAMES:
        out["t." + code] = (rng.random((3, 4, 5)) * 100).astype(code)
    out["fortran"] = np.asfortranarray(rng.random((3, 4)).astype("f4"))
    out["scalar"] = np.array(3.5, dtype="f4")
    out["empty"] = np.zeros((0, 4), dtype="f4")
    out["all bytes"] = np.arange(256, dtype="u1")
    return out


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_pdparams(arrays, protocol, tmp_path):
    path = tmp_path / "x.pdparams"
    table = {name: f"p_{i}" for i, name in enumerate(arrays)}
    path.write_bytes(pickle.dumps({**arrays, "StructuredToParameterName@@": table},
                                  protocol=protocol))
    assert listed(path) == described(arrays)


def test_reads_named_pairs_and_slices(tmp_path):
    a = np.arange(24, dtype="f4").reshape(2, 3, 4)
    flat = a.reshape(-1)
    data = {"pair": ("static_0", a), "big@@.0": flat[:10], "big@@.1": flat[10:],
            "UnpackBigParamInfor@@": {"big": {"OriginShape": (2, 3, 4),
                                              "slices": ["big@@.0", "big@@.1"]}}}
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(data, protocol=2))
    assert listed(path) == described({"pair": a, "big": a})


def test_writes_pdparams(arrays, tmp_path):
    source, target = tmp_path / "a.pdparams", tmp_path / "b.pdparams"
    source.write_bytes(pickle.dumps(arrays, protocol=4))
    assert run("save", source, target, "paddle").returncode == 0
    back = pickle.loads(target.read_bytes())
    table = back.pop("StructuredToParameterName@@")
    assert list(back) == list(arrays) == list(table)
    assert len(set(table.values())) == len(table)
    for name, a in arrays.items():
        assert back[name].dtype == a.dtype and back[name].shape == a.shape
        assert np.array_equal(back[name], a, equal_nan=False) or a.dtype.kind == "f"
        assert back[name].tobytes() == np.ascontiguousarray(a).tobytes()


def test_safetensors_round_trip(arrays, tmp_path):
    del arrays["t.u2"]  # bfloat16 for Paddle and us, unknown to NumPy
    source, target = tmp_path / "a.pdparams", tmp_path / "b.safetensors"
    source.write_bytes(pickle.dumps(arrays, protocol=4))
    assert run("save", source, target, "safetensors").returncode == 0
    assert listed(target) == described(arrays)
    safetensors = pytest.importorskip("safetensors.numpy")
    back = safetensors.load_file(target)
    for name, a in arrays.items():
        assert back[name].tobytes() == np.ascontiguousarray(a).tobytes()


class Payload:
    def __reduce__(self):
        return os.system, ("touch /tmp/hrnet-was-here",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_forbidden_global_is_named(protocol, tmp_path):
    path = tmp_path / "evil.pdparams"
    path.write_bytes(b"\x80\x02" * (protocol == 0) + pickle.dumps({"w": Payload()}, protocol))
    result = run("list", path)
    assert result.returncode == 3
    assert "posix.system" in result.stderr and "nothing was run" in result.stderr
    assert not os.path.exists("/tmp/hrnet-was-here")


def test_torch_files(tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    state = collections.OrderedDict(
        whole=base, view=base[1:, :, 2], turned=base.permute(2, 0, 1), half=base.half(),
        double=base.double(), long=torch.tensor(7), bf=base.bfloat16(),
        parameter=torch.nn.Parameter(base * 2))
    want = {}
    for name, t in state.items():
        a = t.detach().contiguous()
        raw = a.view(torch.int16).numpy() if a.dtype == torch.bfloat16 else a.numpy()
        kind = "BF16" if a.dtype == torch.bfloat16 else NAMES[raw.dtype.str[1:]]
        want[name] = (kind, "[" + ",".join(map(str, t.shape)) + "]",
                      hashlib.sha256(raw.tobytes()).hexdigest())
    for zipped in (True, False):
        for wrapped in (False, True):
            path = tmp_path / f"x{zipped}{wrapped}.pth"
            body = {"epoch": 3, "model": "hrnet", "state_dict": state, "perf": 0.5} if wrapped \
                else state
            torch.save(body, path, _use_new_zipfile_serialization=zipped)
            assert listed(path) == want
            out = tmp_path / "y.pth"
            assert run("save", path, out, "torch").returncode == 0
            back = torch.load(out, weights_only=True)
            assert list(back) == list(state)
            for name, t in state.items():
                assert torch.equal(back[name], t.detach()) and back[name].dtype == t.dtype


def test_every_truncation_is_an_error(arrays, tmp_path):
    small = {"a": arrays["t.f4"], "b": arrays["scalar"]}
    source = tmp_path / "a.pdparams"
    source.write_bytes(pickle.dumps(small, protocol=2))
    for kind in ("paddle", "safetensors", "torch"):
        whole, cut = tmp_path / f"whole.{kind}", tmp_path / "cut"
        assert run("save", source, whole, kind).returncode == 0
        data = whole.read_bytes()
        step = max(1, len(data) // 97)
        for size in list(range(0, len(data), step)) + [len(data) - 1]:
            cut.write_bytes(data[:size])
            result = run("list", cut)
            assert result.returncode == 3, (kind, size, result)
            assert str(cut) in result.stderr or "cut" in result.stderr
