# SPDX-License-Identifier: Apache-2.0
"""Paddle's inference programs, both formats: files that PaddlePaddle 3.3.1 itself made (tests/data/paddle:
HRNet_W18_C with 10 classes and the synthetic weights) give the numbers that its own engine gave."""
import json
import lzma
import shutil
import struct

import numpy as np
import pytest

from exchange_program import TESTS, bad, good, logits, tensors

DATA = TESTS / "data" / "paddle"
CAT = TESTS / "data" / "pictures" / "cat_420.jpg"
EXPECTED = json.loads((DATA / "expected_inference.json").read_text())
FILES = {"legacy_jit": "inference.pdmodel", "legacy_jit_softmax": "inference.pdmodel",
         "pir_jit": "inference.json", "pir_jit_softmax": "inference.json"}


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def record(shape, data):
    desc = b"\x08\x05" + b"".join(b"\x10" + varint(n) for n in shape)
    return struct.pack("<IQII", 0, 0, 0, len(desc)) + desc + data


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The four programs, each in a folder with the weights' file, rebuilt from the recipe."""
    folder = tmp_path_factory.mktemp("paddle")
    good("convert", "synthetic:HRNet_W18_C", folder / "w.safetensors", "--classes", 10)
    order = json.loads(lzma.decompress((DATA / "pdiparams_order.json.xz").read_bytes()))
    order = order if isinstance(order, list) else next(iter(order.values()))
    weights = tensors(folder / "w.safetensors")
    params = b"".join(record(*weights[name]) for name in order)
    assert len(params) == 77312804
    for name, file in FILES.items():
        (folder / name).mkdir()
        program = lzma.decompress((DATA / f"{name}_{file}.xz").read_bytes())
        (folder / name / file).write_bytes(program)
        (folder / name / "inference.pdiparams").write_bytes(params)
    return folder


def picture(size):
    """The recipe's input: splitmix64 over FNV-1a of its name (tests/data/paddle, recipe)."""
    count, h = 3 * size * size, 0xCBF29CE484222325
    for byte in f"input:1x{size}x{size}".encode():
        h = ((h ^ byte) * 0x100000001B3) & (1 << 64) - 1
    i = np.arange(1, count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = np.uint64(h) + i * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float64) / 2.0**24
    return (4 * u - 2).astype(np.float32).reshape(1, 3, size, size)


@pytest.mark.parametrize("name", FILES)
def test_paddles_own_programs_give_paddles_numbers(folder, name):
    for size, end in ((64, ""), (224, "_224")):
        got = logits(folder / name, picture(size), folder).ravel().astype(np.float64)
        if name.endswith("softmax"):
            want = np.array(EXPECTED[name]["probabilities" + end]).ravel()
            p = np.exp(got - got.max())
            assert np.abs(p / p.sum() - want).max() < 1e-5
        else:
            want = np.array(EXPECTED[name]["logits" + end]).ravel()
            assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()


def test_a_program_goes_where_a_model_goes(folder):
    program = folder / "legacy_jit"
    info = json.loads(good("info", program, "--json"))
    assert info["architecture"] == "HRNet_W18_C" and info["format"] == "Paddle program"
    assert info["recipe"]["name"] == "opencv-deploy"
    assert json.loads(good("info", folder / "pir_jit", "--json"))["format"] == "Paddle PIR program"
    good("convert", folder / "pir_jit", folder / "back.pdparams")
    x = picture(64)
    want = logits(folder / "w.safetensors", x, folder)
    for path in (program, program / "inference", program / "inference.pdmodel",
                 program / "inference.pdiparams", f"{program}/", folder / "pir_jit" / "inference.json",
                 folder / "back.pdparams"):
        assert np.array_equal(logits(path, x, folder), want), path
    assert "0 of 1627 tensors differ" in good("diff", program, folder / "pir_jit" / "inference")
    assert "conv_last" in good("plan", program, "--threads", 1)
    records = [json.loads(good("predict", CAT, "-m", m, "-f", "jsonl", "--recipe", "opencv"))
               for m in (program, folder / "w.safetensors")]
    assert records[0] == records[1]


def test_what_is_wrong_is_said(folder, tmp_path):
    bad(3, "holds no Paddle program", "info", tmp_path)
    source = folder / "legacy_jit"
    for name in ("inference.pdmodel", "inference.pdiparams"):
        shutil.copy(source / name, tmp_path)
    params = (source / "inference.pdiparams").read_bytes()
    (tmp_path / "inference.pdiparams").write_bytes(params[:-4])
    bad(3, "inference.pdiparams", "info", tmp_path)
    (tmp_path / "inference.pdiparams").write_bytes(params + b"\0\0\0\0")
    bad(3, "do not belong together", "info", tmp_path)
    program = (source / "inference.pdmodel").read_bytes()
    (tmp_path / "inference.pdiparams").write_bytes(params)
    (tmp_path / "inference.pdmodel").write_bytes(program.replace(b"\x1a\x04relu", b"\x1a\x04relx", 1))
    bad(3, "(relx): the operator relx is not supported; these are: feed, fetch, conv2d", "info", tmp_path)
    (tmp_path / "inference.pdmodel").write_bytes(program[:1000])
    bad(3, "no well-formed", "info", tmp_path)
    (tmp_path / "inference.pdmodel").unlink()
    (tmp_path / "inference.json").write_text('{"base_code": {"magic": "pir"}}')
    bad(3, "no PIR program", "info", tmp_path)
    (tmp_path / "inference.json").write_text("{")
    bad(3, "no JSON", "info", tmp_path)


@pytest.mark.parametrize("model", ["HRNet_W18_C", "SE_HRNet_W18_C"])
@pytest.mark.parametrize("ending", [".pdmodel", ".json"])
def test_what_is_written_is_the_model(folder, tmp_path, model, ending):
    source, x = tmp_path / "m.safetensors", picture(64)
    good("convert", f"synthetic:{model}", source, "--classes", 10)
    path = tmp_path / f"inference{ending}"
    assert "read back" in good("export", source, "-o", path, "--result", "softmax", "--free-size")
    assert np.array_equal(logits(tmp_path, x, tmp_path), logits(source, x, tmp_path))
    assert json.loads(good("info", tmp_path, "--json"))["architecture"] == model
    assert {p.name for p in tmp_path.iterdir()} == {"m.safetensors", path.name, "inference.pdiparams",
                                                    "x.npy", "y.npy"}
    if model == "HRNet_W18_C":  # to the byte what PaddlePaddle writes
        params = (folder / "legacy_jit" / "inference.pdiparams").read_bytes()
        assert (tmp_path / "inference.pdiparams").read_bytes() == params


@pytest.mark.parametrize("ending", [".pdmodel", ".json"])
def test_norms_multiplied_in_leave_convolutions_with_biases(tmp_path, ending):
    source, x = tmp_path / "m.safetensors", picture(64)
    good("convert", "synthetic:hrnet_w18_small", source, "--classes", 10)
    path = tmp_path / f"p{ending}"
    assert "read back" in good("export", source, "-o", path, "--fold", "--free-size")
    program = path.read_bytes()
    assert b"batch_norm" not in program and b"conv2d_0.b_0" in program
    want, got = logits(source, x, tmp_path), logits(path, x, tmp_path)
    assert 0 < np.abs(got - want).max() < 1e-5 * np.abs(want).max()
    assert json.loads(good("info", path, "--json"))["architecture"] == "hrnet_w18_small"


def optimised_params(folder):
    """What PaddlePaddle's optimiser makes of the weights: filters times the norms, biases under new names."""
    order = json.loads(lzma.decompress((DATA / "pdiparams_order.json.xz").read_bytes()))
    order = order if isinstance(order, list) else next(iter(order.values()))
    weights = {name: np.frombuffer(data, "<f4").reshape(shape).astype(np.float64)
               for name, (shape, data) in tensors(folder / "w.safetensors").items()}
    filters = sorted(range(325), key=str)  # as text, which is the order of the file
    params, biases = [], []
    for place, name in enumerate(name for name in order if name.endswith("conv.weight")):
        norm = name.replace("conv.weight", "bn.")
        scale = weights[norm + "weight"] / np.sqrt(weights[norm + "_variance"] + 1e-5)
        params.append(weights[name] * scale[:, None, None, None])
        biases.append((filters[place], weights[norm + "bias"] - weights[norm + "_mean"] * scale))
    params += [bias for _, bias in sorted(biases, key=lambda pair: str(pair[0]))]
    params += [weights["fc.bias"], weights["fc.weight"]]
    return b"".join(record(p.shape, p.astype("<f4").tobytes()) for p in params)


def test_what_paddles_optimiser_saves_gives_paddles_numbers(folder, tmp_path):
    """W18 as PaddlePaddle 3.3.1 saves it for oneDNN: fused_conv2d with bias, residual and ReLU, fc."""
    program = lzma.decompress((DATA / "optimised_onednn_inference.pdmodel.xz").read_bytes())
    (tmp_path / "inference.pdmodel").write_bytes(program)
    (tmp_path / "inference.pdiparams").write_bytes(optimised_params(folder))
    want = np.array(EXPECTED["legacy_jit"]["logits"]).ravel()
    got = logits(tmp_path, picture(64), tmp_path).ravel()
    assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()
    assert json.loads(good("info", tmp_path, "--json"))["architecture"] == "HRNet_W18_C"
    other = program.replace(b"\x0ffuse_activation\x10\x02\x2a\x04relu", b"\x0ffuse_activation\x10\x02\x2a\x04swis", 1)
    assert other != program
    (tmp_path / "inference.pdmodel").write_bytes(other)
    bad(3, "(fused_conv2d): its activation 'swis' is not supported", "info", tmp_path)


@pytest.mark.parametrize("name", ["branches", "branches_onednn", "squeeze_onednn"])
def test_small_optimised_programs_are_the_graphs_they_were_made_from(tmp_path, name):
    """Saved by PaddlePaddle 3.3.1 from what we exported: fc with ReLU and sigmoid, fused_elementwise_add."""
    x = np.random.default_rng(3).normal(size=(1, 3, 16, 16)).astype(np.float32)
    want = logits(TESTS / "fuzz" / "corpus" / "onnx" / f"{name.split('_')[0]}.onnx", x, tmp_path)
    assert np.array_equal(logits(DATA / "optimised" / f"{name}.pdmodel", x, tmp_path), want)


def test_what_cannot_be_written_is_said(folder, tmp_path):
    source = folder / "w.safetensors"
    bad(3, "ONNX only", "export", source, "-o", tmp_path / "x.pdmodel", "--half")
    bad(2, "no known suffix", "export", source, "-o", tmp_path / "x.pb")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".pdmodel", ".json"])
def test_biases_of_convolutions_are_written(tmp_path, ending):
    graph = TESTS / "fuzz" / "corpus" / "onnx" / "squeeze.onnx"
    good("export", graph, "-o", tmp_path / f"x{ending}", "--free-size")
    x = np.random.default_rng(3).normal(size=(1, 3, 16, 16)).astype(np.float32)
    assert np.array_equal(logits(tmp_path / f"x{ending}", x, tmp_path), logits(graph, x, tmp_path))


def fields(data):
    """(number, value) of a message without groups and fixed types."""
    out, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = number()
        value = number()
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        out.append((tag >> 3, value))
    return out


def test_folders_for_paddle_serving(folder, tmp_path):
    told = good("export", folder / "w.safetensors", "--serving", "-o", tmp_path / "w18", "--size", "64x96")
    assert "Paddle Serving, softmax" in told
    server, client = tmp_path / "w18_serving", tmp_path / "w18_client"
    assert sorted(f.name for f in server.iterdir()) == [
        "inference.pdiparams", "inference.pdmodel", "serving_server_conf.prototxt",
        "serving_server_conf.stream.prototxt"]
    assert sorted(f.name for f in client.iterdir()) == [
        "serving_client_conf.prototxt", "serving_client_conf.stream.prototxt"]
    text = (server / "serving_server_conf.prototxt").read_text()
    name = text.split("fetch_var")[1].split('"')[1]
    assert name.encode() in (server / "inference.pdmodel").read_bytes()
    assert text == (
        'feed_var {\n  name: "x"\n  alias_name: "inputs"\n  is_lod_tensor: false\n  feed_type: 1\n  shape: 3\n'
        '  shape: 64\n  shape: 96\n}\nfetch_var {\n  name: "%s"\n  alias_name: "prediction"\n'
        '  is_lod_tensor: false\n  fetch_type: 1\n  shape: 10\n}\n' % name)
    assert (client / "serving_client_conf.prototxt").read_text() == text
    stream = (client / "serving_client_conf.stream.prototxt").read_bytes()
    assert stream == (server / "serving_server_conf.stream.prototxt").read_bytes()
    (two, feed), (three, fetch) = fields(stream)
    assert (two, three) == (2, 3)
    assert fields(feed) == [(1, b"x"), (2, b"inputs"), (3, 0), (4, 1), (5, 3), (5, 64), (5, 96)]
    assert fields(fetch) == [(1, name.encode()), (2, b"prediction"), (3, 0), (4, 1), (5, 10)]
    x = np.random.default_rng(3).normal(size=(1, 3, 64, 96)).astype(np.float32)
    assert np.abs(logits(server, x, tmp_path) - logits(folder / "w.safetensors", x, tmp_path)).max() < 1e-3
    bad(4, "exists", "export", folder / "w.safetensors", "--serving", "-o", tmp_path / "w18")
    good("export", folder / "w.safetensors", "--serving", "-o", tmp_path / "w18", "--force", "--free-size",
         "--result", "logits")
    text = (server / "serving_server_conf.prototxt").read_text()
    assert text.count("shape:") == 2 and "  shape: 3\n" in text
    bad(2, "prefix", "export", folder / "w.safetensors", "--serving", "-o", tmp_path / "w18.onnx")
