# SPDX-License-Identifier: Apache-2.0
"""Graphs of other programs through every command, without any other program."""
import json

import numpy as np
import pytest

from exchange_program import ASSUMED, TESTS, bad, good, logits, run, tensors

CAT = TESTS / "data" / "pictures" / "cat_420.jpg"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exchange")
    labels = folder / "labels.txt"
    labels.write_text("".join(f"{i} class {i}, of five\n" for i in range(5)))
    good("convert", "synthetic:hrnet_w18_small", folder / "m.safetensors", "--classes", 5,
         "--labels", labels, "--recipe", "pillow", "--size", 64)
    return folder


@pytest.fixture(scope="session")
def x():
    return np.random.default_rng(1).normal(size=(2, 3, 64, 96)).astype(np.float32)


FORMS = [[], ["--opset", 11, "--batch", 2], ["--result", "softmax", "--preprocess"],
         ["--result", "sigmoid", "--free-size"], ["--fold", "--opset", 21]]


@pytest.mark.parametrize("form", FORMS, ids=lambda f: " ".join(map(str, f)) or "plain")
def test_what_is_exported_is_the_model(folder, x, form):
    path = folder / "m.onnx"
    said = good("export", folder / "m.safetensors", "-o", path, "--force", *form)
    assert "read back" in said
    want, got = logits(folder / "m.safetensors", x, folder), logits(path, x, folder)
    if "--fold" in form:
        assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()
    else:
        assert np.array_equal(got, want)
    info = json.loads(good("info", path, "--json"))
    original = json.loads(good("info", folder / "m.safetensors", "--json"))
    assert info["architecture"] == "hrnet_w18_small" and info["format"] == "ONNX"
    assert info["recipe"] == original["recipe"] and info["labels"] == 5
    records = [json.loads(good("predict", CAT, "-m", m, "-f", "jsonl"))
               for m in (folder / "m.safetensors", path)]
    assert records[0]["label_names"] == records[1]["label_names"]
    assert info["activation"] == ("sigmoid" if "sigmoid" in form else "softmax")
    if "sigmoid" in form:  # the graph's own scores: their odds are the softmax's numerators
        odds = np.array(records[1]["scores"]) / (1 - np.array(records[1]["scores"]))
        assert np.allclose(records[0]["scores"], odds / odds.sum(), rtol=1e-3)
    else:
        assert np.allclose(records[0]["scores"], records[1]["scores"], atol=1e-6)


def test_half_weights_halve_the_file(folder, x):
    good("export", folder / "m.safetensors", "-o", folder / "h.onnx", "--half")
    good("export", folder / "m.safetensors", "-o", folder / "f.onnx")
    assert (folder / "h.onnx").stat().st_size < 0.55 * (folder / "f.onnx").stat().st_size
    want, got = logits(folder / "m.safetensors", x, folder), logits(folder / "h.onnx", x, folder)
    assert 0 < np.abs(got - want).max() < 5e-3 * np.abs(want).max()


def test_a_graph_goes_where_a_model_goes(folder, x):
    good("export", folder / "m.safetensors", "-o", folder / "g.onnx")
    good("convert", folder / "g.onnx", folder / "g.pdparams")
    want = logits(folder / "m.safetensors", x, folder)
    assert np.array_equal(logits(folder / "g.pdparams", x, folder), want)
    assert "91" in good("plan", folder / "g.onnx", "--threads", 1)
    assert json.loads(good("bench", folder / "g.onnx", "--json", "--duration", "0.1", "--warmup",
                           "0").splitlines()[-1])["runs"] >= 5


def test_a_graph_that_the_zoo_does_not_have_runs(folder):
    graph = TESTS / "fuzz" / "corpus" / "onnx" / "branches.onnx"
    x = np.random.default_rng(2).normal(size=(3, 3, 8, 8)).astype(np.float32)
    all_three = logits(graph, x, folder)
    assert all_three.shape == (3, 4)
    assert np.array_equal(logits(graph, x[1:2], folder), all_three[1:2])
    assert logits(graph, np.zeros((1, 3, 24, 40), np.float32), folder).shape == (1, 4)
    info = json.loads(good("info", graph, "--json"))
    assert info["architecture"] == "graph" and info["recipe"]["crop_height"] == 8
    good("export", graph, "-o", folder / "again.onnx")
    assert np.array_equal(logits(folder / "again.onnx", x, folder), all_three)
    bad(3, "hrnet export", "convert", graph, folder / "no.pdparams")
    bad(3, "HRNet_W18_C was asked for", "info", "HRNet_W18_C", "--weights", graph)


def test_what_is_wrong_is_said(folder):
    path = folder / "w.onnx"
    good("export", folder / "m.safetensors", "-o", path)
    bad(4, "use --force", "export", folder / "m.safetensors", "-o", path)
    bad(2, "--output", "export", folder / "m.safetensors")
    bad(2, "opset", "export", folder / "m.safetensors", "-o", path, "--force", "--opset", 10)
    bad(4, "cannot write", "export", folder / "m.safetensors", "-o", folder / "none" / "x.onnx")
    cut = folder / "cut.onnx"
    cut.write_bytes(path.read_bytes()[:100000])
    bad(3, "no well-formed", "info", cut)
    bad(3, "7 classes were asked for", "info", path, "--classes", 7)
    assert not list(folder.glob("*.tmp*"))


def test_diff_says_where_models_part(folder):
    a, b = folder / "m.safetensors", folder / "d.onnx"
    good("export", a, "-o", b, "--fold")
    said = good("diff", a, b)  # norms multiplied in: other weights, the same answers
    assert "same answers, other weights" in said
    good("export", a, "-o", b, "--force")
    assert "0 of 457 tensors differ\nsame answers, the same weights" in good("diff", a, b)
    assert "same answers" in good("diff", a, b, "--picture", CAT)
    good("convert", "synthetic:hrnet_w18_small_v2", folder / "v2.safetensors", "--classes", 5)
    result = run("diff", a, folder / "v2.safetensors", "--lines", 3)
    assert result.returncode == 1 and result.stdout.endswith("different: they part at logits\n")
    assert len(result.stdout.splitlines()) < 10
    report = json.loads(run("diff", a, folder / "v2.safetensors", "--json").stdout)
    assert not report["same_answers"] and report["differences"][0]["kind"] == "weights"
    bad(3, "no such file", "diff", a, folder / "none")


def test_an_assumed_recipe_is_told_once(tmp_path):
    graph = TESTS / "fuzz" / "corpus" / "onnx" / "plain.onnx"
    first = run("export", graph, "-o", tmp_path / "x.onnx", "--force")
    assert first.returncode == 0, first.stderr
    line, = first.stderr.splitlines()
    assert ASSUMED in line and "recipe 'opencv' is assumed" in line and "--recipe" in line
    assert run("info", tmp_path / "x.onnx").stderr == ""  # what was written says it
    for form in (("--recipe", "pillow"), ("--mean", "0,0,0")):
        given = run("export", graph, "-o", tmp_path / "y.onnx", "--force", *form)
        assert given.returncode == 0 and given.stderr == "", given.stderr


def test_a_shape_that_is_computed_is_known(tmp_path):
    """Shape, Slice, Concat, Reshape: how Paddle2ONNX flattens pooled values."""
    graph = TESTS / "fuzz" / "corpus" / "onnx" / "flatten_by_shape.onnx"
    assert json.loads(good("info", graph, "--json"))["classes"] == 3
    plain = np.random.default_rng(2).normal(size=(3, 3, 8, 8)).astype(np.float32)
    rows = [logits(graph, plain[i:i + 1], tmp_path)[0] for i in range(3)]
    assert np.array_equal(logits(graph, plain, tmp_path), rows)
    assert np.ptp(rows, axis=0).max() > 0.01


def test_sizes_that_torch_computes_are_factors(tmp_path):
    """One network as torch.onnx writes it: sizes by Shape, Slice and Concat and a view by Gather; factors and
    Flatten; opset 9 with Upsample and a Pad of nothing."""
    sizes, scales, pad = (TESTS / "fuzz" / "corpus" / "onnx" / f"torch_{how}.onnx"
                          for how in ("sizes", "scales", "pad"))
    x = np.random.default_rng(2).normal(size=(2, 3, 64, 64)).astype(np.float32)
    want = logits(scales, x, tmp_path)
    assert np.ptp(want, axis=0).max() > 1e-3
    assert np.array_equal(logits(sizes, x, tmp_path), want)
    assert np.array_equal(logits(pad, x, tmp_path), want)
    other = np.random.default_rng(3).normal(size=(1, 3, 96, 32)).astype(np.float32)
    assert np.array_equal(logits(sizes, other, tmp_path), logits(scales, other, tmp_path))
    data = sizes.read_bytes()
    (tmp_path / "x.onnx").write_bytes(data.replace(b"\x22\x06Gather", b"\x22\x06Hather", 1))
    bad(3, "(Hather): the operator Hather is not supported", "info", tmp_path / "x.onnx")


def test_a_file_of_paddle_lites_own_optimiser_gives_its_weights(tmp_path):
    """data/lite/branches.nb: paddle_lite_opt 2.12 made it of what we exported of branches.onnx."""
    lite = TESTS / "data" / "lite" / "branches.nb"
    assert "optimiser v2.12" in good("info", lite)
    good("convert", lite, tmp_path / "x.safetensors")
    original = (TESTS / "fuzz" / "corpus" / "onnx" / "branches.onnx").read_bytes()
    got = tensors(tmp_path / "x.safetensors")
    assert {name: shape for name, (shape, _) in got.items()} == {
        "conv2d_0.w_0": [4, 3, 1, 1], "conv2d_1.w_0": [4, 4, 3, 3], "conv2d_2.w_0": [4, 4, 3, 3],
        "linear_0.w_0": [4, 4], "linear_0.b_0": [4]}
    assert all(data in original for _, data in got.values())
    quantised = TESTS / "data" / "lite" / "branches_int8.nb"
    assert "not the scales of the quantised" in good("info", quantised)
    assert "the scales of quantised weights" in good("convert", quantised, tmp_path / "q.safetensors")
    assert len(tensors(tmp_path / "q.safetensors")["conv2d_1.w_0"][1]) == 4 * 4 * 3 * 3


def test_paddle_lite_files_give_their_tensors(tmp_path):
    lite = TESTS / "fuzz" / "corpus" / "store" / "paddle_lite"
    assert "optimiser v2.12" in good("info", lite) and "no model" in good("info", lite)
    told = json.loads(good("info", lite, "--json"))
    assert [(t["name"], t["shape"]) for t in told["tensors"]] == [
        ("conv.b", "[2]"), ("conv.w", "[2,3,1,1]"), ("steps", "[1]")]
    said = good("convert", lite, tmp_path / "x.safetensors")
    assert "3 tensors under their own names" in said and "cannot be recovered" in said
    _, data = tensors(tmp_path / "x.safetensors")["conv.w"]
    assert np.array_equal(np.frombuffer(data, "<f4"), np.arange(6))
    bad(3, "`hrnet convert` recovers the 3 tensors", "predict", CAT, "-m", lite)
