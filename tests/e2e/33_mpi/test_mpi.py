# SPDX-License-Identifier: Apache-2.0
"""hrnet train as several processes: two do the steps of one with twice the batch, to rounding; the
same bits each time; one that is lost ends the job, with a checkpoint that resumes bit for bit."""
import csv
import json
import os
import pathlib
import resource
import signal
import subprocess
import time
import uuid

import numpy as np
import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
MPIRUN = os.environ.get("HRNET_MPIRUN", "")
OPEN_MPI = "ompi" in os.environ.get("HRNET_MPI", "")
COMMON = ["-a", "hrnet_w18_small", "--size", "32", "--least-area", "0.5", "-t", "1", "--loaders",
          "1"]
# Plain steps, so that the change of the weights is the gradient.
STEPS = ["--optimizer", "sgd", "--l2", "0", "--schedule", "constant"]
together = pytest.mark.skipif(not MPIRUN, reason="this build is without MPI, or there is no mpirun")


def environment(**more):
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HRNET_PROGRESS": "none",
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "ASAN_OPTIONS": "detect_leaks=0", **more}  # MPI's own


def command(ranks, *args):
    program = [PROGRAM, *map(str, args)]
    if ranks == 1:
        return program
    flags = ["--oversubscribe", "--bind-to", "none"] if OPEN_MPI else []
    return [MPIRUN, *flags, "-n", str(ranks), *program]


def run(ranks, *args, **more):
    return subprocess.run(command(ranks, *args), capture_output=True, text=True, timeout=300,
                          env=environment(**more))


def train(ranks, data, out, *more, epochs=1, code=0):
    result = run(ranks, "train", data / "train", "-o", out, "-e", epochs, *COMMON, *more)
    assert result.returncode == code, result.stderr
    return result


def picture(path, kind, seed):
    noise = np.random.default_rng(seed).integers(0, 120, (40, 48, 3), dtype=np.uint8)
    noise[:20 if kind == "top" else 40, :48 if kind == "top" else 24] += 120
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P6 48 40 255\n" + noise.tobytes())


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """24 pictures to train and 13 to validate, whose last batch leaves two of three nothing."""
    folder = tmp_path_factory.mktemp("data")
    for part, count in (("train", 24), ("val", 13)):
        for i in range(count):
            kind = ("top", "left")[i % 2]
            picture(folder / part / kind / f"{i}.ppm", kind, (part == "val") * 1000 + i)
    (folder / "odd.txt").write_text("".join(
        f"train/{('top', 'left')[i % 2]}/{i}.ppm {i % 2}\n" for i in range(23)))
    return folder


def state(folder):
    """The parameters of a checkpoint by name, and the settings."""
    file = (folder / "latest.safetensors").read_bytes()
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8:8 + size])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(file, "<f4", int(np.prod(t["shape"])), 8 + size +
                                t["data_offsets"][0]) for name, t in header.items()}


def is_statistic(name):
    return name.endswith(("_mean", "_variance"))


def change(after, before):
    return np.concatenate([after[n].astype(np.float64) - before[n] for n in sorted(after)
                           if not is_statistic(n)])


def statistics(of):
    return np.concatenate([of[n] for n in sorted(of) if is_statistic(n)])


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def steps(folder):
    with open(folder / "steps.csv") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def same(a, b, names=("state.safetensors", "latest.safetensors", "steps.csv", "epochs.csv")):
    for name in names:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


@pytest.fixture(scope="session")
def start(data, tmp_path_factory):
    """The weights that all runs begin with: a step of no length."""
    out = tmp_path_factory.mktemp("start") / "run"
    train(1, data, out, "-b", "24", "--lr", "1e-30", *STEPS)
    return state(out)


@together
def test_two_processes_with_common_norms_are_one_with_twice_the_batch(data, start, tmp_path):
    """One step, so that rounding has not grown through the ReLUs: floats have 24 bits, and some
    hundred layers of sums in another order cost a few of them."""
    options = ["--lr", "1e-3", *STEPS]
    train(1, data, tmp_path / "one", "-b", "24", *options)
    train(2, data, tmp_path / "two", "-b", "12", "--sync-batch-norm", *options)
    train(2, data, tmp_path / "own", "-b", "12", *options)
    one, two, own = (state(tmp_path / name) for name in ("one", "two", "own"))
    assert steps(tmp_path / "two") == pytest.approx(steps(tmp_path / "one"), rel=1e-6)
    assert distance(change(two, start), change(one, start)) < 1e-3
    assert distance(statistics(two), statistics(one)) < 1e-5
    assert distance(change(own, start), change(one, start)) > 0.1  # it can fail
    # Of 23 pictures one has 11 and the other 12, and classes weigh unequally.
    options += ["--class-weights", "1,3"]
    for ranks, out in ((1, "odd"), (2, "parts")):
        result = run(ranks, "train", data / "odd.txt", "-o", tmp_path / out, "-e", "1", *COMMON,
                     "-b", 24 // ranks, *options, *(["--sync-batch-norm"] if ranks > 1 else []))
        assert result.returncode == 0, result.stderr
    odd, parts = state(tmp_path / "odd"), state(tmp_path / "parts")
    assert steps(tmp_path / "parts") == pytest.approx(steps(tmp_path / "odd"), rel=1e-6)
    assert distance(change(parts, start), change(odd, start)) < 1e-3


@together
def test_two_processes_with_their_own_norms_are_one_that_accumulates(data, start, tmp_path):
    """The same gradients; running statistics are the mean of both instead of one after the other.
    The mixing of batches is that of the same batches, too."""
    options = ["--lr", "1e-3", "--augment", "mixup:alpha=0.4", *STEPS]
    train(1, data, tmp_path / "one", "-b", "6", "--accumulate", "4", *options)
    train(2, data, tmp_path / "two", "-b", "6", "--accumulate", "2", *options)
    one, two = state(tmp_path / "one"), state(tmp_path / "two")
    assert len(steps(tmp_path / "two")) == 1
    assert steps(tmp_path / "two") == pytest.approx(steps(tmp_path / "one"), rel=1e-6)
    assert distance(change(two, start), change(one, start)) < 1e-3


@together
def test_bits_are_the_same_each_time_and_evaluation_is_that_of_one(data, tmp_path):
    options = ["--val", data / "val", "-b", "4", "--lr", "0.005", "--ema", "0.9"]
    result = train(3, data, tmp_path / "a", *options, epochs=2)
    train(3, data, tmp_path / "b", *options, epochs=2)
    same(tmp_path / "a", tmp_path / "b")
    assert result.stdout.count("epoch 1/2") == 1  # the first process speaks
    assert "3 processes: " in result.stderr and result.stderr.count("2 steps an epoch") == 1
    report = json.loads(run(1, "eval", data / "val", "-m", tmp_path / "a" / "latest.safetensors",
                            "-f", "json", "-b", "12").stdout)
    with open(tmp_path / "a" / "epochs.csv") as file:
        last = list(csv.DictReader(file))[-1]
    assert report["pictures"] == 13
    assert float(last["validation_loss"]) == pytest.approx(report["loss"], rel=1e-8)
    assert float(last["top1"]) == pytest.approx(report["top1"], rel=1e-8)


def can_name_machines():
    return subprocess.run(["unshare", "-u", "hostname", "one"], capture_output=True).returncode == 0


@together
@pytest.mark.skipif(not OPEN_MPI, reason="mpirun's flags for machines are those of Open MPI")
@pytest.mark.skipif(not can_name_machines(), reason="no namespace for the name of a machine")
def test_machines_over_tcp_have_the_bits_of_one(data, tmp_path):
    """Two machines as mpirun sees them: reached by a remote shell, which gives each its name, and
    with nothing between them but TCP."""
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\nhost=$1; shift\nexec unshare -u sh -c "hostname $host; $*"\n')
    shell.chmod(0o755)
    options = ["train", data / "train", "-e", "1", *COMMON, "-b", "4", "--lr", "0.005"]
    named = f'hostname >{tmp_path}/$OMPI_COMM_WORLD_RANK; exec "$0" "$@"'
    flags = {"plm_rsh_agent": shell, "btl": "tcp,self", "btl_tcp_if_include": "lo",
             "oob_tcp_if_include": "lo"}
    apart = subprocess.run(
        [MPIRUN, *(str(word) for flag in flags.items() for word in ("--mca", *flag)),
         "--host", "one:1,two:1", "--bind-to", "none", "-n", "2", "sh", "-c", named, PROGRAM,
         *map(str, options), "-o", tmp_path / "apart"],
        capture_output=True, text=True, timeout=300, env=environment())
    assert apart.returncode == 0, apart.stderr
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["one\n", "two\n"]
    here = run(2, *options, "-o", tmp_path / "here")
    assert here.returncode == 0, here.stderr
    same(tmp_path / "apart", tmp_path / "here")


def rank_of(pid, token):
    """The rank of a process of ours, or -1."""
    try:
        variables = dict(v.split("=", 1) for v in
                         pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in v)
        name = pathlib.Path(f"/proc/{pid}/exe").resolve().name
    except OSError:
        return -1
    if variables.get("HRNET_TEST_TOKEN") != token or name != "hrnet":
        return -1
    return int(variables.get("OMPI_COMM_WORLD_RANK", variables.get("PMI_RANK", -1)))


def interrupted(data, out, token, *more):
    """A run of two that is under way."""
    process = subprocess.Popen(
        command(2, "train", data / "train", "-o", out, "-e", "6", *COMMON, *more),
        env=environment(HRNET_TEST_TOKEN=token), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)
    end = time.monotonic() + 120
    while not (out / "steps.csv").exists() or len(steps(out)) < 7:
        assert process.poll() is None and time.monotonic() < end, process.stderr.read()
        time.sleep(0.02)
    return process


@together
def test_a_lost_process_ends_the_job_and_no_step_is_lost(data, tmp_path):
    """Open MPI tells the others with SIGTERM; MPICH's launcher ends them at once, so that what the
    last epoch left is there."""
    options = ["-b", "4", "--lr", "0.005"]
    train(2, data, tmp_path / "whole", *options, epochs=6)
    token = uuid.uuid4().hex
    process = interrupted(data, tmp_path / "run", token, *options)
    victim = [pid for pid in os.listdir("/proc") if pid.isdigit() and rank_of(pid, token) == 1]
    assert len(victim) == 1
    os.kill(int(victim[0]), signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode != 0
    done = len(steps(tmp_path / "run"))
    assert done < 18, "the run was over before it was disturbed"
    if OPEN_MPI:
        assert "a stop was asked for: " in stderr and "state.safetensors holds epoch" in stderr
    train(2, data, tmp_path / "run", *options, "--resume", epochs=6)
    same(tmp_path / "whole", tmp_path / "run")


@together
def test_a_process_without_memory_ends_the_job_with_a_checkpoint(data, tmp_path):
    """What the second one asks for from now on, it does not get: at the latest for validation."""
    options = ["-b", "4", "--lr", "0.005", "--val", data / "val"]
    train(2, data, tmp_path / "whole", *options, epochs=6)
    token = uuid.uuid4().hex
    process = interrupted(data, tmp_path / "run", token, *options)
    victim, = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and rank_of(pid, token) == 1]
    pages = int(pathlib.Path(f"/proc/{victim}/statm").read_text().split()[0])
    resource.prlimit(victim, resource.RLIMIT_AS, (pages * resource.getpagesize(),) * 2)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode != 0
    line, = [line for line in stderr.splitlines() if "process 1 of 2: " in line]
    assert "out of memory" in line and line.endswith("go on with --resume"), stderr
    assert "epoch 6/6" not in stderr
    train(2, data, tmp_path / "run", *options, "--resume", epochs=6)
    same(tmp_path / "whole", tmp_path / "run")


@together
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_two_processes_with_a_loss_scale(data, start, tmp_path, precision):
    """What waits in 16 bits is rounded in each as in one: a step of both is that of twice the batch,
    to that rounding.  A step whose gradient overflows is left out by both, told once, and a run that
    goes on has the same factor."""
    options = ["--lr", "1e-3", "--precision", precision, "--sync-batch-norm",
               "--loss-scale", "dynamic:scale=1024", *STEPS]
    train(1, data, tmp_path / "one", "-b", "24", *[o for o in options if o != "--sync-batch-norm"])
    train(2, data, tmp_path / "two", "-b", "12", *options)
    one, two = state(tmp_path / "one"), state(tmp_path / "two")
    assert steps(tmp_path / "two") == pytest.approx(steps(tmp_path / "one"), rel=1e-6)
    assert distance(change(two, start), change(one, start)) < {"fp16": 2e-3, "bf16": 2e-2,
                                                               "fp32": 1e-3}[precision]
    options = ["-b", "4", "--lr", "0.005", "--precision", precision, "--loss-scale",
               "dynamic:scale=1e38,shrink=1e-5,every=4"]
    whole = train(2, data, tmp_path / "whole", *options, epochs=6)
    assert whole.stderr.count("the gradient overflowed at the loss scale 1e+38") == 1
    assert "steps were left out because the gradient overflowed" in whole.stderr
    with open(tmp_path / "whole" / "steps.csv") as file:
        norms = [row["norm"] for row in csv.DictReader(file)]
    assert norms[0] == "inf" and "inf" not in norms[5:]
    process = interrupted(data, tmp_path / "run", "none", *options)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    train(2, data, tmp_path / "run", *options, "--resume", epochs=6)
    same(tmp_path / "whole", tmp_path / "run")


@together
@pytest.mark.skipif(not OPEN_MPI, reason="its flag")
def test_processes_are_bound_as_the_documents_say(data, tmp_path):
    """A CPU each; without --threads that is what each computes with."""
    cpus = len(os.sched_getaffinity(0))
    if cpus < 2:
        pytest.skip("one CPU")
    parts = command(2, "train", data / "train", "-o", tmp_path / "run", "-e", "1",
                    *COMMON[:COMMON.index("-t")], "-b", "4")
    at = parts.index("--bind-to")
    parts[at:at + 2] = ["--map-by", "socket:pe=1"]
    result = subprocess.run(parts, capture_output=True, text=True, timeout=120, env=environment())
    assert result.returncode == 0, result.stderr
    train(2, data, tmp_path / "plain", "-b", "4")
    same(tmp_path / "run", tmp_path / "plain")


@together
def test_a_process_that_does_not_answer_counts_as_lost(data, tmp_path):
    options = ["-b", "4", "--lr", "0.005", "--lost-after", "1.5"]
    token = uuid.uuid4().hex
    process = interrupted(data, tmp_path / "run", token, *options)
    mine = {rank_of(pid, token): int(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    os.kill(mine[1], signal.SIGSTOP)
    try:
        while rank_of(mine[0], token) == 0:  # until the first one has given up
            time.sleep(0.05)
    finally:
        os.kill(mine[1], signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "a process of the 2 did not answer for 1.5 s; " in stderr
    assert "go on with --resume" in stderr
    assert train(2, data, tmp_path / "run", "-b", "4", "--lr", "0.005", "--resume", epochs=6)


@together
def test_a_stop_reaches_all_and_other_numbers_of_processes_may_go_on(data, tmp_path):
    options = ["-b", "4", "--lr", "0.005"]
    train(2, data, tmp_path / "whole", *options, epochs=6)
    process = interrupted(data, tmp_path / "run", "none", *options)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode != 0 or not OPEN_MPI  # a launcher that was asked to go says 0
    # Open MPI gives them a second, in which the step may not end.
    assert "hrnet: stopped; " in stderr or "state.safetensors holds epoch" in stderr
    assert len(steps(tmp_path / "run")) < 18, "the run was over before it was disturbed"
    result = train(1, data, tmp_path / "run", "-b", "16", "--lr", "0.005", "--resume", epochs=6,
                   code=3)
    assert "is of another run" in result.stderr
    result = train(1, data, tmp_path / "run", "-b", "8", "--lr", "0.005", "--resume", epochs=6)
    assert "the run so far was of 2 processes, now there are 1" in result.stderr
    assert len(steps(tmp_path / "run")) == len(steps(tmp_path / "whole")) == 18


@together
def test_a_short_last_batch_is_dropped_by_all(data, tmp_path):
    """24 pictures, 10 a batch of two: 2 steps an epoch, and a run that was stopped goes on so."""
    options = ["-b", "5", "--lr", "0.005", "--drop-last"]
    whole = train(2, data, tmp_path / "whole", *options, epochs=6)
    assert "2 steps an epoch" in whole.stderr
    process = interrupted(data, tmp_path / "run", "none", *options)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert len(steps(tmp_path / "run")) < 12, "the run was over before it was disturbed"
    train(2, data, tmp_path / "run", *options, "--resume", epochs=6)
    same(tmp_path / "whole", tmp_path / "run")


@together
def test_what_is_wrong_is_said_once(data, tmp_path):
    result = train(2, data, tmp_path / "a", "--val", tmp_path / "none", "-b", "4", code=4)
    assert result.stderr.count("hrnet: ") == 1, result.stderr
    assert "process 0 of 2: " in result.stderr
    bad = tmp_path / "bad"
    for i in range(12):
        picture(bad / "train" / ("top", "left")[i % 2] / f"{i}.ppm", "top", i)
    (bad / "train" / "top" / "0.ppm").write_bytes(b"P6 48 40 255\nshort")
    result = train(2, bad, tmp_path / "b", "-b", "3", epochs=3)
    assert result.stderr.count("0.ppm") == 1 and "1 of 12 pictures were bad" in result.stderr
    listed = (tmp_path / "b" / "bad_pictures.csv").read_text().splitlines()
    assert len(listed) == 2 and listed[1].endswith(",3,training")  # once an epoch, by either
    again = train(2, bad, tmp_path / "b", "-b", "3", "--resume", epochs=3)
    assert again.returncode == 0 and "0.ppm" not in again.stderr
    result = train(2, bad, tmp_path / "c", "-b", "3", "--max-bad", "0", code=4)
    assert "0.ppm" in result.stderr and "process " in result.stderr
    parts = command(2, "train", data / "train", "-o", tmp_path / "d", *COMMON, "-b", "4")
    parts[parts.index("-n") + 1] = "1"
    other = ["-n", "1", *parts[parts.index(PROGRAM):], "--seed", "7"]
    result = subprocess.run([*parts, ":", *other], capture_output=True, text=True, timeout=120,
                            env=environment())
    assert result.returncode != 0
    assert "process 1 was started with other settings" in result.stderr


def test_without_its_launcher_nothing_is_trained_twice(data, tmp_path):
    """Under a launcher whose MPI is none of this build's, or in a build without MPI."""
    args = ["train", data / "train", "-o", tmp_path / "run", *COMMON, "-b", "4"]
    told = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
    if OPEN_MPI or MPIRUN:
        told = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    result = run(1, *args, **told)
    assert result.returncode == 3 and result.stderr.count("\n") == 1, result.stderr
    cure = "start them with its own mpirun" if MPIRUN else "build it with -DHRNET_MPI=ON"
    assert cure in result.stderr
    second = {name: "1" if value == "0" else value for name, value in told.items()}
    result = run(1, *args, **second)
    assert result.returncode == 3 and result.stderr == ""
    assert not (tmp_path / "run").exists()
