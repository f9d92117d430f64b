#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/data/kinds: tiny pictures of every kind, and expected.txt with what OpenCV 4.6 reads from
each (imread of the file, IMREAD_COLOR): name, width, height and SHA-256 of the RGB bytes.

    pip install numpy==1.26.4 opencv-python-headless==4.6.0.66 pillow
    python3 make_pictures.py FOLDER"""
import hashlib
import io
import os
import struct
import sys
import zlib

import cv2
import numpy as np
from PIL import Image

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(5)
W, H = 11, 7


def put(name, data):
    with open(os.path.join(out, name), "wb") as file:
        file.write(data)


def bmp(name, bits, rows, compression=0, palette=b"", masks=b"", height=H, core=False, head=40):
    if core:
        header = struct.pack("<IHHHH", 12, W, height, 1, bits)
        palette = b"".join(palette[i:i + 3] for i in range(0, len(palette), 4))
    else:
        header = struct.pack("<IiiHHIIiiII", head, W, height, 1, bits, compression, len(rows), 0, 0,
                             len(palette) // 4, 0)
        header += (masks + bytes(head))[:head - 40] if head > 40 else b""
    extra = masks if head == 40 else b""
    start = 14 + len(header) + len(extra) + len(palette)
    put(name, b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + extra + palette + rows)


def packed(values, bits):
    data = b""
    for row in values:
        text = "".join(format(v, f"0{bits}b") for v in row)
        row_bytes = int(text.ljust((len(text) + 31) // 32 * 32, "0"), 2).to_bytes((len(text) + 31) // 32 * 4, "big")
        data += row_bytes
    return data


def bmps():
    colours = rng.integers(0, 256, (256, 4), dtype=np.uint8)
    colours[:, 3] = 0
    for bits in (1, 4, 8):
        table = colours[:1 << bits].tobytes()
        values = rng.integers(0, 1 << bits, (H, W))
        bmp(f"bmp{bits}.bmp", bits, packed(values, bits), palette=table)
        bmp(f"bmp{bits}_top_down.bmp", bits, packed(values, bits), palette=table, height=-H)
        bmp(f"bmp{bits}_core.bmp", bits, packed(values, bits), palette=table, core=True)
    sixteen = rng.integers(0, 65536, (H, W + 1), dtype=np.uint16)
    bmp("bmp16.bmp", 16, sixteen.tobytes())
    bmp("bmp16_565.bmp", 16, sixteen.tobytes(), 3, masks=struct.pack("<III", 0xf800, 0x7e0, 0x1f))
    bmp("bmp16_555.bmp", 16, sixteen.tobytes(), 3, masks=struct.pack("<III", 0x7c00, 0x3e0, 0x1f))
    bmp("bmp24.bmp", 24, rng.integers(0, 256, H * 36, dtype=np.uint8).tobytes())
    bmp("bmp24_top_down.bmp", 24, rng.integers(0, 256, H * 36, dtype=np.uint8).tobytes(), height=-H)
    four = rng.integers(0, 256, H * W * 4, dtype=np.uint8).tobytes()
    bmp("bmp32.bmp", 32, four)
    bmp("bmp32_fields.bmp", 32, four, 3, masks=struct.pack("<III", 0xff0000, 0xff00, 0xff))
    bmp("bmp32_v5.bmp", 32, four, 3, masks=struct.pack("<IIII", 0xff0000, 0xff00, 0xff, 0xff000000), head=124)
    runs8 = bytes([5, 1, 0, 5, 2, 3, 4, 5, 6, 0, 1, 7, 0, 0]) + bytes([11, 9, 0, 0]) * 3 + \
        bytes([0, 2, 3, 1, 4, 8, 0, 0, 11, 200, 0, 0, 0, 1])
    bmp("bmp8_rle.bmp", 8, runs8, 1, palette=colours.tobytes())
    runs4 = bytes([5, 0x12, 0, 6, 0x34, 0x56, 0x78, 0, 0, 0]) + bytes([11, 0x9a, 0, 0]) * 5 + \
        bytes([11, 0xbc, 0, 0, 0, 1])
    bmp("bmp4_rle.bmp", 4, runs4, 2, palette=colours[:16].tobytes())


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png(name, colour, depth, laced, trns=b"", extra=b""):
    limit = 1 << depth
    values = rng.integers(0, min(limit, 40) if colour == 3 else limit, (H, W, CHANNELS[colour]))

    def rows(block):
        raw = b""
        for row in block:
            bits = "".join(format(int(v), f"0{depth}b") for v in row.reshape(-1))
            raw += b"\0" + int(bits.ljust((len(bits) + 7) // 8 * 8, "0"), 2).to_bytes((len(bits) + 7) // 8, "big")
        return raw

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    raw = b"".join(rows(values[y::dy, x::dx]) for x, y, dx, dy in PASSES if x < W and y < H) if laced else rows(values)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, laced)) + extra
    if colour == 3:
        data += chunk(b"PLTE", rng.integers(0, 256, 3 * min(limit, 40), dtype=np.uint8).tobytes())
    if trns:
        data += chunk(b"tRNS", trns)
    put(name, data + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def pngs():
    for laced in (0, 1):
        for colour, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))):
            for depth in depths:
                png(f"png_c{colour}_d{depth}{'_laced' if laced else ''}.png", colour, depth, laced)
    png("png_gray_trns.png", 0, 8, 0, b"\0\x10")
    png("png_rgb_trns.png", 2, 8, 0, b"\0\x10\0\x20\0\x30")
    png("png_rgb16_trns.png", 2, 16, 0, b"\0\x10\0\x20\0\x30")
    png("png_palette_trns.png", 3, 4, 1, bytes(range(0, 160, 10)))
    gama = b"gAMA" + struct.pack(">I", 100000)
    png("png_gamma.png", 2, 8, 0, extra=struct.pack(">I", 4) + gama + struct.pack(">I", zlib.crc32(gama)))


def others():
    base = cv2.resize(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), (37, 29), interpolation=cv2.INTER_CUBIC)
    picture = Image.fromarray(base)

    def save(name, image=picture, **options):
        file = io.BytesIO()
        image.save(file, **options)
        put(name, file.getvalue())
        return file.getvalue()
    for sampling, name in ((0, "444"), (1, "422"), (2, "420")):
        save(f"jpeg_{name}.jpg", format="JPEG", quality=80, subsampling=sampling)
        save(f"jpeg_{name}_progressive.jpg", format="JPEG", quality=80, subsampling=sampling, progressive=True)
    save("jpeg_restart.jpg", format="JPEG", quality=80, restart_marker_blocks=2)
    save("jpeg_gray.jpg", picture.convert("L"), format="JPEG", quality=80)
    save("jpeg_gray_progressive.jpg", picture.convert("L"), format="JPEG", quality=80, progressive=True)
    save("jpeg_rgb.jpg", format="JPEG", quality=80, keep_rgb=True)
    save("jpeg_cmyk.jpg", picture.convert("CMYK"), format="JPEG", quality=80)
    big = Image.fromarray(cv2.resize(base, (96, 80)))
    for name, options in (("baseline", {}), ("progressive", {"progressive": True})):
        file = io.BytesIO()
        big.save(file, format="JPEG", quality=90, **options)
        for percent in (30, 60, 95):
            put(f"jpeg_cut_{name}_{percent}.jpg", file.getvalue()[:len(file.getvalue()) * percent // 100])
    save("webp_lossy.webp", format="WEBP", quality=70)
    save("webp_lossless.webp", format="WEBP", lossless=True)
    clear = picture.convert("RGBA")
    clear.putalpha(Image.fromarray((base[:, :, 0] // 2)))
    save("webp_alpha.webp", clear, format="WEBP", quality=70)
    save("webp_alpha_lossless.webp", clear, format="WEBP", lossless=True, exact=True)
    save("webp_animated.webp", format="WEBP", save_all=True, append_images=[picture.rotate(180)], duration=100)
    small = base[:3, :5].copy()
    put("p6.ppm", b"P6\n5 3\n255\n" + small.tobytes())
    put("p6_16.ppm", b"P6\n5 3\n65535\n" + (small.astype(">u2") * 257).tobytes())
    put("p5.pgm", b"P5\n5 3\n255\n" + small[:, :, 0].tobytes())
    put("p4.pbm", b"P4\n5 3\n" + bytes([0xa8, 0x50, 0xf8]))
    put("p3.ppm", b"P3\n5 3\n255\n" + b" ".join(b"%d" % v for v in small.reshape(-1)) + b"\n")
    put("p2.pgm", b"P2\n5 3\n255\n" + b" ".join(b"%d" % v for v in small[:, :, 0].reshape(-1)) + b"\n")
    put("p1.pbm", b"P1\n5 3\n1 0 1 0 1\n0 1 0 1 0\n1 1 1 1 1\n")


bmps()
pngs()
others()
with open(os.path.join(out, "expected.txt"), "w") as file:
    for name in sorted(os.listdir(out)):
        if name in ("expected.txt", "make_pictures.py"):
            continue
        image = cv2.imread(os.path.join(out, name), cv2.IMREAD_COLOR)
        if image is None:
            print(f"{name} 0 0 none", file=file)
        else:
            rgb = np.ascontiguousarray(image[:, :, ::-1])
            print(f"{name} {rgb.shape[1]} {rgb.shape[0]} {hashlib.sha256(rgb.tobytes()).hexdigest()}", file=file)
