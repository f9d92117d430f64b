# SPDX-License-Identifier: Apache-2.0
"""Makes cup.ppm and pillow.txt: what Pillow's own operations make of a small picture.

    python3 make_augment.py     # with Pillow (13.0 made the files that are kept)

A line: picture, operation, argument, filter (or -), SHA-256 of the RGB bytes.  Pictures: cup is
cup.ppm, dull the same with values v // 3 + 40, flat one colour, small its first 2 x 2 pixels."""
import hashlib
import pathlib

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

HERE = pathlib.Path(__file__).parent
FILL = (124, 116, 104)


def pictures():
    coffee = Image.open(HERE.parent / "pictures" / "coffee.png").convert("RGB")
    cup = coffee.resize((coffee.width // 6, coffee.height // 6)).crop((4, 4, 57, 44))
    return {"cup": cup, "dull": cup.point(lambda v: v // 3 + 40),
            "flat": Image.new("RGB", (9, 7), (10, 200, 90)), "small": cup.crop((0, 0, 2, 2))}


def affine(picture, matrix, resample):
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, resample=resample,
                             fillcolor=FILL)


def hue(picture, shift):
    h, s, v = picture.convert("HSV").split()
    return Image.merge("HSV", (h.point(lambda x: (x + int(shift)) % 256), s, v)).convert("RGB")


def solarize_add(picture, add):
    return picture.point([min(255, i + int(add)) if i < 128 else i for i in range(256)] * 3)


TONES = {
    "autocontrast": (lambda p, a: ImageOps.autocontrast(p), [0]),
    "equalize": (lambda p, a: ImageOps.equalize(p), [0]),
    "invert": (lambda p, a: ImageOps.invert(p), [0]),
    "gray": (lambda p, a: p.convert("L").convert("RGB"), [0]),
    "solarize": (lambda p, a: ImageOps.solarize(p, a), [0, 56.88888888888889, 128, 256]),
    "solarize_add": (solarize_add, [0, 55, 110]),
    "posterize": (lambda p, a: ImageOps.posterize(p, int(a)), [1, 4, 7, 8]),
    "hue": (hue, [0, 1, 30, 128, 250]),
    "color": (lambda p, a: ImageEnhance.Color(p).enhance(a), [0, 0.1, 0.73, 1, 1.9, 3.5]),
    "contrast": (lambda p, a: ImageEnhance.Contrast(p).enhance(a), [0, 0.1, 0.73, 1, 1.9, 3.5]),
    "brightness": (lambda p, a: ImageEnhance.Brightness(p).enhance(a), [0, 0.1, 0.73, 1, 1.9, 3]),
    "blur": (lambda p, a: p.filter(ImageFilter.GaussianBlur(a)), [0, 0.1, 0.5, 1, 1.37, 2, 5.3, 40]),
    "sharpness": (lambda p, a: ImageEnhance.Sharpness(p).enhance(a), [0, 0.1, 0.73, 1, 1.9, 3.5]),
}
WARPS = {
    "shear_x": (lambda p, a, f: affine(p, (1, a, 0, 0, 1, 0), f), [0.03, -0.27, 0.3]),
    "shear_y": (lambda p, a, f: affine(p, (1, 0, 0, a, 1, 0), f), [0.03, -0.27, 0.3]),
    "translate_x": (lambda p, a, f: affine(p, (1, 0, a, 0, 1, 0), f), [7.3, -3.5, 20, -60]),
    "translate_y": (lambda p, a, f: affine(p, (1, 0, 0, 0, 1, a), f), [7.3, -3.5, 20, -60]),
    "rotate": (lambda p, a, f: p.rotate(a, resample=f, fillcolor=FILL),
               [0, 3, -9.3, 26.666666666666668, 30, 45, 90, 180, 270, 359.9]),
}
FILTERS = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
           "bicubic": Image.Resampling.BICUBIC}


def lines():
    for name, picture in pictures().items():
        for operation, (function, arguments) in TONES.items():
            for a in arguments:
                yield name, operation, a, "-", function(picture, a)
        for operation, (function, arguments) in WARPS.items():
            for a in arguments:
                for word, f in FILTERS.items():
                    yield name, operation, a, word, function(picture, a, f)


if __name__ == "__main__":
    cup = pictures()["cup"]
    (HERE / "cup.ppm").write_bytes(b"P6 %d %d 255\n" % cup.size + cup.tobytes())
    (HERE / "pillow.txt").write_text("".join(
        f"{name} {operation} {a!r} {word} {hashlib.sha256(p.tobytes()).hexdigest()}\n"
        for name, operation, a, word, p in lines()))
