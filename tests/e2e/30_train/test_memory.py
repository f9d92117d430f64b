# SPDX-License-Identifier: Apache-2.0
"""What a run may give up to take less memory, and what it must not."""
import re
import shutil

import numpy as np
import pytest

from test_train import data, same, tensors, train, whole  # two are fixtures

MEMORY = re.compile(r"35 pictures, 1 steps an epoch; ([0-9.]+) GB of activations(.*), "
                    r"([0-9.]+) GB of weights, gradients and states\n")


def test_recomputed_activations_have_the_same_bits(whole, data, tmp_path):
    result = train(data / "train", tmp_path / "a", "--val", data / "val", "--recompute", "--keep",
                   "2", epochs=3)
    assert result.returncode == 0, result.stderr
    same(whole[0], tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.copy(tmp_path / "b" / "epoch-2.state.safetensors", tmp_path / "b" / "state.safetensors")
    result = train(data / "train", tmp_path / "b", "--val", data / "val", "--resume", "--keep",
                   "2", epochs=3)
    assert result.returncode == 0 and result.stdout.startswith("epoch 3/3"), result.stderr
    same(whole[0], tmp_path / "b")


def test_memory_is_told_before_the_first_step(data, tmp_path):
    """A run that ends with its first step has told it."""
    sizes = []
    for i, flags in enumerate(([], ["--recompute"])):
        result = train(data / "train", tmp_path / str(i), "-b", "34", "--size", "96", "--lr", "1e30", *flags)
        assert result.returncode == 1 and "step 1" in result.stderr, result.stderr
        activations, how, states = MEMORY.search(result.stderr).groups()
        sizes.append(float(activations))
        assert how == (", recomputed" if flags else "") and float(states) == 0.13
    assert 0.3 < sizes[1] / sizes[0] < 0.75


def numbers(folder):
    """Rows of steps.csv: rate, loss, norm, ..."""
    return np.array([[float(x) for x in line.split(",")[2:]] for line in
                     (folder / "steps.csv").read_text().splitlines()[1:]])


CALM = ["--size", "64", "-b", "17", "--lr", "0.002"]  # the default of these tests is chaos


@pytest.fixture(scope="session")
def calm(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("calm") / "run"
    result = train(data / "train", out, *CALM, epochs=4)
    assert result.returncode == 0, result.stderr
    return numbers(out)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_16_bits_follow_32(calm, data, tmp_path, precision):
    """The first loss is the same, since nothing of forward is rounded; those after it are near, and
    further apart the more steps there were (fp32 with other kernels does the same)."""
    result = train(data / "train", tmp_path / "a", *CALM, "--precision", precision, epochs=4)
    assert result.returncode == 0, result.stderr
    assert f"GB of activations in {precision}," in result.stderr
    got = numbers(tmp_path / "a")
    loss = np.abs(got[:, 1] / calm[:, 1] - 1)
    assert loss[0] == 0 and 0 < loss[1] < 1e-4 and loss.max() < 0.06, loss
    assert 0 < np.abs(got[0, 2] / calm[0, 2] - 1) < 1e-3
    again = train(data / "train", tmp_path / "b", *CALM, "--precision", precision, "-t", "1",
                  epochs=4)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "a" / "state.safetensors").read_bytes() == (
        tmp_path / "b" / "state.safetensors").read_bytes()


def test_a_loss_scale_of_a_power_of_two_changes_no_bit(whole, data, tmp_path):
    for scale in ("dynamic:scale=1024,every=4", "fixed:scale=64"):
        out = tmp_path / scale[:5]
        result = train(data / "train", out, "--val", data / "val", "--loss-scale", scale, epochs=3)
        assert result.returncode == 0, result.stderr
        assert (out / "best.safetensors").read_bytes() == (
            whole[0] / "best.safetensors").read_bytes()
        assert (out / "steps.csv").read_bytes() == (whole[0] / "steps.csv").read_bytes()


OVERFLOWS = ["--precision", "fp16", "--loss-scale", "dynamic:scale=1e38,every=3", "--keep", "2"]


def test_an_overflow_leaves_the_step_out_and_halves_the_scale(data, tmp_path):
    """And a run that goes on is the run that was never stopped."""
    result = train(data / "train", tmp_path / "a", *OVERFLOWS, epochs=3)
    assert result.returncode == 0, result.stderr
    told = re.findall(r"epoch (\d), step (\d): the gradient overflowed at the loss scale ([0-9.e+]+): "
                      r"the step is left out, the scale is now ([0-9.e+]+)", result.stderr)
    assert len(told) >= 2 and told[0][:3] == ("1", "1", "1e+38") and float(told[0][3]) == 5e37
    assert f"hrnet: {len(told)} steps were left out" in result.stderr
    steps = numbers(tmp_path / "a")
    left_out = [(int(e) - 1) * 5 + int(s) - 1 for e, s, *_ in told]
    assert list(np.flatnonzero(np.isinf(steps[:, 2]))) == left_out
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.copy(tmp_path / "a" / "epoch-2.state.safetensors", tmp_path / "b" / "state.safetensors")
    again = train(data / "train", tmp_path / "b", "--resume", *OVERFLOWS, epochs=3)
    assert again.returncode == 0 and again.stdout.startswith("epoch 3/3"), again.stderr
    for name in ("latest.safetensors", "state.safetensors", "steps.csv", "epochs.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_nothing_of_a_step_that_is_left_out_is_learned(data, tmp_path):
    """A factor that always overflows: weights stay, in the end the run is given up."""
    result = train(data / "train", tmp_path / "a", "--loss-scale", "fixed:scale=3e38", "--seed", "7",
                   "--ema", "0.9", epochs=1)
    assert result.returncode == 0 and result.stderr.count("the step is left out") == 5
    start = train(data / "train", tmp_path / "b", "--loss-scale", "fixed:scale=3e38", "--seed", "7",
                  "--ema", "0.9", "--save-steps", "1", epochs=1)
    a, b = (tensors(tmp_path / x / "latest.safetensors") for x in "ab")
    average = tensors(tmp_path / "a" / "average.safetensors")
    assert start.returncode == 0 and all((a[n] == b[n]).all() for n in a)
    moved = {n for n in a if not (a[n] == average[n]).all()}
    assert moved and all(n.endswith(("._mean", "._variance")) for n in moved), moved
    result = train(data / "train", tmp_path / "c", "--loss-scale", "fixed:scale=3e38", "--give-up", "0",
                   epochs=30)
    assert result.returncode == 1 and "is not finite" in result.stderr
    assert result.stderr.count("the step is left out") == 100


@pytest.mark.parametrize("flags, word", [
    (["--loss-scale", "dinamic"], "did you mean dynamic"),
    (["--loss-scale", "fixed:scale=0.5"], "scale is 0.5"),
    (["--precision", "fp8"], "fp32|bf16|fp16"),
])
def test_wrong_words_are_named(data, tmp_path, flags, word):
    result = train(data / "train", tmp_path / "a", *flags)
    assert result.returncode == 2 and word in result.stderr, result.stderr


def test_precision_is_part_of_a_run(data, tmp_path):
    assert train(data / "train", tmp_path, "--precision", "bf16", epochs=1).returncode == 0
    result = train(data / "train", tmp_path, "--resume", epochs=1)
    assert result.returncode == 3 and "precision bf16" in result.stderr, result.stderr


def test_both_together(calm, data, tmp_path):
    """Forward is still that of fp32; what is made again is made of rounded values."""
    both = [*CALM, "--precision", "fp16", "--recompute"]
    result = train(data / "train", tmp_path / "a", *both, epochs=4)
    assert result.returncode == 0 and "in fp16, recomputed," in result.stderr, result.stderr
    got = numbers(tmp_path / "a")
    assert got[0, 1] == calm[0, 1] and 0 < abs(got[0, 2] / calm[0, 2] - 1) < 1e-3
    assert np.abs(got[:, 1] / calm[:, 1] - 1).max() < 0.15
    result = train(data / "train", tmp_path / "a", *both[:-1], "--resume", epochs=4)
    assert result.returncode == 3 and "precision fp16 recomputed" in result.stderr, result.stderr
