# SPDX-License-Identifier: Apache-2.0
"""Weights that do not fit, and files that lie: nothing is ever loaded wrongly in silence.

The cases are those of users.md C10, and our own file damaged in every way that one can write."""
import json
import os
import pathlib
import pickle
import struct
import subprocess

import numpy as np
import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
PICTURE = pathlib.Path(os.environ["HRNET_TESTS"]) / "data" / "pictures" / "one.png"
SIZE = ("--size", 64)


def run(*args):
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], "HRNET_PROGRESS": "none"})


def predict(path, *more):
    return run("predict", PICTURE, "-m", path, "-f", "jsonl", *SIZE, *more)


def refused(result, *words, code=3):
    assert result.returncode == code and result.stdout == "", (result.stdout, result.stderr)
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr, (word, result.stderr)


def convert(source, target, *more):
    result = run("convert", source, target, *more)
    assert result.returncode == 0, result.stderr
    return target


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The small network with 102 classes in every format, with recipe and self test."""
    folder = tmp_path_factory.mktemp("weights")
    own = convert("synthetic:hrnet_w18_small", folder / "own.safetensors", "--classes", 102)
    return {"own": own, "paddle": convert(own, folder / "p.pdparams"),
            "torch": convert(own, folder / "t.pth"),
            "plain": convert(own, folder / "s.safetensors", "--to", "safetensors")}


def rewrite(source, target, change):
    data = pickle.loads(source.read_bytes())
    data.pop("StructuredToParameterName@@")
    change(data)
    target.write_bytes(pickle.dumps(data, protocol=4))
    return target


@pytest.mark.parametrize("kind", ["own", "paddle", "torch", "plain"])
def test_c10_a_b_class_counts(files, kind):
    """102 classes by default, 1000 asked for: the file's, or a refusal with both shapes."""
    record = json.loads(predict(files[kind], "-k", 999).stdout)
    assert len(record["class_ids"]) == 102 and abs(sum(record["scores"]) - 1) < 1e-5
    assert predict(files[kind], "--classes", 102).returncode == 0
    turned = kind in ("torch", "plain")
    refused(predict(files[kind], "--classes", 1000),
            "classifier.weight" if turned else "fc.weight",
            "[102,2048]" if turned else "[2048,102]", "[1000,2048]" if turned else "[2048,1000]")


def test_c10_c_another_network(files):
    refused(run("predict", PICTURE, "-m", "HRNet_W48_C", "-w", files["torch"]),
            "the file holds hrnet_w18_small, but HRNet_W48_C was asked for",
            "[32,64,1,1], wanted [64,64,1,1]", "use -m hrnet_w18_small")


def test_c10_f_g_mistyped_and_missing(files):
    refused(predict(files["own"], "--clases", 1000), "--classes", code=2)
    refused(predict("/no/such/file.pdparams"), "/no/such/file.pdparams")


def test_c10_h_prefixes(files, tmp_path):
    want = predict(files["paddle"]).stdout
    for prefix in ("module.", "Student.", "backbone."):
        def wrap(d):
            for k in list(d):
                d[prefix + k] = d.pop(k)
        path = rewrite(files["paddle"], tmp_path / "w.pdparams", wrap)
        assert predict(path).stdout == want
        assert f"prefix {prefix}" in run("info", path).stdout


def test_c10_i_a_fresh_head(files, tmp_path):
    result = run("convert", files["paddle"], tmp_path / "five.safetensors", "--replace-head", 5)
    assert "body complete, head replaced (102 -> 5 classes)" in result.stdout
    refused(predict(tmp_path / "five.safetensors"), "head of 5 classes is untrained")


def test_c10_alarm_of_nearly_equal_scores(files, tmp_path):
    """A head that tells nothing apart, though neither zero nor marked, does not verify."""
    def flatten(d):
        d["fc.weight"] = d["fc.weight"] * np.float32(1e-6)
        d["fc.bias"] = d["fc.bias"] * 0
    path = rewrite(files["paddle"], tmp_path / "flat.pdparams", flatten)
    result = run("verify", convert(path, tmp_path / "flat.safetensors"))
    assert result.returncode == 3 and "every class gets nearly the same score" in result.stderr


def test_what_is_ignored_is_told(files, tmp_path):
    def more(d):
        d["fc.weight_velocity_0"] = np.zeros_like(d["fc.weight"])
        d["conv_last.bn.bias_moment1_0"] = np.zeros(3, "f4")
        d["Teacher.fc.bias"] = d["fc.bias"]
    path = rewrite(files["paddle"], tmp_path / "more.pdparams", more)
    assert predict(path).stdout == predict(files["paddle"]).stdout
    info = json.loads(run("info", path, "--json").stdout)
    assert info["ignored"] == 3
    assert "2 of an optimizer (first fc.weight_velocity_0), 1 others (first Teacher.fc.bias)" \
        in info["verdict"]


# ---- Our own file, damaged ----

def parts(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + size]), data[8 + size:]


def put(path, header, body):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


LIES = [  # key, value, what the refusal says
    ("version", "2", "format version 2"),
    ("architecture", "HRNet_W18_C", "HRNet_W18_C"),
    ("architecture", "nonsense", "nonsense"),
    ("classes", "1000", "1000"),
    ("precision", "int8", "int8"),
    ("fuse_order", "random", "random"),
    ("recipe", "{", "recipe"),
    ("recipe", '{"resize":"magic"}', "resize"),
    ("recipe", '{"colour":"blue"}', "colour"),
    ("recipe", '{"crop_width":225}', "225"),
    ("recipe", '{"deviation":[0,1,1]}', "deviation"),
    ("labels", '["a","b"]', "2 labels"),
    ("labels", "[1]", "labels"),
    ("labels", "{}", "labels"),
    ("self_test", "[1,2,3]", "self_test"),
    ("self_test", "[" + ",".join(["null"] * 102) + "]", "self_test"),
    ("self_test", "zero", "self_test"),
]


@pytest.mark.parametrize("key,value,word", LIES)
def test_metadata_that_lies_is_refused(files, tmp_path, key, value, word):
    header, body = parts(files["own"])
    assert key == "labels" or "hrnet." + key in header["__metadata__"]
    header["__metadata__"]["hrnet." + key] = value
    path = put(tmp_path / "lie.safetensors", header, body)
    refused(predict(path), "lie.safetensors", word)
    refused(run("info", path), "lie.safetensors", word)


def test_verify_finds_every_change(files, tmp_path):
    header, body = parts(files["own"])
    bad = tmp_path / "bad.safetensors"
    assert run("verify", put(bad, header, body)).returncode == 0

    def fails(word, change_header=None, change_body=None):
        h, b = json.loads(json.dumps(header)), bytearray(body)
        if change_header:
            change_header(h["__metadata__"])
        if change_body:
            change_body(b)
        result = run("verify", put(bad, h, bytes(b)))
        assert result.returncode == 3 and "FAIL" in result.stdout and word in result.stderr, result

    fails("checksum", lambda m: m.update({"hrnet.checksum": "0" * 64}))
    fails("self test", lambda m: m.update({"hrnet.self_test": json.dumps(
        [x + 1.0 * (i == 3) for i, x in enumerate(json.loads(m["hrnet.self_test"]))])}))
    fails("stores no checksum", lambda m: m.pop("hrnet.checksum"))
    fails("stores no self test", lambda m: m.pop("hrnet.self_test"))
    for at in range(0, len(body), len(body) // 9):  # the lowest bit of a fraction: no NaN
        def flip(b, at=at - at % 4):
            b[at] ^= 1
        fails("checksum", None, flip)


@pytest.mark.parametrize("kind", ["own", "paddle", "torch", "plain"])
def test_every_cut_is_refused(files, tmp_path, kind):
    data, cut = files[kind].read_bytes(), tmp_path / files[kind].name
    trailer = len(data) - data.index(b"\x80\x04}X\x0a\0\0\0hrnet.json") if kind == "paddle" else 0
    for size in [*range(0, len(data), len(data) // 23), len(data) - 1, len(data) - trailer + 20]:
        if size > len(data):
            continue
        cut.write_bytes(data[:size])
        refused(run("info", cut), cut.name)
