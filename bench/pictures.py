#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decoding and cropping beside OpenCV on one thread: time and, where both resize alike, bits.

A 1080p photograph (an upscaled test picture with noise, quality 90) is decoded from memory, resized
to a short side of 256 and cropped to 224.  The two sides take turns; the least and the median of
all rounds are printed.

Run: python3 bench/pictures.py [build/libhrnet.so]      needs opencv-python-headless==4.6.0.66
"""
import ctypes
import pathlib
import statistics
import sys
import time

import cv2
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROUNDS = 60


class Recipe(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 32), ("resize", ctypes.c_int),
                ("resize_short", ctypes.c_int), ("crop_width", ctypes.c_int),
                ("crop_height", ctypes.c_int), ("scale", ctypes.c_float),
                ("mean", ctypes.c_float * 3), ("deviation", ctypes.c_float * 3)]


def load(path):
    lib = ctypes.CDLL(str(path))
    lib.hrnet_last_error.restype = ctypes.c_char_p
    lib.hrnet_preprocess_crop.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p,
        ctypes.c_void_p, ctypes.c_void_p]
    return lib


def named(lib, name):
    recipe = Recipe()
    if lib.hrnet_recipe_named(name.encode(), ctypes.byref(recipe)):
        raise RuntimeError(lib.hrnet_last_error().decode())
    return recipe


def ours(lib, recipe, data):
    out = np.empty((recipe.crop_height, recipe.crop_width, 3), np.uint8)
    if lib.hrnet_preprocess_crop(ctypes.byref(recipe), data, len(data), b"picture", None,
                                 out.ctypes.data, None):
        raise RuntimeError(lib.hrnet_last_error().decode())
    return out


def opencv(data, short=256, crop=224):
    img = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    h, w = img.shape[:2]
    s = float(short) / min(h, w)
    img = cv2.resize(img, (int(round(w * s)), int(round(h * s))))
    h, w = img.shape[:2]
    y, x = (h - crop) // 2, (w - crop) // 2
    return np.ascontiguousarray(img[y:y + crop, x:x + crop, ::-1])


def pictures():
    photo = cv2.imread(str(ROOT / "tests/data/pictures/coffee.png"))
    photo = cv2.resize(photo, (1920, 1280), interpolation=cv2.INTER_CUBIC)[100:1180]
    noise = np.random.default_rng(1).normal(0, 4, photo.shape)
    photo = np.clip(photo + noise, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
    yield "1080p JPEG", cv2.imencode(".jpg", photo, quality)[1].tobytes()
    yield "1080p progressive JPEG", cv2.imencode(
        ".jpg", photo, quality + [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    yield "1080p PNG", cv2.imencode(".png", photo)[1].tobytes()
    yield "1080p WebP", cv2.imencode(".webp", photo, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
    for name in ("cat_420.jpg", "size_1001x512.jpg"):
        yield name, (ROOT / "tests/data/pictures" / name).read_bytes()


def times(*runs):
    spent = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, list_ in zip(runs, spent):
            start = time.perf_counter()
            run()
            list_.append((time.perf_counter() - start) * 1e3)
    return spent


def main():
    lib = load(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/libhrnet.so")
    cv2.setNumThreads(1)
    plain, pillow = named(lib, "opencv"), named(lib, "pillow")
    cpu = next(l for l in open("/proc/cpuinfo") if l.startswith("model name")).split(":")[1].strip()
    print(f"CPU: {cpu}; OpenCV {cv2.__version__}, one thread; milliseconds, least / median of {ROUNDS}")
    print("| picture | hrnet | OpenCV | ratio of medians | same bits | hrnet, Pillow's recipe |")
    print("|---|---|---|---|---|---|")
    for name, data in pictures():
        same = bool((ours(lib, plain, data) == opencv(data)).all())
        a, b, c = times(lambda: ours(lib, plain, data), lambda: opencv(data),
                        lambda: ours(lib, pillow, data))
        cell = [f"{min(t):.2f} / {statistics.median(t):.2f}" for t in (a, b, c)]
        ratio = statistics.median(b) / statistics.median(a)
        print(f"| {name} | {cell[0]} | {cell[1]} | {ratio:.2f} | {'yes' if same else 'NO'} | {cell[2]} |")


if __name__ == "__main__":
    main()
