# SPDX-License-Identifier: Apache-2.0
"""Pictures and numbers of explain and features, as NumPy and a PNG reader see them."""
import base64
import json
import os
import pathlib
import re
import struct
import subprocess
import xml.etree.ElementTree
import zlib

import numpy as np
import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
PICTURES = pathlib.Path(os.environ["HRNET_TESTS"]) / "data" / "pictures"
CAT = PICTURES / "cat_420.jpg"


def run(*args, text=True):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HRNET_PROGRESS": "none"}
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, env=environment, text=text)


def good(*args):
    result = run(*args)
    assert result.returncode == 0, result.stderr
    return result.stdout


def bad(code, word, *args):
    result = run(*args)
    assert result.returncode == code and word in result.stderr, (result.returncode, result.stderr)


def png(path):
    """The pixels of a truecolour PNG of 8 bits without interlacing (PNG specification, 9.2)."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, body = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", data[at + 8:at + 18])
            assert (depth, colour) == (8, 2)
        body += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + 3 * width)
    out = np.zeros((height, width, 3), np.uint8)
    above = np.zeros((width, 3), np.int64)
    for y, (kind, row) in enumerate(zip(rows[:, 0], rows[:, 1:].reshape(height, width, 3))):
        if kind in (0, 1):
            line = np.cumsum(row, 0) if kind else row
        elif kind == 2:
            line = row + above
        else:
            line, left, corner = np.zeros((width, 3), np.int64), np.zeros(3, np.int64), np.zeros(3, np.int64)
            for x in range(width):
                if kind == 3:
                    guess = (left + above[x]) // 2
                else:
                    p = left + above[x] - corner
                    a, b, c = abs(p - left), abs(p - above[x]), abs(p - corner)
                    guess = np.where((a <= b) & (a <= c), left, np.where(b <= c, above[x], corner))
                left = line[x] = row[x] + guess & 255
                corner = above[x]
        above = np.asarray(line, np.int64) & 255
        out[y] = above
    return out


@pytest.fixture(scope="module")
def w18(tmp_path_factory):
    path = tmp_path_factory.mktemp("explain") / "w18.safetensors"
    good("convert", "synthetic:HRNet_W18_C", path)
    return path


@pytest.fixture(scope="module")
def crop(tmp_path_factory):
    path = tmp_path_factory.mktemp("crop") / "x.png"
    good("preprocess", CAT, "-o", path)
    return png(path)


def test_class_activation_map_adds_up_to_the_logit(w18, tmp_path):
    good("preprocess", CAT, "-o", tmp_path / "x.npy")
    good("run", w18, "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    good("run", w18, "-i", tmp_path / "x.npy", "-o", tmp_path / "last.npy", "--output-name", "last")
    logits, last = np.load(tmp_path / "y.npy")[0], np.load(tmp_path / "last.npy")[0]
    head, bias = head_of(w18)
    for chosen in (int(logits.argmax()), 3):
        good("explain", CAT, "-m", w18, "--method", "cam", "--class", chosen, "--npy", tmp_path / "m.npy")
        cam = np.load(tmp_path / "m.npy")
        assert cam.shape == (7, 7) and cam.dtype == np.float32
        want = np.tensordot(head[:, chosen], last, 1)
        assert np.abs(cam - want).max() < 1e-3 * np.abs(want).max()
        assert cam.mean() + bias[chosen] == pytest.approx(logits[chosen], rel=1e-3)


def head_of(path):
    """fc.weight [2048,1000] and fc.bias of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])

    def array(name):
        first, last = header[name]["data_offsets"]
        return np.frombuffer(data[8 + size + first:8 + size + last], "<f4").reshape(header[name]["shape"])

    return array("fc.weight"), array("fc.bias")


@pytest.mark.parametrize("method, feature, side", [
    ("layercam", "stage4.0", 56), ("layercam", "stage4.3", 7), ("gradcam", "incre.1", 28),
    ("gradcam", "stem", 56), ("layercam", "last", 7)])
def test_overlay_is_strongest_where_the_map_is(w18, crop, tmp_path, method, feature, side):
    out, npy = tmp_path / "o.png", tmp_path / "m.npy"
    told = json.loads(good("explain", CAT, "-m", w18, "--method", method, "--feature", feature, "-o", out,
                           "--npy", npy, "--json"))
    values, overlay = np.load(npy), png(out).astype(int)
    assert values.shape == (side, side) and values.min() >= 0
    assert (told["rows"], told["columns"]) == (side, side)
    assert told["most"] == pytest.approx(float(values.max()), rel=1e-5)
    row, column = np.unravel_index(values.argmax(), values.shape)
    cell = 224 // side
    assert told["strongest"] == {"x": int((2 * column + 1) * 224 // (2 * side)),
                                 "y": int((2 * row + 1) * 224 // (2 * side))}
    # Red where most is: 65 % of d6221e, and where nothing is 25 % of 1c2078, at the least.
    seen = overlay - 0.35 * crop
    hot = seen[row * cell:(row + 1) * cell, column * cell:(column + 1) * cell].reshape(-1, 3).max(0)
    assert hot[0] > 0.5 * 0xd6
    assert (overlay >= 0.35 * crop - 1).all()


def test_sheets_rectangles_and_standard_output(w18, crop, tmp_path):
    sheet = tmp_path / "s.png"
    good("explain", CAT, "-m", w18, "--sheet", sheet)
    pixels = png(sheet)
    assert pixels.shape[1] == 8 + 4 * 232
    assert (pixels[8:232, 8:232] == crop).all()
    good("explain", CAT, "-m", w18, "--size", "64x96", "--sheet", sheet, "--npy", tmp_path / "m.npy")
    assert np.load(tmp_path / "m.npy").shape == (16, 24)
    result = run("explain", CAT, "-m", w18, "--npy", "-", "--method", "cam", text=False)
    assert result.returncode == 0 and result.stdout.startswith(b"\x93NUMPY")
    assert len(result.stdout) == 128 + 49 * 4
    result = run("explain", CAT, "-m", w18, "-o", "-", text=False)
    assert result.stdout.startswith(b"\x89PNG") and result.stdout.endswith(b"IEND\xaeB`\x82")


def test_occlusion(w18, tmp_path):
    npy = tmp_path / "m.npy"
    common = ("explain", CAT, "-m", w18, "--size", 64, "--method", "occlusion", "--npy", npy, "--class", 5)
    good(*common, "--step", 24, "--side", 20, "-b", 2)
    some = np.load(npy)
    assert some.shape == (3, 3)
    good(*common, "--step", 24, "--side", 20, "-b", 1, "-t", 1)
    assert (np.load(npy) == some).all()
    # The square at (1,2), by hand.
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    good("preprocess", CAT, "-o", x, "--size", 64)
    covered = np.load(x)
    whole = covered.copy()
    covered[:, :, 24 + 12 - 10:24 + 12 + 10, 48 + 12 - 10:] = 0
    np.save(x, np.concatenate([whole, covered]))
    good("run", w18, "-i", x, "-o", y)
    logits = np.load(y)
    assert some[1, 2] == pytest.approx(logits[0, 5] - logits[1, 5], abs=1e-5)


def test_graphs_have_the_map_that_the_head_pools(w18, tmp_path):
    good("export", w18, "-o", tmp_path / "x.onnx", "--fold")
    for method in ("cam", "gradcam", "occlusion"):
        form = ("--step", 112) if method == "occlusion" else ()
        maps = []
        for model in (w18, tmp_path / "x.onnx"):
            feature = ("--feature", "last") if method == "gradcam" else ()
            good("explain", CAT, "-m", model, "--method", method, "--npy", tmp_path / "m.npy", *form, *feature)
            maps.append(np.load(tmp_path / "m.npy"))
        assert np.abs(maps[0] - maps[1]).max() < 1e-3 * np.abs(maps[0]).max()


def test_what_is_wrong_is_told(w18, tmp_path):
    bad(2, "explain needs --output", "explain", CAT, "-m", w18)
    bad(2, "--feature is of layercam", "explain", CAT, "-m", w18, "--method", "cam", "--feature", "stem",
        "--json")
    bad(3, "stage4.0", "explain", CAT, "-m", w18, "--feature", "stage4.9", "--json")
    bad(2, "class 1000 is out of range", "explain", CAT, "-m", w18, "--class", 1000, "--json")
    bad(4, "none.jpg", "explain", "none.jpg", "-m", w18, "--json")
    bad(2, "features needs --output", "features", CAT, "-m", w18)
    bad(2, "holds one picture, not 2", "predict", CAT, CAT, "-m", w18, "--features", tmp_path / "x.npz")


STRIDES = {"stem": (4, 64), "layer1": (4, 256), "last": (32, 2048),
           **{f"stage{s}.{b}": (4 << b, 18 << b) for s in (2, 3, 4) for b in range(s)},
           **{f"incre.{b}": (4 << b, 128 << b) for b in range(4)}}


@pytest.mark.parametrize("size, command", [((224, 224), "predict"), ((96, 160), "predict"),
                                           ((61, 285), "predict"), ((64, 32), "features")])
def test_feature_files_on_any_legal_rectangle(w18, tmp_path, size, command):
    out = tmp_path / "f.npz"
    form = ("--features", out) if command == "predict" else ("--npz", out, "-o", tmp_path / "f.png")
    good(command, CAT, "-m", w18, "--size", "%dx%d" % size, *form)
    maps = np.load(out)
    assert set(maps.files) == set(STRIDES) | {"pool", "logits"}
    for name, (stride, channels) in STRIDES.items():
        assert maps[name].shape == (1, channels, *(-(-n // stride) for n in size)), name
        assert maps[name].dtype == np.float32 and np.isfinite(maps[name]).all()
    assert maps["pool"].shape == (1, 2048) and maps["logits"].shape == (1, 1000)
    assert np.allclose(maps["last"].mean((2, 3)), maps["pool"], rtol=1e-4, atol=1e-6)
    if command == "features":
        assert png(tmp_path / "f.png").shape[1] > 4 * 224


# ---- The network and the answers as pictures ----

def test_plan_draws_every_step(w18, tmp_path):
    for size, count in (("64", 5), ("32x64", 5)):
        svg = tmp_path / "p.svg"
        steps = json.loads(good("plan", w18, "--size", size, "-t", 1, "--svg", svg, "--json"))["steps"]
        root = xml.etree.ElementTree.fromstring(svg.read_text())
        name = "{http://www.w3.org/2000/svg}"
        boxes = [r for r in root.iter(name + "rect") if r.find(name + "title") is not None]
        assert [b.find(name + "title").text.splitlines()[0] for b in boxes] == [s["name"] for s in steps]
        assert len({b.get("y") for b in boxes}) == count  # strides 2 to 32
        places = {(b.get("x"), b.get("y")) for b in boxes}
        assert len(places) == len(boxes)  # none hides another
        width, height = float(root.get("width")), float(root.get("height"))
        assert all(float(b.get("x")) + 9 < width and float(b.get("y")) + 30 < height for b in boxes)
        groups = [t.text for t in root.iter(name + "text") if t.text and t.text.startswith("stage ")]
        assert groups == ["stage 2.0", "stage 3.0", "stage 3.1", "stage 3.2", "stage 3.3", "stage 4.0",
                          "stage 4.1", "stage 4.2"]


def test_page_of_predictions(w18, tmp_path):
    odd = tmp_path / 'a "b" <i>&.jpg'
    odd.write_bytes(CAT.read_bytes())
    (tmp_path / "text.jpg").write_text("no picture\n")
    page = tmp_path / "s.html"
    result = run("predict", odd, tmp_path / "text.jpg", PICTURES / "orient6.jpg", "-m", w18, "--html", page,
                 "-k", 3, "-b", 2, "-f", "jsonl")
    assert result.returncode == 1
    records = [json.loads(line) for line in result.stdout.splitlines()]
    text = page.read_text()
    cards = text.split("<figure>")[1:]
    assert len(cards) == 3 and text.rstrip().endswith("</main>")
    assert "http" not in text and "prefers-color-scheme:dark" in text
    assert "a &quot;b&quot; &lt;i&gt;&amp;.jpg" in cards[0] and "<i>" not in text
    assert "not a picture" in cards[1] and "<img" not in cards[1]
    for record, card in ((records[0], cards[0]), (records[2], cards[2])):
        code = re.search(r'src="data:image/png;base64,([A-Za-z0-9+/=]+)"', card).group(1)
        (tmp_path / "t.png").write_bytes(base64.b64decode(code, validate=True))
        pixels = png(tmp_path / "t.png")
        width, height = map(int, re.search(r'width="(\d+)" height="(\d+)"', card).groups())
        assert pixels.shape == (height, width, 3) and max(width, height) <= 224
        assert (width < height) == (record["width"] < record["height"])
        assert re.findall(r'title="class (\d+)"', card) == [str(k) for k in record["class_ids"]]
        bars = [float(w) for w in re.findall(r"width:([\d.]+)%", card)]
        assert bars == pytest.approx([100 * s for s in record["scores"]], abs=0.01)
