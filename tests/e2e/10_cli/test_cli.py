# SPDX-License-Identifier: Apache-2.0
"""The program as people use it: every command, streams, exit codes, bad input."""
import csv
import io
import json
import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
PICTURES = TESTS / "data" / "pictures"
CAT = PICTURES / "cat_420.jpg"


def run(*args, **more):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent",
                   "HRNET_PROGRESS": "none", **more.pop("env", {})}
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, env=environment,
                          text=more.pop("text", True), **more)


def fail(code, *words, result):
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    for word in words:
        assert word in result.stderr, (word, result.stderr)
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """W18 with 1000 classes and the small network with 5, weights by the golden recipe."""
    folder = tmp_path_factory.mktemp("models")
    for name, path, more in (("HRNet_W18_C", "w18.safetensors", []),
                             ("hrnet_w18_small", "small.safetensors", ["--classes", "5"])):
        result = run("convert", f"synthetic:{name}", folder / path, *more)
        assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="session")
def w18(models):
    return models / "w18.safetensors"


@pytest.fixture(scope="session")
def small(models):
    return models / "small.safetensors"


# ---- the main job ----

def test_the_originals_answers_for_every_picture(w18):
    """PaddleClas's whole path: top five of 28 pictures, scores within float32 rounding."""
    want = json.loads((TESTS / "data" / "expected_cli_W18_1000.json").read_text())["pictures"]
    result = run("predict", "-m", w18, "--recipe", "opencv-deploy", "--format", "json", "-b", 4,
                 *[PICTURES / name for name in want])
    assert result.returncode == 0, result.stderr
    records = json.loads(result.stdout)["results"]
    assert len(records) == len(want) >= 28
    for record, (name, answer) in zip(records, want.items()):
        assert pathlib.Path(record["filename"]).name == name
        assert record["class_ids"] == answer["class_ids"], name
        assert np.abs(np.array(record["scores"]) - answer["scores"]).max() < 2e-5, name


def test_formats_agree(w18):
    pictures = [CAT, PICTURES / "gray16.png", PICTURES / "rocket.webp"]
    as_json = json.loads(run("predict", "-m", w18, "-f", "json", *pictures).stdout)["results"]
    lines = run("predict", "-m", w18, "-f", "jsonl", *pictures).stdout.splitlines()
    assert [json.loads(line) for line in lines] == as_json
    for kind, dialect in (("csv", "excel"), ("tsv", "excel-tab")):
        text = run("predict", "-m", w18, "-f", kind, *pictures).stdout
        rows = list(csv.DictReader(io.StringIO(text), dialect=dialect))
        assert [r["filename"] for r in rows] == [r["filename"] for r in as_json]
        for row, record in zip(rows, as_json):
            for i in range(5):
                assert int(row[f"class_id_{i + 1}"]) == record["class_ids"][i]
                assert row[f"label_name_{i + 1}"] == record["label_names"][i]
                assert abs(float(row[f"score_{i + 1}"]) - record["scores"][i]) < 1e-6
    text = run("predict", "-m", w18, *pictures).stdout
    assert text.count(" %  ") == 15 and as_json[0]["label_names"][0] in text
    line = run("predict", "-m", w18, "--paddleclas", CAT).stdout
    assert line.startswith("class_ids: [") and line.rstrip().endswith(f"filename: {CAT}")


def test_same_bits_for_any_batch_and_threads(w18):
    want = None
    for batch in (1, 3, 8):
        for threads in (1, 2):
            got = run("predict", "-m", w18, "-f", "jsonl", "-b", batch, "-t", threads,
                      *sorted(PICTURES.glob("cat*.jpg"))).stdout
            want = want or got
            assert got == want


def test_bad_pictures_are_records_and_the_rest_goes_on(w18, tmp_path):
    """users.md C6: five good pictures, an empty file, a cut JPEG, a text file."""
    good = ["cat_420.jpg", "gray.jpg", "one.png", "small.bmp", "rocket.webp"]
    for i, name in enumerate(good):
        shutil.copy(PICTURES / name, tmp_path / f"{2 * i}_{name}")
    (tmp_path / "1_empty.jpg").write_bytes(b"")
    (tmp_path / "3_text.jpg").write_text("this is no picture\n")
    data = CAT.read_bytes()
    (tmp_path / "5_cut.jpg").write_bytes(data[:len(data) * 6 // 10])
    result = run("predict", "-m", w18, "-f", "json", "-b", 4, tmp_path)
    assert result.returncode == 1
    records = json.loads(result.stdout)["results"]
    names = [pathlib.Path(r["filename"]).name for r in records]
    assert len(records) == 8 and names == sorted(names)
    errors = {pathlib.Path(r["filename"]).name: r["error"] for r in records if "error" in r}
    assert set(errors) == {"1_empty.jpg", "3_text.jpg"}
    assert "empty" in errors["1_empty.jpg"] and "text" in errors["3_text.jpg"]
    cut = next(r for r in records if r["filename"].endswith("5_cut.jpg"))
    assert "warning" in cut and cut["class_ids"]
    for record in records:
        if record["filename"].split("_", 1)[1] in good:
            alone = json.loads(run("predict", "-m", w18, "-f", "jsonl", record["filename"]).stdout)
            assert alone == record
    strict = run("predict", "-m", w18, "-f", "jsonl", "--strict", tmp_path / "5_cut.jpg", CAT)
    assert strict.returncode == 1 and "truncated" in strict.stdout
    assert len(strict.stdout.splitlines()) == 1


def test_inputs_of_every_kind(small, tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("img10.png", "img2.png", "sub/img1.png", "b a.png", "图片.png", ".hidden.png"):
        shutil.copy(PICTURES / "one.png", tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")

    def names(*args, **more):
        out = run("predict", "-m", small, "-f", "jsonl", *args, **more)
        assert out.returncode == 0, out.stderr
        return [json.loads(line)["filename"] for line in out.stdout.splitlines()]

    folder = [str(tmp_path / n) for n in ("b a.png", "img2.png", "img10.png", "sub/img1.png",
                                          "图片.png")]
    assert names(tmp_path) == folder
    assert names(str(tmp_path / "img*.png")) == folder[1:3]
    listed = "\n".join(folder[:3]) + "\r\n"
    assert names("--files-from", "-", input=listed) == folder[:3]
    assert names("--files-from", "-", "-0", input="\0".join(folder)) == folder
    raw = subprocess.run([PROGRAM, "predict", "-m", small, "-f", "jsonl", "-"],
                         input=CAT.read_bytes(), capture_output=True)
    assert json.loads(raw.stdout)["filename"] == "-"
    fail(4, "no file matches", result=run("predict", "-m", small, str(tmp_path / "*.gif")))
    fail(2, "no pictures", result=run("predict", "-m", small, tmp_path / "sub" / ".."
                                      / "sub" / "empty") if (tmp_path / "sub" / "empty").mkdir()
         is None else None)


def test_top_and_threshold(small):
    one = PICTURES / "one.png"

    def record(*args):
        return json.loads(run("predict", "-m", small, "-f", "jsonl", one, *args).stdout)

    assert len(record("-k", 50)["class_ids"]) == 5
    assert len(record("-k", 2)["class_ids"]) == 2
    assert abs(sum(record("-k", 5)["scores"]) - 1) < 1e-6
    best = record("-k", 1)["scores"][0]
    assert record("--threshold", best + 0.01)["class_ids"] == []
    for bad in ("0", "-1", "five", "1.5", ""):
        fail(2, "--top", result=run("predict", "-m", small, one, "--top", bad))


def test_labels(small, tmp_path):
    one = PICTURES / "one.png"
    labels = tmp_path / "labels.txt"
    labels.write_bytes(b"\xef\xbb\xbf0 tench, Tinca\r\n1 crane\r\n2 crane\r\n3 x\r\n4 y\r\n")
    record = json.loads(run("predict", "-m", small, "--labels", labels, "-f", "jsonl", one).stdout)
    assert set(record["label_names"]) == {"tench, Tinca", "crane", "x", "y"}
    labels.write_text("a\nb\nc\nd\n")
    fail(3, "4 labels", "5 classes", result=run("predict", "-m", small, "--labels", labels, one))
    labels.write_text("0 a\n1 b\n1 c\n3 d\n4 e\n")
    fail(3, "labels.txt", "3", result=run("predict", "-m", small, "--labels", labels, one))


def test_features_and_copies(w18, tmp_path):
    result = run("predict", "-m", w18, "--features", "stage4.0,pool,logits", "--features-dir",
                 tmp_path / "f", "--save-dir", tmp_path / "s", "-f", "jsonl", CAT,
                 PICTURES / "one.png", "-b", 2)
    assert result.returncode == 0, result.stderr
    maps = np.load(tmp_path / "f" / "cat_420.jpg.npz")
    assert maps["stage4.0"].shape == (1, 18, 56, 56) and maps["pool"].shape == (1, 2048)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert int(maps["logits"].argmax()) == records[0]["class_ids"][0]
    copy = tmp_path / "s" / str(records[0]["class_ids"][0]) / "cat_420.jpg"
    assert copy.read_bytes() == CAT.read_bytes()
    fail(3, "stage4.4", "did you mean", result=run(
        "predict", "-m", w18, "--features", "stage4.4", "--features-dir", tmp_path, CAT))


# ---- tensors ----

def test_preprocess_then_run_is_predict(w18, tmp_path):
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    assert run("preprocess", CAT, "-o", x).returncode == 0
    assert np.load(x).shape == (1, 3, 224, 224)
    assert run("run", w18, "--input", x, "--output", y).returncode == 0
    logits = np.load(y)[0]
    record = json.loads(run("predict", "-m", w18, "-f", "jsonl", CAT).stdout)
    assert list(np.argsort(-logits)[:5]) == record["class_ids"]
    np.save(x, np.zeros((3, 3, 64, 32), dtype="f8"))
    assert run("run", w18, "-i", x, "-o", y, "--output-name", "incre.3").returncode == 0
    assert np.load(y).shape == (3, 1024, 2, 1)
    np.save(x, np.zeros((1, 3, 225, 224), dtype="f4"))
    fail(3, "225", "224 and 253", result=run("run", w18, "-i", x, "-o", y))
    np.save(x, np.zeros((1, 1, 32, 32), dtype="f4"))
    fail(4, "[1,1,32,32]", result=run("run", w18, "-i", x, "-o", y))


def test_preprocess_png_and_recipes(tmp_path):
    out = tmp_path / "x.png"
    for recipe in ("opencv", "pillow", "pillow-bicubic"):
        assert run("preprocess", CAT, "-o", out, "--recipe", recipe).returncode == 0
        assert out.read_bytes().startswith(b"\x89PNG")
    assert run("preprocess", CAT, "-o", tmp_path / "x.npy", "--size", "256x192", "--crop-ratio",
               "0.9", "--mean", "0,0,0", "--deviation", "1,1,1", "--scale", "1").returncode == 0
    x = np.load(tmp_path / "x.npy")
    assert x.shape == (1, 3, 256, 192) and x.max() <= 255 and x.max() > 100
    fail(2, "--mean", result=run("preprocess", CAT, "-o", out, "--mean", "1,2"))
    fail(4, "pixels", "limit", result=run("preprocess", CAT, "-o", out, "--max-pixels", "1000"))


# ---- models ----

def test_info_verify_models_plan_bench(w18):
    info = json.loads(run("info", w18, "--json").stdout)
    assert info["architecture"] == "HRNet_W18_C" and info["classes"] == 1000
    assert (info["parameters"], info["parameters_page"], info["parameters_stored"]) == \
        (21295164, 21294164, 21346380)
    assert info["multiply_adds"] == 4283537072 and info["tensors"] == 1627
    text = run("info", w18).stdout
    for word in ("4.284 G", "3.99", "8.57 GFLOPs", "complete", "opencv", info["checksum"]):
        assert word in text
    start = time.monotonic()
    assert "pass" in run("verify", w18).stdout
    assert time.monotonic() - start < 10
    assert "HRNet_W18_C_ssld" in run("models").stdout
    names = json.loads(run("models", "--json").stdout)
    assert len(names["architectures"]) == 18
    plan = json.loads(run("plan", "HRNet_W48_C", "--json", "-t", 1).stdout)
    assert sum(s["multiply_adds"] for s in plan["steps"]) == 17277996032
    assert sum(s["at_peak"] for s in plan["steps"]) == 1
    bench = run("bench", "hrnet_w18_small", "--size", 64, "-d", 0.1, "--warmup", 0.1, "--json",
                "--logits")
    line = json.loads(bench.stdout.splitlines()[-1])
    assert 0 < line["min_ms"] <= line["median_ms"] <= line["p95_ms"]
    assert len(line["logits"]) == 1000


def test_tune_is_remembered_and_harmless(tmp_path):
    env = {"HRNET_CACHE": str(tmp_path / "new" / "cache")}
    small = ("hrnet_w18_small", "--size", 64)
    table = run("tune", *small, env=env).stdout
    assert "shapes changed" in table
    kept = pathlib.Path(table.splitlines()[-1])
    assert kept.parent == tmp_path / "new" / "cache" and kept.read_text().startswith("hrnet-tuning 1")
    kernels = lambda **more: [s["kernel"] for s in json.loads(run("plan", *small, "-t", 1, "--json", **more).stdout)["steps"]]
    plain = kernels(env={**env, "HRNET_TUNING": "none"})
    assert plain == kernels(env={"HRNET_CACHE": str(tmp_path / "none")})
    rows = [line.split() for line in kept.read_text().splitlines()[2:-1]]
    assert {row[7] for row in rows} <= set(kernels(env=env))
    kept.write_text("hrnet-tuning 1\nsum 0\n")
    result = run("plan", *small, "-t", 1, "--json", env=env)
    assert result.returncode == 0 and "hrnet tune" in result.stderr
    assert [s["kernel"] for s in json.loads(result.stdout)["steps"]] == plain
    other = tmp_path / "here.txt"
    assert run("tune", *small, "--file", other, "--cpu", "baseline").returncode == 0 and other.exists()
    fail(4, "locked", result=run("tune", *small, "--file", tmp_path / "no" / "folder"))


def test_plan_foretells_more_threads():
    line = json.loads(run("plan", "hrnet_w18_small", "--size", 64, "--simulate-threads", "1,4,16", "--json").stdout)
    rows = line["simulated"]
    assert [row["threads"] for row in rows] == [1, 4, 16]
    assert abs(rows[0]["steps"]["ms"] / line["one_thread_ms"] - 1) < 1e-6
    assert rows[2]["waves"]["waves"] < rows[2]["steps"]["waves"]
    assert all(0 <= row[order]["idle"] < 1 for row in rows[1:] for order in ("steps", "waves"))
    text = run("plan", "hrnet_w18_small", "--size", 64, "--simulate-threads", 8).stdout
    assert "branches side by side" in text and text.splitlines()[-1].split()[0] == "8"
    for wrong in ("0", "4,", "4,x", "1025", "4 8"):
        fail(2, "--simulate-threads", result=run("plan", "hrnet_w18_small", "--simulate-threads", wrong))


def test_bench_layers_and_chart(tmp_path):
    svg = tmp_path / "steps.svg"
    result = run("bench", "hrnet_w18_small", "--size", 32, "-d", 0.1, "--layers", "--svg", svg)
    assert result.returncode == 0 and "sum of the steps" in result.stdout
    assert svg.read_text().startswith("<svg") and "conv_layer1_1" in svg.read_text()
    quick = ("bench", "hrnet_w18_small", "--size", 32, "-d", 0.1, "-t", 1, "--layers")
    line = json.loads(run(*quick, "--json").stdout)
    layers = line["layers"]
    assert line["memory_gbytes"] > 0 and line["cache_gbytes"] > 0 and line["whole_ms"] > 0
    assert abs(sum(l["us"] for l in layers) / 1e3 / line["sum_ms"] - 1) < 1e-6
    assert all(l["bound_us"] > 0 and l["flag"] == (l["reached"] < 0.7) for l in layers)
    assert {l["bound_by"] for l in layers} == {"arithmetic", "weights", "data"}
    for l in layers: # transforms cost less than Winograd saves
        assert l["work"] == l["multiply_adds"] if "winograd" not in l["kernel"] else 0 < l["work"] < l["multiply_adds"]
    rows = list(csv.DictReader(io.StringIO(run(*quick, "--csv").stdout)))
    assert [row["layer"] for row in rows] == [l["name"] for l in layers]
    fail(2, "--csv", result=run(*quick, "--csv", "--json"))
    fail(2, "--csv", result=run("bench", "hrnet_w18_small", "--csv"))


def test_conversions_keep_the_answer(w18, tmp_path):
    x = tmp_path / "x.npy"
    np.save(x, np.random.default_rng(1).standard_normal((1, 3, 64, 64)).astype("f4"))
    assert run("run", w18, "-i", x, "-o", tmp_path / "want.npy").returncode == 0
    want = np.load(tmp_path / "want.npy")
    for path, more in (("a.pdparams", []), ("a.pth", []), ("t.safetensors", ["--to", "safetensors"]),
                       ("b.safetensors", [])):
        assert run("convert", w18, tmp_path / path, *more).returncode == 0
        assert run("run", tmp_path / path, "-i", x, "-o", tmp_path / "y.npy").returncode == 0
        got = np.load(tmp_path / "y.npy")
        assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max(), path
    fail(4, "exists", "--force", result=run("convert", w18, tmp_path / "a.pth"))
    schemes = {p: json.loads(run("info", tmp_path / p, "--json").stdout)["scheme"]
               for p in ("a.pdparams", "a.pth", "t.safetensors")}
    assert schemes == {"a.pdparams": "Paddle 2.1", "a.pth": "Microsoft", "t.safetensors": "timm"}


def test_conversions_keep_the_recipe(models, tmp_path):
    """The answer of a picture is the same through every chain of formats."""
    def answer(path):
        return run("predict", PICTURES / "coffee.png", "-m", path, "-f", "jsonl").stdout

    for recipe in ("opencv-deploy", "pillow", "pillow-bicubic"):
        source = tmp_path / f"{recipe}.safetensors"
        assert run("convert", models / "small.safetensors", source, "--recipe", recipe,
                   "--size", 64, "--mean", "0.5,0.4,0.3").returncode == 0
        want = answer(source)
        for chain in (("a.pth", "b.pdparams", "c.safetensors"), ("d.pdparams", "e.pth", "f.bin"),
                      ("g.safetensors", "h.pth")):
            last = source
            for name in chain:
                more = ["--to", "safetensors"] if name == "g.safetensors" else []
                path = tmp_path / f"{recipe}-{name}"
                assert run("convert", last, path, *more).returncode == 0
                assert answer(path) == want, (recipe, name)
                info = json.loads(run("info", path, "--json").stdout)
                assert info["recipe"]["name"] == recipe and info["recipe"]["crop_width"] == 64
                assert run("verify", path).returncode == 0
                last = path


def test_an_untrained_head_predicts_nothing(models, tmp_path):
    small = models / "small.safetensors"
    for name in ("h.safetensors", "h.pdparams", "h.pth"):
        path = tmp_path / name
        result = run("convert", small, path, "--replace-head", 7)
        assert result.returncode == 0 and "head replaced (5 -> 7 classes)" in result.stdout
        info = json.loads(run("info", path, "--json").stdout)
        assert info["head_untrained"] and info["classes"] == 7
        assert "head is untrained" in info["verdict"]
        assert "untrained" in run("info", path).stdout
        fail(3, "head of 7 classes is untrained", result=run("predict", CAT, "-m", path))
        np.save(tmp_path / "x.npy", np.zeros((1, 3, 32, 32), "f4"))
        fail(3, "untrained", result=run("run", path, "-i", tmp_path / "x.npy", "-o",
                                        tmp_path / "y.npy"))
        result = run("verify", path)
        assert result.returncode == 3 and "FAIL" in result.stdout and "untrained" in result.stderr
        assert run("plan", path).returncode == 0
    # Whoever wrote the zeros: a file without our metadata is no better.
    rewrite(tmp_path / "h.pdparams", tmp_path / "z.pdparams", lambda d: None)
    assert b"hrnet.json" not in (tmp_path / "z.pdparams").read_bytes()
    fail(3, "untrained", result=run("predict", CAT, "-m", tmp_path / "z.pdparams"))


def rewrite(source, target, change):
    data = pickle.loads(source.read_bytes())
    data.pop("StructuredToParameterName@@", None)
    change(data)
    target.write_bytes(pickle.dumps(data, protocol=4))


def test_weights_that_do_not_fit(w18, small, tmp_path):
    """users.md C10: nothing is ever predicted with weights that did not match."""
    source = tmp_path / "w.pdparams"
    assert run("convert", w18, source).returncode == 0
    bad = tmp_path / "bad.pdparams"

    def check(change, *words):
        rewrite(source, bad, change)
        fail(3, *words, result=run("predict", CAT, "-m", bad))

    def drop(d):
        del d["st3.stage_func_list.0.basic_block_list.1.2.conv1.conv.weight"]

    check(drop, "st3.stage_func_list.0.basic_block_list.1.2.conv1.conv.weight", "1 missing")
    check(lambda d: d.update({"fc.weight": d["fc.weight"][:, :7]}), "fc.bias", "[1000]")
    check(lambda d: d["conv_last.bn.weight"].__setitem__(3, np.nan), "conv_last.bn.weight", "NaN")
    check(lambda d: d.update({"fc.extra": np.zeros(3, "f4")}), "1 extra")
    check(lambda d: [d.pop(k) for k in list(d) if "layer1" in k], "conv_layer1_1.conv.weight is "
          "missing (wanted [64,3,3,3])")
    check(lambda d: [d.pop(k) for k in list(d) if not k.startswith("layer1")], "no HRNet's", "stem")
    fail(3, "HRNet_W48_C", "HRNet_W18_C", "[18,256,3,3]", "[48,256,3,3]",
         result=run("predict", CAT, "-m", "HRNet_W48_C", "-w", w18))
    fail(3, "SE_HRNet_W18_C", "missing", result=run("predict", CAT, "-m", "SE_HRNet_W18_C", "-w", w18))
    fail(3, "[2048,5]", "[2048,1000]", result=run("predict", CAT, "-m", small, "--classes", 1000))
    fail(3, "/no/such.pdparams", result=run("predict", CAT, "-m", "/no/such.pdparams"))
    fail(2, "replace-head", result=run("predict", CAT, "-m", small, "--replace-head", 3))
    rewrite(source, bad, lambda d: [d.__setitem__("module." + k, d.pop(k)) for k in list(d)])
    result = run("info", bad)
    assert result.returncode == 0 and "complete" in result.stdout and "module." in result.stdout
    rewrite(source, bad, lambda d: d.update(
        {"fc.weight": d["fc.weight"][:, :102], "fc.bias": d["fc.bias"][:102]}))
    record = json.loads(run("predict", CAT, "-m", bad, "-k", 999, "-f", "jsonl").stdout)
    assert len(record["class_ids"]) == 102 and record["label_names"][0] == ""
    result = run("convert", w18, tmp_path / "five.safetensors", "--replace-head", 5)
    assert result.returncode == 0 and "head replaced (1000 -> 5 classes)" in result.stdout


def test_damaged_model_file(small, tmp_path):
    data = bytearray(small.read_bytes())
    data[-1000] ^= 0x10
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(data)
    result = run("verify", bad)
    assert result.returncode == 3 and "FAIL" in result.stdout and "checksum" in result.stderr
    bad.write_bytes(data[:len(data) // 2])
    fail(3, "bad.safetensors", result=run("verify", bad))


# ---- the program itself ----

def test_help_and_version():
    for command in ("predict", "run", "preprocess", "info", "verify", "models", "convert", "pull",
                    "plan", "bench", "tune", "completion", "help", "version"):
        result = run(command, "--help")
        assert result.returncode == 0 and "Usage: hrnet " + command in result.stdout
        assert "Examples:\n  " in result.stdout
        assert run("help", command).stdout == result.stdout
    assert "predict" in run("help").stdout and run("--version").stdout.startswith("hrnet 0.")


def test_usage_errors(small):
    fail(2, "did you mean predict", result=run("pedict"))
    fail(2, "did you mean --batch", result=run("predict", "--bacth", 2))
    fail(2, "--batch", "1 to 1024", result=run("predict", "-b", 0, CAT))
    fail(2, "--format", result=run("predict", "-f", "xml", CAT))
    fail(2, "needs", result=run("run"))
    fail(2, "HRNET_BATCH", result=run("predict", CAT, "-m", small, env={"HRNET_BATCH": "x"}))
    assert run().returncode == 2


def test_odd_operands(small, tmp_path):
    """One line that names the thing, whatever it is."""
    one = PICTURES / "one.png"
    empty = tmp_path / "empty"
    empty.touch()
    for command in (["info"], ["verify"], ["plan"], ["bench"], ["predict", one, "-m"]):
        fail(3, str(tmp_path), "folder", result=run(*command, tmp_path))
        fail(4, "/dev/null", "regular", result=run(*command, "/dev/null"))
        fail(3, "empty", result=run(*command, empty))
        fail(3, "no such file", result=run(*command, tmp_path / "none.pth"))
        fail(3, "no such file", "did you mean HRNet_W18_C", result=run(*command, "HRNet_W19_C"))
        fail(2, "empty", result=run(*command, ""))
    fail(2, "empty", result=run("predict", "", "-m", small))
    fail(2, "x.gif", "x.png", result=run("preprocess", one, "-o", tmp_path / "x.gif"))
    fail(2, "--threshold", "0 to 1", result=run("predict", one, "-m", small, "--threshold", "50"))
    for line in ([small, "--nonsense"], ["--nonsense", small]):
        fail(2, "flag '--nonsense'", result=run("bench", *line))
    fail(2, "flag '-Z'", result=run("bench", small, "-Z"))
    fail(2, "flag '--json'", result=run("bench", small, "--json=3"))
    fail(2, "--duration", result=run("bench", small, "-d", "-1"))
    fail(2, "http://", result=run("pull", "HRNet_W18_C", "--mirror", "/some/where",
                                  env={"HRNET_CACHE": str(tmp_path)}))


def test_outputs_that_cannot_be_written(small, tmp_path):
    """A missing folder, a folder, a full device: one line, status 4, and nothing half written."""
    one = PICTURES / "one.png"
    x = tmp_path / "x.npy"
    assert run("preprocess", one, "-o", x).returncode == 0
    (tmp_path / "folder").mkdir()
    before = sorted(p.name for p in tmp_path.iterdir())
    for output in ("/nonexistent/x", tmp_path / "folder", "/dev/full"):
        for command in (["preprocess", one, "-o"], ["run", small, "-i", x, "-o"],
                        ["predict", one, "-m", small, "-o"], ["convert", small, "--force", "--to", "pth"]):
            fail(4, str(output), result=run(*command, output))
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    for command in (f"preprocess '{one}' -o -", f"run '{small}' -i '{x}' -o -", "help", "models",
                    f"predict '{one}' -m '{small}'"):
        # The pipe's reader is gone before the program starts, or it might finish first.
        for sink, code, lines in (("3> /dev/full", 4, 1), ("3> >(true); wait $!", 141, 0)):
            result = subprocess.run(f"exec {sink}; '{PROGRAM}' {command} >&3", shell=True,
                                    executable="/bin/bash", capture_output=True, text=True)
            assert result.returncode == code, (command, sink, result)
            assert len(result.stderr.splitlines()) == lines, (command, sink, result)


def test_output_is_replaced_whole(small, tmp_path):
    one, out = PICTURES / "one.png", tmp_path / "out.csv"
    out.write_text("old")
    assert run("predict", one, "-m", small, "-f", "csv", "-o", out).returncode == 0
    assert out.read_text().startswith("filename,")
    out.write_text("old")
    assert run("predict", one, "-m", small, "-o", out, "--save-dir", "/dev/null/x").returncode == 4
    assert out.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    assert run("predict", one, "-m", small, "-f", "jsonl", "-o", "-").stdout.startswith("{")


def test_environment_and_precedence(small):
    one = PICTURES / "one.png"
    def count(*args, **env):
        out = run("predict", one, "-f", "jsonl", *args, env={"HRNET_MODEL": str(small), **env})
        return len(json.loads(out.stdout)["class_ids"])
    assert count(HRNET_TOP="2") == 2
    assert count("-k", 3, HRNET_TOP="2") == 3


def test_no_model_says_how_to_get_one():
    shipped = run("predict", CAT, env={"HRNET_CACHE": "/nonexistent"})
    assert shipped.returncode == 0 and "handwritten digits that ships with hrnet" in shipped.stderr
    fail(3, "hrnet pull HRNet_W18_C_ssld", result=run("predict", CAT, "-m", "HRNet_W18_C_ssld",
                                                       env={"HRNET_CACHE": "/nonexistent"}))
    fail(3, "did you mean", result=run("bench", "HRNet_W19_C"))


def test_streams_and_signals(small, tmp_path):
    quiet = run("predict", "-m", small, PICTURES / "one.png", env={"NO_COLOR": "1"})
    assert quiet.stderr == "" and "\x1b" not in quiet.stdout
    full = subprocess.run(f"HRNET_PROGRESS=none '{PROGRAM}' predict -m '{small}' '{PICTURES}' -f jsonl > /dev/full",
                          shell=True, capture_output=True, text=True)
    assert full.returncode == 4 and "output" in full.stderr
    piped = subprocess.run(f"HRNET_PROGRESS=none '{PROGRAM}' predict -m '{small}' -f jsonl '{PICTURES}' '{PICTURES}' "
                           "| head -n 1; echo ${PIPESTATUS[0]}", shell=True, executable="/bin/bash",
                           capture_output=True, text=True)
    assert piped.stdout.splitlines()[-1] in ("141", "0") and piped.stderr == ""
    fail(4, "/nonexistent/x.csv", result=run("predict", "-m", small, CAT, "-o",
                                             "/nonexistent/x.csv"))
    many = subprocess.Popen([PROGRAM, "predict", "-m", str(small), "-f", "jsonl"]
                            + [str(PICTURES)] * 200, stdout=subprocess.PIPE, text=True)
    first = many.stdout.readline()
    many.send_signal(signal.SIGINT)
    rest = many.stdout.read()
    assert many.wait(timeout=30) == 130
    for line in (first + rest).splitlines():
        json.loads(line)


def test_bomb_is_refused_from_its_header(small, tmp_path):
    """users.md C15: under 100 bytes that claim 60000 x 60000 pixels."""
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(
            ">I", zlib.crc32(kind + body))
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n"
                     + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    assert bomb.stat().st_size < 100
    result = run("predict", "-m", small, bomb, "-f", "jsonl")
    record = json.loads(result.stdout)
    assert result.returncode == 1 and "60000x60000" in record["error"]
    assert "178956970" in record["error"]


def test_threads_are_clamped(small):
    result = run("predict", "-m", small, PICTURES / "one.png", "-t", 1000)
    assert result.returncode == 0 and "threads" in result.stderr


# ---- Exit codes, the same over all commands ----

def test_what_is_wrong_with_the_input_is_4(small, tmp_path):
    none, text, out = tmp_path / "none.jpg", tmp_path / "text.jpg", tmp_path / "out"
    text.write_text("text")
    for picture in (none, text):
        for command in (["explain", picture, "-m", small, "-o", out], ["features", picture, "-m", small, "-o", out],
                        ["preprocess", picture, "-o", tmp_path / "x.npy"], ["augment", picture, "-o", out],
                        ["diff", small, small, "--picture", picture], ["run", small, "-i", picture, "-o", out],
                        ["eval", picture, "-m", small], ["check-data", picture],
                        ["train", picture, "-o", tmp_path / "run", "-a", "hrnet_w18_small"]):
            fail(4, picture.name, result=run(*command))
        assert run("predict", picture, "-m", small).returncode == 1, "a record says what failed"
    fail(4, "no file", result=run("predict", tmp_path / "*.gif", "-m", small))
    fail(4, "none.txt", result=run("predict", "--files-from", tmp_path / "none.txt", "-m", small))
    assert not out.exists() and not (tmp_path / "run").exists()


def test_what_is_wrong_with_the_model_is_3(small, tmp_path):
    cache = tmp_path / "cache"
    text = tmp_path / "text.pth"
    text.write_text("text")
    for model in (tmp_path / "none.pth", text, "HRNet_W99"):
        for command in (["predict", CAT, "-m", model], ["explain", CAT, "-m", model, "--json"],
                        ["features", CAT, "-m", model, "-o", tmp_path / "x.png"],
                        ["preprocess", CAT, "-m", model, "-o", tmp_path / "x.npy"], ["diff", model, small],
                        ["diff", small, model], ["run", model, "-i", "x.npy", "-o", "y.npy"], ["info", model],
                        ["verify", model], ["convert", model, tmp_path / "y.pth"],
                        ["export", model, "-o", tmp_path / "y.onnx"], ["plan", model], ["bench", model],
                        ["tune", model], ["serve", model], ["eval", tmp_path, "-m", model]):
            result = run(*command, env={"HRNET_CACHE": str(cache)})
            if command[0] != "serve" or "this build has no server" not in result.stderr:
                fail(3, str(model).rsplit("/")[-1], result=result)
    assert not cache.exists() # what fails leaves nothing behind
