# SPDX-License-Identifier: Apache-2.0
"""hrnet check-data as people use it: a verdict, an exit code, and JSON of all findings."""
import json
import os
import subprocess

import numpy as np
import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
CAT = os.path.join(os.path.dirname(__file__), "..", "..", "data", "pictures", "cat_420.jpg")


def run(*args):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HRNET_PROGRESS": "none"}
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True,
                          env=environment)


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    path.write_bytes(b"P6 24 20 255\n" + noise.tobytes())


@pytest.fixture()
def data(tmp_path):
    for i in range(12):
        picture(tmp_path / "train" / "ab"[i % 2] / f"{i}.ppm", i)
        picture(tmp_path / "val" / "ab"[i % 2] / f"{i}.ppm", 100 + i)
    return tmp_path


def test_a_sheet_of_augmentations(data):
    """The same bytes for the same seed, a row for each value, and the list of steps."""
    def sheet(name, *args):
        result = run("augment", data / "train" / "a" / "0.ppm", "-o", data / name, "--size", "32",
                     *args)
        return result, (data / name).read_bytes() if result.returncode == 0 else b""
    chain = "timm:rand-m9-mstd0.5-inc1;erasing:mode=pixel"
    a, first = sheet("a.png", "--augment", chain)
    b, again = sheet("b.png", "--augment", chain)
    c, other = sheet("c.png", "--augment", chain, "--seed", "1")
    assert a.returncode == b.returncode == c.returncode == 0, a.stderr
    assert first == again != other and first.startswith(b"\x89PNG")
    rows, tall = sheet("d.png", "--augment", "randaugment", "--vary", "m=1,3,5,7,9", "--columns",
                       "2")
    assert rows.returncode == 0 and tall[16:24] > b"" and \
        int.from_bytes(tall[20:24], "big") > int.from_bytes(tall[16:20], "big")
    assert sheet("e.png", "--augment", "fmix", data / "train" / "b" / "1.ppm")[0].returncode == 0
    bad, _ = sheet("f.png", "--augment", "randaugment", "--vary", "m=11")
    assert bad.returncode == 2 and "m is '11'" in bad.stderr
    assert not (data / "f.png").exists()
    kinds = run("augment", "--list").stdout
    assert "randaugment" in kinds and "decay=3" in kinds
    assert run("augment").returncode == 2


def test_good_data(data):
    result = run("check-data", data / "train", "--val", data / "val")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "train: 12 pictures, 0 missing, 0 unreadable", "val: 12 pictures, 0 missing, 0 unreadable",
        "   train      val  class", "       6        6  0 a", "       6        6  1 b",
        "good: nothing is wrong with the data"]


def test_everything_that_is_wrong_is_named(data):
    jpeg = open(CAT, "rb").read()
    (data / "train" / "a" / "cut.jpg").write_bytes(jpeg[:len(jpeg) * 6 // 10])
    (data / "train" / "a" / "empty.jpg").write_bytes(b"")
    (data / "val" / "b" / "text.jpg").write_text("text")
    picture(data / "val" / "a" / "leak.ppm", 4)
    picture(data / "train" / "b" / "twin.ppm", 0)
    result = run("check-data", data / "train", "--val", data / "val", "--json")
    assert result.returncode == 1
    report = json.loads(result.stdout)
    assert report["schema"] == 1 and report["verdict"] == "errors"
    assert report["train"] == {"pictures": 15, "missing": 0, "unreadable": 2}
    assert report["val"]["unreadable"] == 1
    kinds = sorted((f["set"], f["kind"]) for f in report["findings"])
    assert kinds == [("train", "duplicate"), ("train", "truncated"), ("train", "unreadable"),
                     ("val", "leak"), ("val", "unreadable")]
    assert report["errors"] == 5 and report["classes"][0] == {
        "label": 0, "name": "a", "train": 8, "val": 7}
    text = run("check-data", data / "train", "--val", data / "val")
    assert text.returncode == 1 and "cut.jpg: the picture ends early" in text.stdout
    assert text.stdout.splitlines()[-1] == \
        "errors: 5 errors, 0 warnings: the data should not be trained on as it is"


def test_quick_and_strict(data):
    (data / "list.txt").write_text("".join(f"train/{'ab'[i % 2]}/{i}.ppm {i % 2}\n"
                                           for i in range(6)))
    quick = run("check-data", data / "list.txt", "--quick")
    assert quick.returncode == 0 and "2 classes have fewer than 5 pictures" in quick.stdout
    assert run("check-data", data / "list.txt", "--quick", "--strict").returncode == 1
    assert run("check-data", data / "list.txt", "--classes", "1").returncode == 1
    missing = run("check-data", data / "nothing")
    assert missing.returncode == 4 and "no such folder or list" in missing.stderr


def test_training_looks_first(data):
    """Labels from one, and lists in two orders, end before the first step."""
    def go(lines, val=None):
        (data / "list.txt").write_text(lines)
        more = ["--val", data / "val.txt"] if val else []
        if val:
            (data / "val.txt").write_text(val)
        return run("train", data / "list.txt", "-o", data / "run", "-a", "hrnet_w18_small", "--size",
                   "32", "-e", "1", *more)
    pictures = [f"train/{'ab'[i % 2]}/{i}.ppm" for i in range(12)]
    one = go("".join(f"{p} {i % 2 + 1}\n" for i, p in enumerate(pictures)))
    assert one.returncode == 4 and "labels look 1-based" in one.stderr
    turned = go("".join(f"{p} {i % 2}\n" for i, p in enumerate(pictures)),
                "val/a/0.ppm 1\nval/b/1.ppm 0\n")
    assert turned.returncode == 4 and "number classes differently" in turned.stderr
    assert not (data / "run").exists()
