# SPDX-License-Identifier: Apache-2.0
"""Makes policies.txt: what AutoAugment, RandAugment, AugMix and timm's variants make of cup.ppm when
they draw from hrnet's own random numbers.

    python3 make_policies.py    # with Pillow, NumPy and timm (13.0, 2.4 and 1.0.31 made the file)

timm's lines are made by timm's own operations and strengths, fed with these numbers; PaddleClas's
by the rules of paddleclas.md 5.9, written out on Pillow.  A line: chain, seed, SHA-256."""
import hashlib
import math
import pathlib
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from timm.data import auto_augment as timm

HERE = pathlib.Path(__file__).parent
MASK = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15
FILL = (124, 116, 104)
AFFINE, NEAREST = Image.Transform.AFFINE, Image.Resampling.NEAREST
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Stream:
    def __init__(self, seed, stream):
        self.key = mix((mix((seed + STEP) & MASK) + stream * 0xD1342543DE82EF95) & MASK)
        self.count = 0

    def next(self):
        self.count += 1
        return mix((self.key + self.count * STEP) & MASK)

    def unit(self):
        return (self.next() >> 11) * 2.0 ** -53

    def between(self, a, b):
        return a + (b - a) * self.unit()

    def below(self, count):
        return self.next() % count

    def sign(self, value):
        return -value if self.unit() < 0.5 else value

    def normal(self):
        radius = math.sqrt(-2.0 * math.log(1.0 - self.unit()))
        return radius * math.cos(6.28318530717958647692 * self.unit())

    def gamma(self, shape):
        d = (shape + 1.0 if shape < 1.0 else shape) - 1.0 / 3.0
        c = 1.0 / math.sqrt(9.0 * d)
        less = math.pow(1.0 - self.unit(), 1.0 / shape) if shape < 1.0 else 1.0
        while True:
            x = self.normal()
            u = 1.0 - self.unit()
            w = 1.0 + c * x
            v = w * w * w
            if w > 0.0 and math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
                return d * v * less

    def beta(self, shape):
        a, b = self.gamma(shape), self.gamma(shape)
        return a / (a + b)


def posterize(picture, bits):
    """Pillow 13 refuses 0 bits, of which earlier ones made black."""
    return ImageOps.posterize(picture, bits) if bits > 0 else picture.point(lambda v: 0)


# ---- PaddleClas ----

def affine(picture, matrix, resample, fill):
    return picture.transform(picture.size, AFFINE, matrix, resample=resample, fillcolor=fill)


def paddle(r, picture, name, share, bits, threshold, fill=(128, 128, 128)):
    w, h = picture.size
    if name in ("shear_x", "shear_y"):
        a = r.sign(0.3 * share)
        return affine(picture, (1, a, 0, 0, 1, 0) if name == "shear_x" else (1, 0, 0, a, 1, 0),
                      BICUBIC, fill)
    if name == "translate_x":
        return affine(picture, (1, 0, r.sign(150.0 / 331.0 * share * w), 0, 1, 0), NEAREST, fill)
    if name == "translate_y":
        return affine(picture, (1, 0, 0, 0, 1, r.sign(150.0 / 331.0 * share * h)), NEAREST, fill)
    if name == "rotate":
        turned = picture.convert("RGBA").rotate(30.0 * share)
        return Image.composite(turned, Image.new("RGBA", turned.size, fill + (128,)),
                               turned).convert("RGB")
    if name in ("Color", "Contrast", "Brightness", "Sharpness"):
        return getattr(ImageEnhance, name)(picture).enhance(1.0 + r.sign(0.9 * share))
    return {"posterize": lambda: posterize(picture, bits),
            "solarize": lambda: ImageOps.solarize(picture, threshold),
            "autocontrast": lambda: ImageOps.autocontrast(picture),
            "equalize": lambda: ImageOps.equalize(picture),
            "invert": lambda: ImageOps.invert(picture)}[name]()


# AutoAugment, table 9: as timm's own list has it, in PaddleClas's names.
NAMES = {"PosterizeOriginal": "posterize", "Rotate": "rotate", "Solarize": "solarize",
         "AutoContrast": "autocontrast", "Equalize": "equalize", "Invert": "invert",
         "ShearX": "shear_x"}


def autoaugment(r, picture):
    policy = timm.auto_augment_policy_original({})[r.below(25)]
    for operation in policy:
        if r.unit() >= operation.prob:
            continue
        index = operation.magnitude
        picture = paddle(r, picture, NAMES.get(operation.name, operation.name), index / 9.0,
                         int(np.round(np.linspace(8, 4, 10), 0)[index]),
                         256.0 - 256.0 * (index / 9.0))
    return picture


RAND = ["shear_x", "shear_y", "translate_x", "translate_y", "rotate", "Color", "posterize",
        "solarize", "Contrast", "Sharpness", "Brightness", "autocontrast", "equalize", "invert"]


def randaugment(r, picture, n, m):
    for _ in range(n):
        picture = paddle(r, picture, RAND[r.below(14)], m / 10.0, int(4.0 * (m / 10.0)),
                         256.0 * (m / 10.0))
    return picture


def augmix(r, picture, coeff, width, depth, severity):
    gammas = [r.gamma(coeff) for _ in range(width)]
    weights = [np.float32(g / sum(gammas)) for g in gammas]
    share = np.float32(r.beta(coeff))
    total = np.zeros((picture.height, picture.width, 3), np.float32)
    for weight in weights:
        branch = picture
        for _ in range(depth if depth > 0 else 1 + r.below(3)):
            branch = augmix_one(r, branch, severity)
        total += weight * np.asarray(branch).astype(np.float32)
    own = np.asarray(picture).astype(np.float32)
    mixed = (np.float32(1) - share) * own + share * total
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def augmix_one(r, p, severity):
    name = ["autocontrast", "equalize", "posterize", "rotate", "solarize", "shear_x", "shear_y",
            "translate_x", "translate_y"][r.below(9)]
    level = r.between(0.1, severity) / 10.0
    w, h = p.size
    black = (0, 0, 0)
    if name == "posterize":
        return posterize(p, 4 - int(level * 4.0))
    if name == "solarize":
        return ImageOps.solarize(p, 256 - int(level * 256.0))
    if name == "rotate":
        return p.rotate(r.sign(int(level * 30.0)), resample=BILINEAR)
    if name == "shear_x":
        return affine(p, (1, r.sign(level * 0.3), 0, 0, 1, 0), BILINEAR, black)
    if name == "shear_y":
        return affine(p, (1, 0, 0, r.sign(level * 0.3), 1, 0), BILINEAR, black)
    if name == "translate_x":
        return affine(p, (1, 0, r.sign(int(level * w / 3.0)), 0, 1, 0), BILINEAR, black)
    if name == "translate_y":
        return affine(p, (1, 0, 0, 0, 1, r.sign(int(level * h / 3.0))), BILINEAR, black)
    return {"autocontrast": ImageOps.autocontrast, "equalize": ImageOps.equalize}[name](p)


# ---- timm ----

def feed(r):
    """timm's draws come from the stream r."""
    random.random = r.unit
    random.gauss = lambda mean, deviation: mean + deviation * r.normal()
    random.uniform = r.between
    timm._randomly_negate = r.sign
    timm.ImageOps.posterize = posterize_for_timm


PLAIN = ImageOps.posterize


def posterize_for_timm(picture, bits):
    return PLAIN(picture, bits) if bits > 0 else picture.point(lambda v: 0)


def hparams(**more):
    return {"img_mean": FILL, "interpolation": BICUBIC, "translate_const": 100, **more}


def draw(r, transform):
    """The operations of all layers; with weights none twice."""
    if transform.choice_weights is None:
        return [transform.ops[r.below(len(transform.ops))] for _ in range(transform.num_layers)]
    left, drawn = dict(enumerate(transform.choice_weights)), []
    for _ in range(transform.num_layers):
        at = r.between(0.0, sum(left.values()))
        for i, weight in left.items():
            at -= weight
            if at < 0.0:
                break
        drawn.append(transform.ops[i])
        del left[i]
    return drawn


def timm_rand(r, picture, text):
    feed(r)
    transform = timm.rand_augment_transform(text, hparams())
    for operation in draw(r, transform):
        picture = operation(picture)
    return picture


def timm_auto(r, picture, text):
    feed(r)
    transform = timm.auto_augment_transform(text, hparams())
    for operation in transform.policy[r.below(len(transform.policy))]:
        picture = operation(picture)
    return picture


class OneByOne:
    """Operations that are drawn when their turn comes, as hrnet does."""

    def __init__(self, r, ops, depth):
        self.r, self.ops, self.depth = r, ops, depth

    def __iter__(self):
        for _ in range(self.depth):
            yield self.ops[self.r.below(len(self.ops))]


def timm_augmix(r, picture, text):
    feed(r)
    transform = timm.augment_and_mix_transform(text, hparams())
    gammas = [r.gamma(transform.alpha) for _ in range(transform.width)]
    weights = [np.float32(g / sum(gammas)) for g in gammas]
    share = np.float32(r.beta(transform.alpha))
    if transform.blended:
        plain, numbers = np.random.choice, np.random.randint
        np.random.randint = lambda low, high: low + r.below(high - low)
        np.random.choice = lambda ops, depth, replace: OneByOne(r, ops, depth)
        mixed = transform._apply_blended(picture, np.array(weights), share)
        np.random.choice, np.random.randint = plain, numbers
        return mixed
    total = np.zeros((picture.height, picture.width, 3), np.float32)
    for weight in weights:
        depth = transform.depth if transform.depth > 0 else 1 + r.below(3)
        branch = picture
        for _ in range(depth):
            branch = transform.ops[r.below(13)](branch)
        total += weight * np.asarray(branch, dtype=np.float32)
    np.clip(total, 0, 255.0, out=total)
    return Image.blend(picture, Image.fromarray(total.astype(np.uint8)), share)


CASES = [("autoaugment", autoaugment, 40),
         ("randaugment:n=2,m=9", lambda r, p: randaugment(r, p, 2, 9), 25),
         ("randaugment:n=3,m=2", lambda r, p: randaugment(r, p, 3, 2), 15),
         ("augmix", lambda r, p: augmix(r, p, 0.1, 3, 1, 1), 10),
         ("augmix:coeff=1,width=2,depth=0,severity=9", lambda r, p: augmix(r, p, 1, 2, 0, 9), 20)]
CASES += [("timm:" + text, lambda r, p, text=text: timm_rand(r, p, text), 25)
          for text in ("rand-m9-mstd0.5-inc1", "rand-m7-n4-p1.0", "rand-m9-mstd101-inc1-n3",
                       "rand-m15-mmax20-inc1-p0.9", "rand-m9-tweights-p1.0",
                       "rand-m7-n4-mstd0.5-tweights", "rand-m6-n3-t3a-p1.0", "rand-m9-inc1-t3aw-n9")]
CASES += [("timm:" + text, lambda r, p, text=text: timm_auto(r, p, text), 25)
          for text in ("original", "originalr", "v0", "v0r-mstd0.5", "original-mstd1", "3a",
                       "3a-mstd2")]
CASES += [("timm:" + text, lambda r, p, text=text: timm_augmix(r, p, text), 10)
          for text in ("augmix-m5-w4-d2", "augmix-m3-w3-mstd0.5", "augmix-m5-w4-d2-b1",
                       "augmix-m7-w3-a0.5-b1")]

if __name__ == "__main__":
    picture = Image.open(HERE / "cup.ppm").convert("RGB")
    lines = []
    for text, function, count in CASES:
        for seed in range(count):
            made = function(Stream(31, seed), picture)
            lines.append(f"{text} {seed} {hashlib.sha256(made.tobytes()).hexdigest()}\n")
    (HERE / "policies.txt").write_text("".join(lines))
