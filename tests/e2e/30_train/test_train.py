# SPDX-License-Identifier: Apache-2.0
"""hrnet train as people use it: it learns, resumes bit for bit, does not mind how many threads
there are, keeps what it has when it is killed, and names what is wrong with the data."""
import json
import os
import pathlib
import signal
import subprocess
import time

import numpy as np
import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
COMMON = ["-a", "hrnet_w18_small", "--size", "32", "-b", "8", "--lr", "0.02", "--least-area", "0.5"]


def run(*args, **more):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HRNET_PROGRESS": "none"}
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True,
                          env=environment, **more)


def train(data, out, *more, epochs=2):
    return run("train", data, "-o", out, "-e", epochs, *COMMON, *more)


def picture(path, kind, seed):
    """Noise with a bright top, a bright left side, or neither."""
    noise = np.random.default_rng(seed).integers(0, 120, (40, 48, 3), dtype=np.uint8)
    if kind == "top":
        noise[:20] += 120
    if kind == "left":
        noise[:, :24] += 120
    path.write_bytes(b"P6 48 40 255\n" + noise.tobytes())


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """18 + 17 pictures to train, so that the last batch is smaller, and 8 to validate."""
    folder = tmp_path_factory.mktemp("data")
    for part, count in (("train", 35), ("val", 8)):
        for i in range(count):
            kind = ("top", "left")[i % 2]
            (folder / part / kind).mkdir(parents=True, exist_ok=True)
            picture(folder / part / kind / f"{i}.ppm", kind, (part == "val") * 1000 + i)
    return folder


@pytest.fixture(scope="session")
def whole(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    result = train(data / "train", out / "run", "--val", data / "val", epochs=3)
    assert result.returncode == 0, result.stderr
    return out / "run", result.stdout


def same(a, b):
    for name in ("latest.safetensors", "best.safetensors", "state.safetensors"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def test_one_line_an_epoch_and_checkpoints(whole):
    folder, stdout = whole
    lines = stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert "top-1" in lines[0] and "(best)" in lines[0]
    assert sorted(p.name for p in folder.iterdir()) == ["best.safetensors", "latest.safetensors",
                                                        "state.safetensors"]


def test_the_checkpoint_is_a_model_with_the_classes_names(whole, data):
    folder, _ = whole
    result = run("predict", data / "val" / "top", "-m", folder / "latest.safetensors", "-k", "1",
                 "-f", "csv")
    assert result.returncode == 0, result.stderr
    assert "top" in result.stdout or "left" in result.stdout


def test_eval_says_what_the_last_epoch_said(whole, data, tmp_path):
    folder, stdout = whole
    model = folder / "latest.safetensors"
    last = stdout.splitlines()[-1]
    result = run("eval", data / "val", "-m", model, "-f", "json", "-b", "3")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert f"top-1 {report['top1'] * 100:.2f} %" in last
    assert f"validation loss {report['loss']:.5f}" in last
    assert report["pictures"] == 8 and report["size"] == [32, 32]
    assert [c["name"] for c in report["classes"]] == ["left", "top"]
    for k, c in enumerate(report["classes"]):
        answered = sum(other["answers"][k] for other in report["classes"])
        assert sum(c["answers"]) == c["pictures"] == 4
        assert c["recall"] == pytest.approx(c["answers"][k] / 4)
        assert c["precision"] == pytest.approx(c["answers"][k] / answered if answered else 0)
    table = run("eval", data / "val", "-m", model, "-f", "csv").stdout.splitlines()
    assert table[0].startswith("class,name,pictures") and table[1].startswith('0,"left",4,')
    text = run("eval", data / "val", "-m", model).stdout
    assert text.startswith("8 pictures: top-1") and "top" in text
    (tmp_path / "d" / "other").mkdir(parents=True)
    (tmp_path / "d" / "top").mkdir()
    for kind in ("other", "top"):
        picture(tmp_path / "d" / kind / "0.ppm", "top", 1)
    result = run("eval", tmp_path / "d", "-m", model)
    assert result.returncode == 3 and "class 'other'" in result.stderr


def test_threads_do_not_change_a_bit(whole, data, tmp_path):
    result = train(data / "train", tmp_path / "run", "--val", data / "val", "-t", "1", "--loaders",
                   "3", epochs=3)
    assert result.returncode == 0, result.stderr
    assert result.stdout == whole[1]
    same(tmp_path / "run", whole[0])


def test_a_killed_run_goes_on_as_if_nothing_had_happened(whole, data, tmp_path):
    out = tmp_path / "run"
    command = [PROGRAM, "train", data / "train", "-o", out, "-e", "3", "--val", data / "val",
               *COMMON, "--progress", "none"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline().startswith("epoch 1/3")
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = train(data / "train", out, "--val", data / "val", epochs=3)
    assert result.returncode == 2 and "resume" in result.stderr
    result = train(data / "train", out, "--val", data / "val", "--resume", epochs=3)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "".join(whole[1].splitlines(True)[-len(result.stdout.splitlines()):])
    same(out, whole[0])


def test_another_run_is_not_gone_on_with(whole, data):
    result = train(data / "train", whole[0], "--val", data / "val", "--resume", epochs=4)
    assert result.returncode == 3
    assert "epochs 3" in result.stderr and "epochs 4" in result.stderr


def test_it_learns(data, tmp_path):
    result = train(data / "train", tmp_path / "run", "--val", data / "val", "-b", "7", "--lr",
                   "0.003", epochs=9)
    assert result.returncode == 0, result.stderr
    assert any("top-1 100.00 %" in line for line in result.stdout.splitlines()), result.stdout


def test_lists_are_read_as_paddleclas_writes_them(data, tmp_path):
    lines = [f"{p.relative_to(data)} {int(p.parent.name == 'top')}\n"
             for p in sorted((data / "train").rglob("*.ppm"))]
    (tmp_path / "list.txt").write_text("".join(lines))
    result = train(tmp_path / "list.txt", tmp_path / "run", "--root", data, epochs=1)
    assert result.returncode == 0, result.stderr
    assert "epoch 1/1" in result.stdout


@pytest.mark.parametrize("line, word", [("a.ppm", "line 2 is not 'path label'"),
                                        ("a.ppm x", "label 'x'"), ("a.ppm -1", "label '-1'"),
                                        ("a.ppm 1", "1 of 2 pictures are not there")])
def test_bad_lists_are_refused(data, tmp_path, line, word):
    path = next((data / "train" / "top").iterdir())
    (tmp_path / "list.txt").write_text(f"{path.relative_to(data)} 0\n{line}\n")
    result = train(tmp_path / "list.txt", tmp_path / "run", "--root", data, epochs=1)
    assert result.returncode == 3 and word in result.stderr, result.stderr


def test_a_bad_picture_is_named(data, tmp_path):
    for kind in ("top", "left"):
        (tmp_path / "d" / kind).mkdir(parents=True)
        for i in range(3):
            picture(tmp_path / "d" / kind / f"{i}.ppm", kind, i)
    (tmp_path / "d" / "top" / "1.ppm").write_bytes(b"no picture")
    result = train(tmp_path / "d", tmp_path / "run", epochs=1)
    assert result.returncode == 3 and "top/1.ppm" in result.stderr, result.stderr


def test_a_loss_that_explodes_names_step_and_layer(data, tmp_path):
    result = run("train", data / "train", "-o", tmp_path / "run", "-e", "4", *COMMON, "--lr", "1e30")
    assert result.returncode == 1
    for word in ("epoch", "step", "not finite", "the last good checkpoint is none"):
        assert word in result.stderr, result.stderr


def test_an_interrupt_stops_with_130(data, tmp_path):
    process = subprocess.Popen([PROGRAM, "train", str(data / "train"), "-o", str(tmp_path / "run"),
                                "-e", "500", *COMMON, "--progress", "none"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped" in stderr


def test_weights_to_start_from(whole, data, tmp_path):
    result = train(data / "train", tmp_path / "run", "-w", whole[0] / "best.safetensors", epochs=1)
    assert result.returncode == 0, result.stderr
    assert not pathlib.Path(tmp_path / "run" / "best.safetensors").exists()
