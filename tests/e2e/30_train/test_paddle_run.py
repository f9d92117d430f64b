# SPDX-License-Identifier: Apache-2.0
"""Runs go on between hrnet and PaddlePaddle: a run that goes on from its own .pdparams, .pdopt and
.pdstates ends with the bytes of one that never stopped, also where PaddlePaddle itself has loaded
the files into its optimizer and saved them again.  The latter with the Python of tools/peers (or
HRNET_PADDLE_PYTHON), else skipped."""
import csv
import os
import pathlib
import pickle
import shutil
import signal
import subprocess

import pytest

from test_train import PROGRAM, COMMON, data, run  # data is a fixture

HERE = pathlib.Path(__file__).parent
PADDLE = os.environ.get("HRNET_PADDLE_PYTHON", HERE.parents[2] / "build/peers/bin/python")
FLAGS = {"momentum": ["--warmup", "0.5"],
         "adamw": ["--optimizer", "adamw", "--lr", "0.001", "--ema", "0.9"],
         "rmsprop": ["--optimizer", "rmsprop:momentum=0.9", "--lr", "1e-4", "--schedule",
                     "step:every=1,by-epoch"],
         "plateau": ["--schedule", "plateau:factor=0.5,patience=0,by-epoch"]}
SUFFIXES = (".pdparams", ".pdopt", ".pdstates")


def command(data, out, name):
    return ["train", data / "train", "--val", data / "val", "-o", out, "-e", "3", "--paddle",
            *COMMON, *FLAGS[name]]


@pytest.fixture(scope="module", params=FLAGS)
def runs(request, data, tmp_path_factory):
    """Optimizer, a whole run, and the Paddle files of one that was stopped after its first epoch."""
    folder = tmp_path_factory.mktemp(request.param)
    result = run(*command(data, folder / "whole", request.param))
    assert result.returncode == 0, result.stderr
    process = subprocess.Popen([PROGRAM, *map(str, command(data, folder / "killed", request.param)),
                                "--progress", "none"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline().startswith("epoch 1/3")
    process.send_signal(signal.SIGSTOP)
    (folder / "first").mkdir()
    for path in (folder / "killed").glob("*.pd*"):
        shutil.copy(path, folder / "first")
    process.kill()
    process.wait()
    return request.param, folder, result.stdout


def goes_on(data, folder, name, prefix, whole_stdout, out):
    result = run(*command(data, out, name), "--checkpoint", prefix)
    assert result.returncode == 0, result.stderr
    assert "has counted" not in result.stderr, result.stderr
    assert result.stdout == "".join(whole_stdout.splitlines(True)[1:])
    for file in ("latest.safetensors", "latest.pdparams", "latest.pdopt", "latest.pdstates"):
        assert (out / file).read_bytes() == (folder / "whole" / file).read_bytes(), file


def test_a_run_goes_on_from_its_paddle_files(runs, data, tmp_path):
    name, folder, stdout = runs
    names = {p.name for p in (folder / "first").iterdir()}
    assert names >= {f"{n}{s}" for n in ("latest", "best_model") for s in SUFFIXES}
    assert ("latest.pdema" in names) == (name == "adamw")
    goes_on(data, folder, name, folder / "first" / "latest", stdout, tmp_path / "run")


def test_states_are_plain_python(runs):
    name, folder, _ = runs
    states = pickle.loads((folder / "first" / "latest.pdstates").read_bytes())
    assert states["epoch"] == 1 and 0.0 <= states["metric"] <= 1.0
    optimizer, = pickle.loads((folder / "first" / "latest.pdopt").read_bytes())
    rate = optimizer.pop("LR_Scheduler")
    assert rate["last_epoch"] == (1 if name in ("rmsprop", "plateau") else 5)
    if name == "plateau":
        assert list(rate) == ["cooldown_counter", "best", "num_bad_epochs", "last_epoch", "last_lr"]
        assert rate["best"] == states["metric"] and rate["last_lr"] == 0.02
        assert rate["num_bad_epochs"] == rate["cooldown_counter"] == 0
    assert ("LinearWarmup_LR" in rate) == (name == "momentum")
    assert all(key == value[0] for key, value in optimizer.items())


def test_paddle_goes_on_and_so_do_we(runs, data, tmp_path):
    name, folder, stdout = runs
    if not pathlib.Path(PADDLE).exists():
        pytest.skip("no PaddlePaddle: run tools/peers")
    result = subprocess.run([PADDLE, HERE / "paddle_resume.py", folder / "first" / "latest",
                             tmp_path / "latest", name], capture_output=True, text=True)
    if "No module named 'paddle'" in result.stderr:
        pytest.skip("that Python has no PaddlePaddle")
    assert result.returncode == 0, result.stderr[-3000:]
    shutil.copy(folder / "first" / "best_model.pdstates", tmp_path)
    goes_on(data, folder, name, tmp_path / "latest", stdout, tmp_path / "run")


PLATEAU = """
import sys
from paddle.optimizer.lr import ReduceOnPlateau
rate = ReduceOnPlateau(0.02, mode="max", factor=0.5, patience=0)
for metric in sys.argv[1:]:
    print(repr(rate.last_lr))
    rate.step(float(metric))
"""


def test_a_plateau_is_paddles(data, tmp_path):
    """The rate of each epoch, as PaddlePaddle has it from the accuracies before."""
    if not pathlib.Path(PADDLE).exists():
        pytest.skip("no PaddlePaddle: run tools/peers")
    out = tmp_path / "run"
    result = run("train", data / "train", "--val", data / "val", "-o", out, "-e", "6", "--paddle",
                 *COMMON, *FLAGS["plateau"])
    assert result.returncode == 0, result.stderr
    with open(out / "epochs.csv") as file:
        table = list(csv.DictReader(file))
    told = subprocess.run([PADDLE, "-c", PLATEAU, *[row["top1"] for row in table]],
                          capture_output=True, text=True)
    if "No module named 'paddle'" in told.stderr:
        pytest.skip("that Python has no PaddlePaddle")
    assert [float(row["rate"]) for row in table] == pytest.approx(
        [float(line) for line in told.stdout.split()], rel=1e-8)
    assert len({row["rate"] for row in table}) > 1, "the rate never fell"


def test_what_is_refused(runs, data, tmp_path):
    name, folder, _ = runs
    if name != "momentum":
        pytest.skip("once is enough")
    first = folder / "first" / "latest"
    result = run(*command(data, tmp_path / "a", "adamw"), "--checkpoint", first)
    assert result.returncode == 3 and "conv2d_0.w_0_moment1" in result.stderr, result.stderr
    result = run(*command(data, tmp_path / "b", name), "--checkpoint", tmp_path / "none")
    assert result.returncode == 3 and "none.pdstates" in result.stderr
    for suffix in SUFFIXES:
        shutil.copy(f"{first}{suffix}", tmp_path / f"cut{suffix}")
    with open(tmp_path / "cut.pdopt", "r+b") as file:
        file.truncate(100000)
    result = run(*command(data, tmp_path / "c", name), "--checkpoint", tmp_path / "cut")
    assert result.returncode == 3 and "cut.pdopt" in result.stderr, result.stderr
    result = run(*command(data, tmp_path / "d", name), "--schedule", "plateau", "--checkpoint", first)
    assert result.returncode == 3 and "does not wait for a metric" in result.stderr, result.stderr
