# SPDX-License-Identifier: Apache-2.0
"""What an epoch is made of: which batches it has, and whether it ends with validation."""
import csv
import json
import pathlib
import signal
import subprocess
import sys

import pytest

from test_train import COMMON, PROGRAM, data, run, same, train  # data is a fixture


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def stopped_in_an_epoch(args, out, steps, number=signal.SIGKILL):
    """Starts a run and ends it as soon as its table has so many steps."""
    process = subprocess.Popen([PROGRAM, *map(str, args), "--progress", "none"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    table = out / "steps.csv"
    while process.poll() is None and (not table.exists() or
                                      table.read_text().count("\n") <= steps):
        pass
    process.send_signal(number)
    _, stderr = process.communicate()
    assert process.returncode != 0, "the run was over before it was disturbed"
    return process.returncode, stderr


@pytest.fixture(scope="session")
def undisturbed(data, tmp_path_factory):
    """Runs of so many epochs, with these flags, that nothing happens to; each is made once."""
    made = {}

    def of(epochs, *flags):
        key = (epochs, *flags)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("undisturbed") / "run"
            result = train(data / "train", made[key], "--val", data / "val", *flags, epochs=epochs)
            assert result.returncode == 0, result.stderr
        return made[key]
    return of


def test_the_last_short_batch_is_dropped(data, tmp_path):
    """35 pictures, 8 a batch: 4 steps of 8 instead of 5; of 16 by 2 batches a step, 2 steps."""
    args = ["--val", data / "val", "--drop-last"]
    result = train(data / "train", tmp_path / "run", *args, epochs=3)
    assert result.returncode == 0 and "35 pictures, 4 steps an epoch" in result.stderr
    assert [r["step"] for r in rows(tmp_path / "run" / "steps.csv")] == list("1234") * 3
    killed = ["train", data / "train", "-o", tmp_path / "killed", "-e", "3", *COMMON, *args]
    stopped_in_an_epoch([*killed, "--save-steps", "1"], tmp_path / "killed", 6)
    again = run(*killed, "--resume")
    assert again.returncode == 0, again.stderr
    same(tmp_path / "killed", tmp_path / "run")
    result = train(data / "train", tmp_path / "two", "--drop-last", "--accumulate", "3", epochs=1)
    assert result.returncode == 0 and "35 pictures, 2 steps an epoch" in result.stderr
    result = train(data / "train", tmp_path / "run", *args[:2], "--resume", epochs=3)
    assert result.returncode == 3 and "drop-last 1" in result.stderr
    result = train(data / "train", tmp_path / "none", "--drop-last", "-b", "36", epochs=1)
    assert result.returncode == 2 and "35 pictures are no whole batch of 36" in result.stderr


def test_pictures_in_their_order(data, tmp_path):
    """Then the seed decides crops and flips alone: without these, and with the same weights to
    start from, it decides nothing."""
    assert train(data / "train", tmp_path / "start", epochs=1).returncode == 0
    weights = tmp_path / "start" / "latest.safetensors"

    def after(seed, *flags):
        out = tmp_path / "-".join((seed, *flags))
        result = train(data / "train", out, "--seed", seed, "--whole", "--flip", "0", "-w", weights,
                       *flags, epochs=1)
        assert result.returncode == 0, result.stderr
        return (out / "latest.safetensors").read_bytes()
    assert after("1", "--in-order") == after("2", "--in-order")
    assert after("1") != after("2")
    result = train(data / "train", tmp_path / "both", "--in-order", "--balanced")
    assert result.returncode == 2 and "balanced" in result.stderr


@pytest.mark.parametrize("flags, validated", [
    (["--eval-every", "2"], [2, 4, 5]),
    (["--eval-every", "3", "--eval-from", "4"], [5]),
    (["--eval-from", "3"], [3, 4, 5]),
])
def test_epochs_that_are_validated(data, undisturbed, tmp_path, flags, validated):
    out = tmp_path / "run"
    result = train(data / "train", out, "--val", data / "val", "--ema", "0.9", *flags, epochs=5)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [i + 1 for i, line in enumerate(lines) if "top-1" in line] == validated
    table = rows(out / "epochs.csv")
    assert [int(r["epoch"]) for r in table if r["top1"]] == validated
    assert [int(r["epoch"]) for r in table if r["average_top1"]] == validated
    best = max((float(r["top1"]), int(r["epoch"])) for r in table if r["top1"])
    assert "(best)" in lines[best[1] - 1]
    all_epochs = undisturbed(5, "--ema", "0.9")
    for name in ("latest", "average"):  # looking changes nothing
        name += ".safetensors"
        assert (out / name).read_bytes() == (all_epochs / name).read_bytes()
    for e in validated:
        assert table[e - 1] == rows(all_epochs / "epochs.csv")[e - 1]


def test_only_validated_epochs_count_as_not_better(data, tmp_path):
    """For the end of the run, and for a schedule that waits: of 12 epochs those that 3 divides."""
    args = ["--val", data / "val", "--lr", "1e-6", "--eval-every", "3", "--patience", "2", "--give-up", "0",
            "--schedule", "plateau:patience=0,factor=0.5"]
    result = train(data / "train", tmp_path / "run", *args, epochs=50)
    assert result.returncode == 0, result.stderr
    table = rows(tmp_path / "run" / "epochs.csv")
    first = next(i for i, r in enumerate(table) if float(r["rate"]) < 1e-6)
    assert first % 3 == 0 and len(table) % 3 == 0
    assert "2 epochs without a better one" in result.stderr
    rates = [float(r["rate"]) for r in table]
    assert all(rates[i] == rates[i - i % 3] for i in range(len(rates)))
    other = run("train", data / "train", "-o", tmp_path / "run", "-e", "50", *COMMON, *args,
                "--eval-every", "1", "--resume")
    assert other.returncode == 3 and "eval-every 3" in other.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_ends_within_an_epoch_goes_on(data, undisturbed, tmp_path, number):
    """After 8 steps of 5 an epoch, of which each second one is saved: the model of the third is
    there, and the run ends with the bytes of one that was not disturbed."""
    args = ["--val", data / "val", "--ema", "0.9"]
    whole = undisturbed(3, "--ema", "0.9", "--keep", "3")
    out = tmp_path / "run"
    started = ["train", data / "train", "-o", out, "-e", "3", *COMMON, *args]
    code, stderr = stopped_in_an_epoch([*started, "--save-steps", "2"], out, 8, number)
    if number != signal.SIGKILL:
        assert code == 130 and "stopped; " in stderr
    models = {name: (out / f"{name}.safetensors").read_bytes() for name in ("latest", "average")}
    assert run("info", out / "latest.safetensors").returncode == 0
    for name, saved in models.items():
        assert saved != (whole / "epoch-1.safetensors").read_bytes()
        assert saved != (whole / f"{name}.safetensors").read_bytes()
    again = run(*started, "--resume")
    assert again.returncode == 0, again.stderr
    same(out, whole)
    for name in "average", "best-average":
        name += ".safetensors"
        assert (out / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("left", [0, 30_000_000, 60_000_000])
def test_a_disk_that_fills_up_loses_nothing(data, undisturbed, tmp_path, left):
    """A real one, in memory: nothing has room, or tables and no model, or models and no state
    (which then is that of before); then there is room again, and the run ends as if nothing had been."""
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode != 0:
        pytest.skip("this kernel allows no mounts to users")
    (tmp_path / "disk").mkdir()
    done = subprocess.run(
        ["unshare", "-Urm", sys.executable, pathlib.Path(__file__).parent / "full_disk.py",
         tmp_path / "disk", tmp_path / "run", str(left), PROGRAM, "train", data / "train", "--val",
         data / "val", "-e", "3", *COMMON], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["code"] == 4, seen["stderr"]
    line = seen["stderr"].splitlines()[-1]
    assert line.startswith("hrnet: ") and "cannot write: No space left on device" in line
    assert set(seen["after"]) == set(seen["before"])  # no file is gone, and none is half there
    for name in [n for n in seen["before"] if left == 0 or n == "state.safetensors" or
                 (n.endswith(".safetensors") and left < 45_000_000)]:
        assert seen["after"][name] == seen["before"][name], name
    assert seen["info"] == 0 and seen["last"] == 0, seen["last_stderr"]
    same(tmp_path / "run", undisturbed(3))
