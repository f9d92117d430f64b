# SPDX-License-Identifier: Apache-2.0
"""Distillation: one step is that of a float64 run in PyTorch (tests/data/distill), a run that was
killed goes on bit for bit, pictures need no label, and the student is exported alone."""
import json
import os
import pathlib
import signal
import subprocess

import numpy as np
import pytest

from distill_pictures import LABELS, picture
from test_train import COMMON, PROGRAM, data, run  # data is a fixture

TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
EXPECTED = json.loads((TESTS / "data" / "distill" / "expected.json").read_text())


def tensors(path):
    """The float tensors of a safetensors file, as views of its bytes."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(raw, "<f4", (t["data_offsets"][1] - t["data_offsets"][0]) // 4,
                                start + t["data_offsets"][0]) for name, t in header.items()}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The eight pictures with their list, and the synthetic weights of teacher and student."""
    folder = tmp_path_factory.mktemp("distill")
    for i in range(8):
        (folder / f"{i}.ppm").write_bytes(b"P6 64 64 255\n" + picture(i).tobytes())
    (folder / "list.txt").write_text("".join(f"{i}.ppm {k}\n" for i, k in enumerate(LABELS)))
    for width in (18, 30):
        result = run("convert", f"synthetic:HRNet_W{width}_C", folder / f"w{width}.safetensors",
                     "--classes", 10)
        assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("name", EXPECTED)
def test_a_step_is_that_of_the_reference(place, tmp_path, name):
    case = EXPECTED[name]
    result = run("train", place / "list.txt", "-o", tmp_path / "run", "-a", "HRNet_W18_C", "-w",
                 place / "w18.safetensors", "--teacher", place / "w30.safetensors", "--distill",
                 case["distill"], "--teacher-norms", "batch" if case["batch"] else "running",
                 "-e", 1, "-b", 8, "--size", 64, "--whole", "--resize-short", 64, "--flip", 0,
                 "--lr", 0.01, "--schedule", "constant", "--l2", 1e-4)
    assert result.returncode == 0, result.stderr
    loss = float(result.stdout.split("loss ")[1].split(",")[0])
    assert loss == pytest.approx(case["loss"], abs=2e-5)
    before = tensors(place / "w18.safetensors")
    after = tensors(tmp_path / "run" / "latest.safetensors")
    assert set(after) == set(before), "the student alone"
    for key, sample in case["after"].items():
        want, got = np.array(sample["value"]), after[key][sample["index"]]
        moved = np.abs(want - before[key][sample["index"]]).max()
        assert np.abs(got - want).max() <= 0.05 * moved + 2e-7 * np.abs(want).max(), key
        assert np.linalg.norm(after[key].astype(float)) == pytest.approx(sample["norm"], rel=1e-5)


def lists(data, folder):
    """A list of the training pictures, every third without a label."""
    paths = sorted((data / "train").rglob("*.ppm"))
    lines = [f"{p.relative_to(data)} {-1 if i % 3 == 0 else int(p.parent.name == 'top')}\n"
             for i, p in enumerate(paths)]
    (folder / "list.txt").write_text("".join(lines))
    return folder / "list.txt"


def command(data, folder, out, teacher, *more):
    return ["train", lists(data, folder), "--root", data, "-o", out, "-e", "3", *COMMON, "--lr",
            "0.003", "--teacher", teacher, "--distill", "dml:labels=0.5", *more]


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("teacher") / "run"
    result = run("train", data / "train", "-o", out, "-e", "9", *COMMON, "-b", "7", "--lr", "0.003")
    assert result.returncode == 0, result.stderr
    return out / "latest.safetensors"


@pytest.mark.parametrize("norms", ["running", "batch"])
def test_a_killed_run_goes_on_and_threads_change_nothing(data, teacher, tmp_path, norms):
    more = ["--teacher-norms", norms]
    whole = run(*command(data, tmp_path, tmp_path / "whole", teacher, *more))
    assert whole.returncode == 0, whole.stderr
    args = command(data, tmp_path, tmp_path / "killed", teacher, *more, "-t", "1")
    process = subprocess.Popen([PROGRAM, *map(str, args), "--progress", "none"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline().startswith("epoch 1/3")
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = run(*args, "--resume")
    assert result.returncode == 0, result.stderr
    for name in ("latest.safetensors", "state.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    other = run(*command(data, tmp_path, tmp_path / "killed", teacher, *more), "--resume", "-e", 4)
    assert other.returncode == 3 and "distill dml:labels=0.5" in other.stderr, other.stderr


def test_a_student_learns_without_labels(data, teacher, tmp_path):
    lines = [f"{p.relative_to(data)} -1\n" for p in sorted((data / "train").rglob("*.ppm"))]
    (tmp_path / "list.txt").write_text("".join(lines))
    result = run("train", tmp_path / "list.txt", "--root", data, "--classes", "2", "-o",
                 tmp_path / "run", "-e", "9", *COMMON, "-b", "7", "--lr", "0.003", "--teacher",
                 teacher, "--distill", "ce")
    assert result.returncode == 0, result.stderr
    seen = run("eval", data / "val", "-m", tmp_path / "run" / "latest.safetensors", "--labels",
               labels_file(tmp_path))
    assert seen.returncode == 0, seen.stderr
    assert float(seen.stdout.split("top-1 ")[1].split(" %")[0]) >= 75.0, seen.stdout  # 50: a guess


def labels_file(folder):
    (folder / "labels.txt").write_text("left\ntop\n")
    return folder / "labels.txt"


def test_what_is_refused(data, teacher, tmp_path):
    result = run("train", lists(data, tmp_path), "--root", data, "-o", tmp_path / "a", *COMMON)
    assert result.returncode == 4 and "label '-1'" in result.stderr
    result = run(*command(data, tmp_path, tmp_path / "b", teacher, "--distill", "mdl"))
    assert result.returncode == 2 and "distillation 'mdl' is not known" in result.stderr
    result = run(*command(data, tmp_path, tmp_path / "c", teacher, "--classes", "7"))
    assert result.returncode == 3 and "knows 2 classes, the student 7" in result.stderr
    result = run(*command(data, tmp_path, tmp_path / "d", tmp_path / "none.safetensors"))
    assert result.returncode in (2, 3) and "none.safetensors" in result.stderr
