# SPDX-License-Identifier: Apache-2.0
"""What a run may give up to take less memory, and what it must not."""
import re
import shutil

from test_train import data, run, same, train, whole  # two are fixtures

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
        assert how == (" (recomputed)" if flags else "") and float(states) == 0.13
    assert 0.3 < sizes[1] / sizes[0] < 0.75
