# SPDX-License-Identifier: Apache-2.0
"""hrnet train as people use it: it learns, resumes bit for bit, does not mind how many threads
there are, keeps what it has when it is killed, and names what is wrong with the data."""
import base64
import csv
import html.parser
import json
import os
import pathlib
import re
import resource
import shutil
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


def train(data, out, *more, epochs=2, **process):
    return run("train", data, "-o", out, "-e", epochs, *COMMON, *more, **process)


def tensors(path):
    """The float tensors of a safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data, "<f4", (t["data_offsets"][1] - t["data_offsets"][0]) // 4,
                                8 + size + t["data_offsets"][0]) for name, t in header.items()}


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
    for name in ("latest.safetensors", "best.safetensors", "state.safetensors", "steps.csv",
                 "epochs.csv", "curves.svg"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def test_one_line_an_epoch_and_checkpoints(whole):
    folder, stdout = whole
    lines = stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert "top-1" in lines[0] and "(best)" in lines[0]
    assert sorted(p.name for p in folder.iterdir()) == [
        "best.safetensors", "config.json", "curves.svg", "epochs.csv", "latest.safetensors",
        "manifest.json", "state.safetensors", "steps.csv"]


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
    assert "opencv: shorter side 37, crop 32x32 (ratio 0.865)" in text
    (tmp_path / "d" / "other").mkdir(parents=True)
    (tmp_path / "d" / "top").mkdir()
    for kind in ("other", "top"):
        picture(tmp_path / "d" / kind / "0.ppm", "top", 1)
    result = run("eval", tmp_path / "d", "-m", model)
    assert result.returncode == 4 and "class 'other'" in result.stderr


def test_calibration_and_mistakes_of_eval(whole, data):
    """Against answers of predict, counted here."""
    model = whole[0] / "latest.safetensors"
    report = json.loads(run("eval", data / "val", "-m", model, "-f", "json", "--mistakes", "3",
                            "-b", "5").stdout)
    pictures = sorted((data / "val").rglob("*.ppm"))
    answers = json.loads(run("predict", *pictures, "-m", model, "-f", "json").stdout)["results"]
    bins = [[0, 0.0, 0] for _ in range(15)]
    wrong = []
    for a in answers:
        right = a["label_names"][0] == pathlib.Path(a["filename"]).parent.name
        b = bins[max(0, int(np.ceil(a["scores"][0] * 15)) - 1)]
        b[0] += 1
        b[1] += a["scores"][0]
        b[2] += right
        if not right:
            wrong.append((a["scores"][0], a["filename"]))
    assert report["ece"] == pytest.approx(sum(abs(b[1] - b[2]) for b in bins) / 8, abs=1e-5)
    assert [b["pictures"] for b in report["bins"]] == [b[0] for b in bins]
    for b, (n, confidence, right) in zip(report["bins"], bins):
        assert b["confidence"] == pytest.approx(confidence / max(n, 1), abs=1e-5)
        assert b["accuracy"] == pytest.approx(right / max(n, 1), abs=1e-5)
    assert len(report["mistakes"]) == min(3, len(wrong)) > 0
    surest = sorted(wrong, reverse=True)[:3]
    assert [m["confidence"] for m in report["mistakes"]] == pytest.approx([w[0] for w in surest],
                                                                          abs=1e-5)
    assert {m["filename"] for m in report["mistakes"]} <= {w[1] for w in wrong}
    for m in report["mistakes"]:
        assert m["truth"] != m["answer"]
        assert m["confidence"] + m["truth_probability"] == pytest.approx(1.0)  # two classes
    mean = report["mean"]
    assert mean["f1"] == pytest.approx(np.mean([c["f1"] for c in report["classes"]]))
    assert report["recipe"] == "opencv" and report["resize_short"] == 37


class Page(html.parser.HTMLParser):
    """Refuses what would be fetched, and tags that do not close."""
    EMPTY = {"meta", "br", "img"}

    def __init__(self):
        super().__init__()
        self.open, self.images, self.words = [], [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "href"):
                assert value.startswith("data:image/png;base64,")
                self.images.append(base64.b64decode(value.split(",", 1)[1], validate=True))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        if tag in ("tr", "td", "th"):
            while self.open[-1] != tag:
                self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_a_page_of_eval_needs_nothing_else(whole, data, tmp_path):
    result = run("eval", data / "val", "-m", whole[0] / "latest.safetensors", "--html",
                 tmp_path / "page.html")
    assert result.returncode == 0, result.stderr
    assert "taken for" not in result.stdout
    page = Page()
    text = (tmp_path / "page.html").read_text()
    page.feed(text)
    page.close()
    assert page.open == [] and "http" not in text and "<script" not in text
    assert "prefers-color-scheme:dark" in text
    words = "".join(page.words)
    for word in ("Evaluation of hrnet_w18_small", "opencv: shorter side 37", "Worst mistakes",
                 "taken for"):
        assert word in words
    report = json.loads(run("eval", data / "val", "-m", whole[0] / "latest.safetensors", "-f",
                            "json", "--mistakes", "24").stdout)
    assert len(page.images) == len(report["mistakes"])
    assert all(image.startswith(b"\x89PNG\r\n") for image in page.images)


def test_the_page_writes_names_as_text(whole, data, tmp_path):
    tree = tmp_path / "val"
    shutil.copytree(data / "val", tree)
    (tree / "left").rename(tree / "<i>left & 'so'")
    (tmp_path / "names.txt").write_text("<i>left & 'so'\ntop\n")
    result = run("eval", tree, "-m", whole[0] / "latest.safetensors", "--labels",
                 tmp_path / "names.txt", "--html", tmp_path / "page.html")
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "page.html").read_text()
    assert "&lt;i&gt;left &amp; &#39;so&#39;" in text and "<i>left" not in text


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
    assert result.returncode == 4 and word in result.stderr, result.stderr


def test_a_bad_picture_is_named(data, tmp_path):
    for kind in ("top", "left"):
        (tmp_path / "d" / kind).mkdir(parents=True)
        for i in range(3):
            picture(tmp_path / "d" / kind / f"{i}.ppm", kind, i)
    (tmp_path / "d" / "top" / "1.ppm").write_bytes(b"no picture")
    result = train(tmp_path / "d", tmp_path / "run", "--max-bad", "0", epochs=1)
    assert result.returncode == 4 and "top/1.ppm" in result.stderr, result.stderr


def test_bad_pictures_are_named_once_and_left_out(data, tmp_path):
    """The run is the same as one without them but for the order, whatever the threads; the limit
    holds."""
    for i, kind in enumerate(("top", "left") * 6):
        (tmp_path / "d" / kind).mkdir(parents=True, exist_ok=True)
        picture(tmp_path / "d" / kind / f"{i}.ppm", kind, i)
    (tmp_path / "d" / "top" / "4.ppm").write_bytes(b"")
    (tmp_path / "d" / "left" / "5.ppm").write_bytes(b"text, not a picture")
    first = train(tmp_path / "d", tmp_path / "a", "-b", "4", "--loaders", "1", epochs=3)
    again = train(tmp_path / "d", tmp_path / "b", "-b", "4", "--loaders", "3", epochs=3)
    assert first.returncode == again.returncode == 0, first.stderr
    assert first.stderr == again.stderr.replace(f"{tmp_path}/b/", f"{tmp_path}/a/") and first.stdout == again.stdout
    assert first.stderr.count("top/4.ppm") == first.stderr.count("left/5.ppm") == 1
    assert "2 of 12 pictures were bad and left out" in first.stderr
    assert (tmp_path / "a" / "state.safetensors").read_bytes() == \
        (tmp_path / "b" / "state.safetensors").read_bytes()
    assert f"{tmp_path}/a/bad_pictures.csv names them" in first.stderr
    listed = (tmp_path / "a" / "bad_pictures.csv").read_text()
    assert listed == (tmp_path / "b" / "bad_pictures.csv").read_text()
    table = {row["picture"]: row for row in csv.DictReader(listed.splitlines())}
    assert set(table) == {str(tmp_path / "d" / "top" / "4.ppm"), str(tmp_path / "d/left/5.ppm")}
    assert {(row["times"], row["set"]) for row in table.values()} == {("3", "training")}
    assert "not a picture" in table[str(tmp_path / "d" / "left" / "5.ppm")]["reason"]
    result = train(tmp_path / "d", tmp_path / "c", "--max-bad", "1", epochs=1)
    assert result.returncode == 4 and "2 pictures are bad, and at most 1" in result.stderr
    assert (tmp_path / "c" / "bad_pictures.csv").read_text().count("training") == 2


def test_a_bad_picture_whose_name_is_no_text(data, tmp_path):
    shutil.copytree(data / "train", tmp_path / "d")
    pathlib.Path(os.fsdecode(os.fsencode(tmp_path / "d/top/") + b"/\xff.ppm")).write_bytes(b"no")
    result = subprocess.run(
        [os.fsencode(str(a)) for a in (PROGRAM, "train", tmp_path / "d", "-o", tmp_path / "run", "-e",
                                       "1", *COMMON)], capture_output=True)
    assert result.returncode == 0 and b"1 of 36 pictures were bad" in result.stderr, result.stderr
    assert b"top/\xff.ppm," in (tmp_path / "run" / "bad_pictures.csv").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_list_of_bad_pictures_goes_on(data, tmp_path, number):
    """Of validation, too; a run that was disturbed ends with the list of one that was not."""
    shutil.copytree(data, tmp_path / "d")
    for path in ("train/top/4.ppm", "train/left/5.ppm", "val/top/2.ppm"):
        (tmp_path / "d" / path).write_bytes(b"no, not a picture")
    (tmp_path / "d" / "train" / "top" / "4.ppm").rename(tmp_path / "d/train/top/a, \"b\".ppm")
    args = ["--val", tmp_path / "d" / "val", "--save-steps", "1"]
    whole = train(tmp_path / "d" / "train", tmp_path / "whole", *args, epochs=4)
    assert whole.returncode == 0 and "3 of 35 pictures were bad" in whole.stderr
    rows = list(csv.reader((tmp_path / "whole" / "bad_pictures.csv").open()))
    assert rows[0] == ["picture", "reason", "times", "set"] and len(rows) == 4
    assert [row[2] for row in rows[1:]] == ["4"] * 3
    out = tmp_path / "run"
    process = subprocess.Popen(
        list(map(str, [PROGRAM, "train", tmp_path / "d" / "train", "-o", out, "-e", "4", *COMMON,
                       *args, "--progress", "none"])), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    while not (out / "steps.csv").exists() or (out / "steps.csv").read_text().count("\n") < 9:
        assert process.poll() is None
    process.send_signal(number)
    process.communicate()
    result = train(tmp_path / "d" / "train", out, *args, "--resume", epochs=4)
    assert result.returncode == 0, result.stderr
    assert ": left out" not in result.stderr  # all were named before
    for name in ("bad_pictures.csv", "state.safetensors", "steps.csv"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


CHAIN = "timm:rand-m9-mstd0.5-inc1;jitter:hue=0.1;erasing:p=0.5,mode=pixel;gridmask:p=0.3;" \
        "mixup:alpha=0.4,p=0.4;cutmix:alpha=1,p=0.3;fmix:p=0.3"


def test_augmented_runs_do_not_mind_threads_and_resume(data, tmp_path):
    def go(out, epochs, *more):
        return train(data / "train", out, "--val-split", "0.2", "--balanced", "--augment", CHAIN,
                     *more, epochs=epochs)
    whole = go(tmp_path / "a", 2, "--loaders", "1")
    assert whole.returncode == 0, whole.stderr
    assert "top-1" in whole.stdout
    assert go(tmp_path / "b", 2, "--loaders", "4", "-t", "1").stdout == whole.stdout
    same(tmp_path / "a", tmp_path / "b")
    other = go(tmp_path / "a", 2, "--resume", "--augment", "flip")
    assert other.returncode == 3 and "augment timm" in other.stderr


def test_augmentations_that_are_not_known(data, tmp_path):
    result = train(data / "train", tmp_path / "run", "--augment", "randagument")
    assert result.returncode == 2 and "did you mean randaugment" in result.stderr


def test_paths_with_blanks_and_several_labels(data, tmp_path):
    """The last blank or tab of a line ends the path."""
    source = next((data / "train" / "top").iterdir()).read_bytes()
    for name in ("a b.ppm", "图 片.ppm", "c.ppm"):
        (tmp_path / name).write_bytes(source)
    (tmp_path / "list.txt").write_text("a b.ppm 1\r\n图 片.ppm\t0\n\nc.ppm 1 \n")
    result = train(tmp_path / "list.txt", tmp_path / "run", epochs=1)
    assert result.returncode == 0, result.stderr


def test_a_loss_that_explodes_names_step_and_layer(data, tmp_path):
    result = run("train", data / "train", "-o", tmp_path / "run", "-e", "4", *COMMON, "--lr", "1e30")
    assert result.returncode == 1
    for word in ("epoch", "step", "not finite", "the last good checkpoint is none"):
        assert word in result.stderr, result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_with_130(data, tmp_path, number):
    process = subprocess.Popen([PROGRAM, "train", str(data / "train"), "-o", str(tmp_path / "run"),
                                "-e", "500", *COMMON, "--progress", "none"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped" in stderr


def test_weights_to_start_from(whole, data, tmp_path):
    result = train(data / "train", tmp_path / "run", "-w", whole[0] / "best.safetensors", epochs=1)
    assert result.returncode == 0, result.stderr
    assert not pathlib.Path(tmp_path / "run" / "best.safetensors").exists()


# ---- Everything at once: averaged weights, accumulation, plateau, kept epochs ----

FANCY = ["--ema", "0.9", "--accumulate", "2", "--optimizer", "adamw:beta2=0.99", "--lr", "0.002",
         "--schedule", "plateau:factor=0.5,patience=0", "--freeze", "conv_layer1", "--rates",
         "fc=2", "--class-weights", "balanced", "--clip", "5", "--no-decay-1d", "--warmup", "1",
         "--smoothing", "0.1", "--keep", "2", "-b", "4"]


@pytest.fixture(scope="session")
def fancy(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("fancy")
    result = train(data / "train", out / "run", "--val", data / "val", *FANCY, epochs=4)
    assert result.returncode == 0, result.stderr
    return out / "run", result.stdout


def test_the_last_epochs_are_kept(fancy):
    folder, stdout = fancy
    assert "averaged: loss" in stdout.splitlines()[-1]
    names = sorted(p.name.removesuffix(".safetensors") for p in folder.glob("*.safetensors"))
    assert names == ["average", "best", "best-average", "epoch-3", "epoch-3.state", "epoch-4",
                     "epoch-4.state", "latest", "state"]
    assert (folder / "epoch-4.safetensors").read_bytes() == \
        (folder / "latest.safetensors").read_bytes()


def test_averaged_weights_are_a_model(fancy, data):
    folder, stdout = fancy
    report = json.loads(run("eval", data / "val", "-m", folder / "average.safetensors", "-f",
                            "json").stdout)
    assert f"averaged: loss {report['loss']:.5f}" in stdout.splitlines()[-1]


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_a_run_with_everything_killed_anywhere_ends_with_the_same_bits(fancy, data, tmp_path,
                                                                       seconds):
    out = tmp_path / "run"
    command = [PROGRAM, "train", data / "train", "-o", out, "-e", "4", "--val", data / "val",
               *COMMON, *FANCY, "--save-steps", "1", "--progress", "none"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline().startswith("epoch 1/4")
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = train(data / "train", out, "--val", data / "val", *FANCY, "--resume", "-t", "1",
                   "--loaders", "1", epochs=4)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines(True)
    assert result.stdout == "".join(fancy[1].splitlines(True)[-len(lines):])
    same(out, fancy[0])
    for name in ("average", "best-average", "epoch-3", "epoch-4.state"):
        name += ".safetensors"
        assert (out / name).read_bytes() == (fancy[0] / name).read_bytes(), name


def test_an_interrupt_within_an_epoch_loses_no_step(whole, data, tmp_path):
    out = tmp_path / "run"
    command = [PROGRAM, "train", data / "train", "-o", out, "-e", "3", "--val", data / "val",
               *COMMON, "--progress", "none"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    result = train(data / "train", out, "--val", data / "val", "--resume", epochs=3)
    assert result.returncode == 0, result.stderr
    same(out, whole[0])


def test_frozen_parts_do_not_move(fancy):
    early, late = (tensors(fancy[0] / f"epoch-{n}.safetensors") for n in (3, 4))
    for name in early:
        if name.endswith("conv.weight"):
            moved = not np.array_equal(early[name], late[name])
            assert moved == (not name.startswith("conv_layer1")), name


def full_disk(limit):
    """For the child: files longer than `limit` bytes cannot be written."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_full_disk_loses_nothing(whole, data, tmp_path):
    """Stops a run in its second epoch, then goes on with a disk on which a model finds room and a
    state does not, then with one on which both do."""
    out = tmp_path / "run"
    process = subprocess.Popen(
        list(map(str, [PROGRAM, "train", data / "train", "-o", out, "-e", "3", "--val",
                       data / "val", *COMMON, "--progress", "none"])),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("epoch 1/3")
    process.send_signal(signal.SIGINT)
    process.communicate()
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    limit = (len(before["latest.safetensors"]) + len(before["state.safetensors"])) // 2
    result = train(data / "train", out, "--val", data / "val", "--resume", epochs=3,
                   preexec_fn=lambda: full_disk(limit))
    assert result.returncode == 4 and "state.safetensors: cannot write" in result.stderr
    assert (out / "state.safetensors").read_bytes() == before["state.safetensors"]
    result = train(data / "train", out, "--val", data / "val", "--resume", epochs=3,
                   preexec_fn=lambda: full_disk(100000))
    assert result.returncode == 4 and "latest.safetensors: cannot write" in result.stderr
    assert sorted(p.name for p in out.iterdir()) == sorted(before)
    assert run("info", out / "latest.safetensors").returncode == 0
    result = train(data / "train", out, "--val", data / "val", "--resume", epochs=3)
    assert result.returncode == 0, result.stderr
    same(out, whole[0])


def test_no_better_epoch_ends_the_run(data, tmp_path):
    args = ["--val", data / "val", "--lr", "1e-12", "--patience", "2"]
    result = train(data / "train", tmp_path / "run", *args, epochs=50)
    assert result.returncode == 0, result.stderr
    assert "2 epochs without a better one: the run ends after" in result.stderr
    assert len(result.stdout.splitlines()) < 10
    result = train(data / "train", tmp_path / "run", *args, "--resume", epochs=50)
    assert result.returncode == 0 and result.stdout == "", result.stderr


def test_a_finished_run_says_so(whole, data):
    result = train(data / "train", whole[0], "--val", data / "val", "--resume", epochs=3)
    assert result.returncode == 0 and "the run is finished, all 3 epochs are done" in result.stderr


def test_learning_nothing_is_told(data, tmp_path):
    result = train(data / "train", tmp_path / "run", "--lr", "1e-12", "--smoothing", "0.5",
                   "-b", "2", epochs=3)
    assert result.returncode == 0 and "nothing is learned" in result.stderr, result.stderr


def test_a_run_that_learns_nothing_is_given_up(data, tmp_path):
    """Once the warm-up is over; what was counted before a break counts on."""
    args = ["--lr", "1e-12", "--smoothing", "0.5", "-b", "2", "--give-up", "4", "--warmup", "1"]
    result = train(data / "train", tmp_path / "run", *args, epochs=30)
    assert result.returncode == 1 and len(result.stdout.splitlines()) == 5, result.stderr
    assert "after 4 epochs the loss, " in result.stderr and "the run is given up" in result.stderr
    again = train(data / "train", tmp_path / "run", *args, "--resume", epochs=30)
    assert again.returncode == 1 and len(again.stdout.splitlines()) == 1, again.stderr
    more = train(data / "train", tmp_path / "run", *args, "--resume", "--give-up", "7", epochs=30)
    assert more.returncode == 1 and len(more.stdout.splitlines()) == 2, more.stderr


def test_pictures_to_validate_are_named_or_held_back(data, tmp_path):
    result = train(data / "train", tmp_path / "run", "--val", data / "val", "--val-split", "0.1")
    assert result.returncode == 2 and "one of both is possible" in result.stderr


def test_the_rate_follows_the_batch_and_is_told(data, tmp_path):
    def told(*args):
        result = run("train", data / "train", "-o", tmp_path / str(len(args)), "-e", "1", "-a",
                     "hrnet_w18_small", "--size", "32", "-b", "8", "--schedule", "constant", *args)
        assert result.returncode == 0, result.stderr
        return result.stderr, result.stdout
    err, out = told()
    assert "learning rate 0.003125: the usual one for 8 pictures a step" in err
    assert "rate 0.003125," in out
    err, out = told("--lr", "0.2", "--lr-batch", "64", "--accumulate", "2")
    assert "learning rate 0.05: 0.2 for 64 pictures a step, here 16" in err
    assert "rate 0.05," in out
    assert "times the usual one" in told("--lr", "0.1")[0]


def test_a_last_batch_of_one_is_left_out(data, tmp_path):
    result = train(data / "train", tmp_path / "run", "-b", "17", epochs=1)
    assert result.returncode == 0, result.stderr
    assert "it is left out" in result.stderr and "2 steps an epoch" in result.stderr


def test_another_size_in_evaluation(data, tmp_path):
    result = train(data / "train", tmp_path / "run", "--val", data / "val", "--test-size", "64",
                   "--crop-ratio", "0.8", epochs=1)
    assert result.returncode == 0, result.stderr
    model = tmp_path / "run" / "latest.safetensors"
    report = json.loads(run("eval", data / "val", "-m", model, "-f", "json").stdout)
    assert report["size"] == [64, 64]
    smaller = json.loads(run("eval", data / "val", "-m", model, "-f", "json", "--test-size", "32",
                             "--crop-ratio", "1").stdout)
    assert smaller["size"] == [32, 32] and smaller["resize_short"] == 32
    assert f"validation loss {report['loss']:.5f}" in result.stdout


def test_recipes_of_training(data, tmp_path):
    """The model has it, and evaluates with it; ratios are rounded as OpenCV's users or timm do."""
    for flags, short, name in ((["--recipe", "pillow-bicubic"], 36, "pillow-bicubic"),
                               (["--mean", "0.5,0.5,0.5"], 37, "opencv"),
                               (["--recipe", "pillow", "--resize-short", "40"], 40, "pillow")):
        out = tmp_path / name
        result = train(data / "train", out, "--val", data / "val", *flags, epochs=1)
        assert result.returncode == 0, result.stderr
        report = json.loads(run("eval", data / "val", "-m", out / "latest.safetensors", "-f",
                                "json").stdout)
        assert report["recipe"] == name and report["resize_short"] == short
        assert f"validation loss {report['loss']:.5f}" in result.stdout
        shutil.rmtree(out)


@pytest.mark.parametrize("args, word", [(["--schedule", "cosin"], "did you mean cosine"),
                                        (["--schedule", "step:evry=3"], "did you mean every"),
                                        (["--freeze", "stem"], "conv_layer1_"),
                                        (["--optimizer", "sgd:beta1=1"], "no 'beta1'"),
                                        (["--class-weights", "1"], "for 2 classes"),
                                        (["--ema", "1"], "average 1")])
def test_wrong_settings_are_named(data, tmp_path, args, word):
    result = train(data / "train", tmp_path / "run", *args, epochs=1)
    assert result.returncode == 2 and word in result.stderr, result.stderr


# ---- What a run writes beside its checkpoints ----

def test_tables_of_steps_and_epochs(whole):
    folder, stdout = whole
    steps = (folder / "steps.csv").read_text().splitlines()
    epochs = (folder / "epochs.csv").read_text().splitlines()
    assert steps[0] == "epoch,step,rate,loss,norm,mean_loss,mean_accuracy"
    assert [row.split(",")[:2] for row in steps[1:]] == [
        [str(e), str(s)] for e in (1, 2, 3) for s in (1, 2, 3, 4, 5)]
    for row, line in zip(epochs[1:], stdout.splitlines()):
        cells = row.split(",")
        told = [float(number) for number in re.findall(r"(?:rate|loss|top-1) ([\d.e-]+)", line)]
        assert told == pytest.approx([float(cells[1]), float(cells[2]), float(cells[4]),
                                      float(cells[5]) * 100], rel=1e-4)
        assert cells[7:] == [""] * 5
    assert (folder / "curves.svg").read_text().count("<path") == 6


def test_the_manifest_tells_what_a_run_was_made_with(whole, data):
    folder, _ = whole
    manifest = json.loads((folder / "manifest.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    assert manifest["command"].startswith(f"hrnet train {data / 'train'} --output {folder}")
    assert manifest["data"]["pictures"] == 35 and len(manifest["data"]["sha256"]) == 64
    assert manifest["hrnet"] and manifest["cpu"]["name"] and manifest["seed"] == 0
    assert [(s["epoch"], s["step"]) for s in manifest["starts"]] == [(1, 1)]
    assert config["epochs"] == 3 and config["lr"] == 0.02 and config["resume"] is False


def test_a_run_does_not_go_on_with_other_pictures(whole, data, tmp_path):
    for part in ("train/top", "train/left"):
        (tmp_path / part).mkdir(parents=True)
        for p in (data / part).iterdir():
            (tmp_path / part / p.name).write_bytes(p.read_bytes())
    first = next((tmp_path / "train/top").iterdir())
    first.rename(first.with_name("renamed.ppm"))
    result = train(tmp_path / "train", whole[0], "--val", data / "val", "--resume", epochs=3)
    assert result.returncode == 3 and "pictures 35 of" in result.stderr


def test_lines_in_paddleclas_form(data, tmp_path):
    result = train(data / "train", tmp_path / "run", "--val", data / "val", "--log-format",
                   "paddle", "--log-every", "3", "--warmup", "1")
    assert result.returncode == 0, result.stderr
    number = r"\d+\.\d{5}"
    stamp = r"\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\] ppcls INFO: "
    want = []
    for e in (1, 2):
        for i in (0, 3):
            want.append(
                rf"\[Train\]\[Epoch {e}/2\]\[Iter: {i}/5\]lr\(LinearWarmup\): \d\.\d{{8}}, "
                rf"top1: {number}, top5: {number}, CELoss: {number}, loss: {number}, batch_cost: "
                rf"{number}s, reader_cost: {number}, ips: {number} samples/s, eta: \d+:\d\d:\d\d")
        want.append(rf"\[Train\]\[Epoch {e}/2\]\[Avg\]top1: {number}, top5: {number}, CELoss: "
                    rf"{number}, loss: {number}")
        want.append(rf"\[Eval\]\[Epoch {e}\]\[Avg\]CELoss: {number}, loss: {number}, top1: "
                    rf"{number}, top5: {number}")
        want.append(r"Already save model in .*/run/best")
        want.append(rf"\[Eval\]\[Epoch {e}\]\[best metric: [\d.]+\]")
        want.append(r"Already save model in .*/run/latest")
    got = result.stdout.splitlines()
    assert (tmp_path / "run" / "train.log").read_text() == result.stdout
    for line, pattern in zip(got, want[:len(got)]):
        assert re.fullmatch(stamp + pattern, line) or "best" in pattern, (line, pattern)


READ_EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1])
a.Reload()
print(json.dumps({t: [(e.step, e.value) for e in a.Scalars(t)] for t in a.Tags()["scalars"]}))
"""


def test_tensorboard_reads_the_events(data, tmp_path):
    """A run that was killed and went on: what the first file says of later steps is forgotten."""
    peers = os.environ.get("HRNET_PEERS", "")
    if not os.path.exists(peers) or subprocess.run([peers, "-c", "import tensorboard"],
                                                   capture_output=True).returncode != 0:
        pytest.skip("no TensorBoard: run tools/peers")
    out = tmp_path / "run"
    args = ["--val", data / "val", "--tensorboard"]
    process = subprocess.Popen(list(map(str, [PROGRAM, "train", data / "train", "-o", out, "-e",
                                              "3", *COMMON, *args, "--progress", "none"])),
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline().startswith("epoch 1/3")
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1.0)  # files are sorted by the second in their name
    assert train(data / "train", out, *args, "--resume", epochs=3).returncode == 0
    assert len(list(out.glob("events.out.tfevents.*"))) == 2
    read = subprocess.run([peers, "-c", READ_EVENTS, out], capture_output=True, text=True)
    scalars = json.loads(read.stdout)
    rows = [list(map(float, row.split(","))) for row in
            (out / "steps.csv").read_text().splitlines()[1:]]
    assert [s for s, _ in scalars["train/loss"]] == list(range(1, 16))
    assert [v for _, v in scalars["train/loss"]] == pytest.approx([r[3] for r in rows], rel=1e-6)
    assert [v for _, v in scalars["train/rate"]] == pytest.approx([r[2] for r in rows], rel=1e-6)
    assert [s for s, _ in scalars["validation/top1"]] == [5, 10, 15]


# ---- Several labels a picture ----

def test_several_labels_a_picture(data, tmp_path):
    """Every picture shows top or left, and whether its number is odd; metrics are counted here."""
    def write(part):
        lines, rows = [], []
        for p in sorted((data / part).rglob("*.ppm")):
            row = [int(p.parent.name == "top"), int(p.parent.name == "left"), int(p.stem) % 2]
            rows.append(row)
            lines.append(f"{p.relative_to(data)} {','.join(map(str, row))}\n")
        (tmp_path / f"{part}.txt").write_text("".join(lines))
        return np.array(rows)
    write("train")
    truth = write("val")
    out = tmp_path / "run"
    result = train(tmp_path / "train.txt", out, "--val", tmp_path / "val.txt", "--root", data,
                   "--ema", "0.5", "--lr", "0.003", epochs=3)
    assert result.returncode == 0, result.stderr
    last = result.stdout.splitlines()[-1]
    model = out / "latest.safetensors"
    report = json.loads(run("eval", tmp_path / "val.txt", "--root", data, "-m", model, "-f",
                            "json").stdout)
    assert f"mAP {report['map'] * 100:.2f} %, all labels right" in last and "averaged" in last
    logits = []
    for line in (tmp_path / "val.txt").read_text().splitlines():
        x, y = tmp_path / "x.npy", tmp_path / "y.npy"
        done = run("preprocess", data / line.split()[0], "-m", model, "-o", x)
        assert done.returncode == 0, done.stderr
        done = run("run", model, "-i", x, "-o", y)
        assert done.returncode == 0, done.stderr
        logits.append(np.load(y)[0])
    z = np.array(logits)
    said = z > 0
    assert report["hamming"] == pytest.approx(np.mean(said != truth))
    assert report["all_right"] == pytest.approx(np.mean((said == truth).all(axis=1)))
    for k, c in enumerate(report["classes"]):
        order = np.argsort(-z[:, k], kind="stable")
        shown = truth[order, k]
        precision = np.cumsum(shown) / np.arange(1, len(shown) + 1)
        assert c["ap"] == pytest.approx(np.sum(precision * shown) / shown.sum())
        right = np.sum(said[:, k] & (truth[:, k] == 1))
        assert c["recall"] == pytest.approx(right / truth[:, k].sum())
    assert report["map"] == pytest.approx(np.mean([c["ap"] for c in report["classes"]]))
    assert json.loads(run("info", model, "--json").stdout)["activation"] == "sigmoid"
    first = data / (tmp_path / "val.txt").read_text().split()[0]
    told = json.loads(run("predict", first, "-m", model, "-f", "jsonl").stdout)
    with np.errstate(over="ignore"):
        assert np.allclose(told["scores"], 1 / (1 + np.exp(-z[0][told["class_ids"]])), rtol=1e-5)
    told = json.loads(run("predict", first, "-m", model, "-f", "jsonl", "--activation", "softmax").stdout)
    assert sum(told["scores"]) == pytest.approx(1, abs=1e-5)
    assert "PIR program, sigmoid" in run("export", model, "-o", tmp_path / "m.json").stdout
    assert json.loads(run("info", tmp_path / "m.json", "--json").stdout)["activation"] == "sigmoid"
    text = run("eval", tmp_path / "val.txt", "--root", data, "-m", model, "--html",
               tmp_path / "page.html").stdout
    assert text.startswith("8 pictures: mAP") and "mean average precision" in (
        tmp_path / "page.html").read_text()
    result = train(tmp_path / "train.txt", tmp_path / "no", "--root", data, "--smoothing", "0.1")
    assert result.returncode == 2 and "one label a picture" in result.stderr
