# SPDX-License-Identifier: Apache-2.0
"""The model that ships: as accurate as its record says, the default of predict, and trainable."""
import json
import os
import pathlib
import re
import struct
import subprocess
import zlib

import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
SOURCE = pathlib.Path(os.environ["HRNET_SOURCE"])
MODEL = SOURCE / "models" / "digits.safetensors"
RECORD = (SOURCE / "models" / "README.md").read_text()
SIDE, ACROSS = 28, 40


def run(*args):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HRNET_PROGRESS": "none"}
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True,
                          env=environment, check=False)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows):
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) +
            chunk(b"IEND", b""))


def sheet():
    """The rows of tests/data/digits/held.png: grey, 8 bits, no filter, one IDAT."""
    data = (SOURCE / "tests" / "data" / "digits" / "held.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    size = struct.unpack(">I", data[33:37])[0]
    pixels = zlib.decompress(data[41:41 + size])
    return [pixels[y * (width + 1) + 1:(y + 1) * (width + 1)] for y in range(height)]


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """The 1,000 held-back pictures, 100 of each digit in turn, as folders."""
    folder = tmp_path_factory.mktemp("digits") / "held"
    rows = sheet()
    for i in range(1000):
        y, x = i // ACROSS * SIDE, i % ACROSS * SIDE
        to = folder / str(i // 100)
        to.mkdir(parents=True, exist_ok=True)
        (to / f"{i:04}.png").write_bytes(png([row[x:x + SIDE] for row in rows[y:y + SIDE]]))
    return folder


def recorded():
    """Right answers of 1,000 as models/README.md has them."""
    return int(re.search(r"(\d+) of the 1,000 held-back pictures", RECORD)[1])


def test_accuracy_is_the_recorded_one(held):
    done = run("eval", held, "-m", MODEL, "-f", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["pictures"] == 1000
    # Another CPU's kernels may turn a picture that is on the edge.
    assert abs(round(report["top1"] * 1000) - recorded()) <= 1
    assert recorded() >= 988


def test_it_is_what_predict_takes():
    for path in sorted((SOURCE / "examples" / "digits").glob("*.png")):
        done = run("predict", path, "-k", "1", "-f", "json")
        assert done.returncode == 0, done.stderr
        assert "handwritten digits that ships" in done.stderr
        assert f'"{path.stem}"' in done.stdout


def test_file_is_small_and_whole():
    assert MODEL.stat().st_size <= 25_000_000
    assert run("verify", MODEL).returncode == 0


def test_training_goes_on_from_it(held, tmp_path):
    few = tmp_path / "few"
    for digit in range(10):
        (few / str(digit)).mkdir(parents=True)
        for path in sorted((held / str(digit)).iterdir())[:4]:
            (few / str(digit) / path.name).symlink_to(path)
    done = run("train", few, "--val", few, "-o", tmp_path / "run", "-a", "hrnet_w18_small", "-w",
               MODEL, "--size", 64, "-b", 8, "-e", 2, "--lr", "0.001", "--least-area", "0.8",
               "--flip", 0)
    assert done.returncode == 0, done.stderr
    assert re.search(r"top-1 (100\.00|97\.50) %", done.stdout.splitlines()[-1]), done.stdout
