#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times this tree beside another commit in one run, so that a slow-down is seen before it lands.

Both are built as releases (the other one in build/compare/COMMIT).  In each round both run `hrnet bench` in a
fresh process, the first one in turn, on the same synthetic weights.  A cell's figure is the ratio of the two
least times of a round, other / this tree: above 1 this tree is faster.  Printed are the median of the rounds and
its 95 % interval by resampling.  Exit status 1 when a whole interval lies below 1 - TOLERANCE.

Run: python3 bench/compare.py [COMMIT] [--models HRNet_W18_C,HRNet_W48_C] [--batches 1,4] [--threads 1,2]
                              [--cpus avx512,avx2] [--rounds 9] [--seconds 1] [--tolerance 0.03] [--json FILE]
     COMMIT: HEAD~1 unless given
"""
import argparse
import itertools
import json
import pathlib
import random
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*command):
    return subprocess.run([str(word) for word in command], cwd=ROOT, check=True, text=True, capture_output=True).stdout


def build(source, folder):
    run("cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", folder)
    return folder / "bin" / "hrnet"


def build_commit(commit):
    """The commit's program, built once in a work tree of its own."""
    folder = ROOT / "build" / "compare" / commit
    if not (folder / "source").exists():
        run("git", "worktree", "prune")
        run("git", "worktree", "add", "--detach", folder / "source", commit)
    return build(folder / "source", folder / "build")


def least_ms(program, cell, seconds):
    model, batch, threads, cpu = cell
    words = [program, "bench", model, "--batch", batch, "--threads", threads, "--duration", seconds, "--json"]
    if cpu:
        words += ["--cpu", cpu]
    return json.loads(run(*words).strip().splitlines()[-1])["min_ms"]


def interval(ratios):
    """95 % of the medians of 2,000 resamples, always the same ones."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[1949]


def compare(other, this, cell, options):
    times = {other: [], this: []}
    for index in range(options.rounds):
        for program in (other, this) if index % 2 else (this, other):
            times[program].append(least_ms(program, cell, options.seconds))
    ratios = [a / b for a, b in zip(times[other], times[this])]
    low, high = interval(ratios)
    return {"model": cell[0], "batch": int(cell[1]), "threads": int(cell[2]), "cpu": cell[3] or "best",
            "other_ms": min(times[other]), "this_ms": min(times[this]), "ratio": statistics.median(ratios),
            "low": low, "high": high}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default="HEAD~1")
    for name, default in (("models", "HRNet_W18_C,HRNet_W48_C"), ("batches", "1,4"), ("threads", "1,2"), ("cpus", "")):
        parser.add_argument("--" + name, default=default, type=lambda text: text.split(","))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--tolerance", type=float, default=0.03)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    commit = run("git", "rev-parse", "--short", options.commit).strip()
    other, this = build_commit(commit), build(ROOT, ROOT / "build" / "compare" / "this")
    print(f"this tree beside {commit}, {options.rounds} rounds; ratio = {commit} / this tree, above 1: faster now")
    print(f"{'model':<20} {'batch':>5} {'threads':>7} {'cpu':>7} {commit:>9} {'this ms':>9} {'ratio':>6}  95 %")
    rows = []
    for cell in itertools.product(options.models, options.batches, options.threads, options.cpus):
        row = compare(other, this, cell, options)
        rows.append(row)
        slower = row["high"] < 1 - options.tolerance
        print(f"{row['model']:<20} {row['batch']:>5} {row['threads']:>7} {row['cpu']:>7} {row['other_ms']:9.2f} "
              f"{row['this_ms']:9.2f} {row['ratio']:6.3f}  {row['low']:.3f} to {row['high']:.3f}"
              f"{'  SLOWER' if slower else ''}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    return any(row["high"] < 1 - options.tolerance for row in rows)


if __name__ == "__main__":
    sys.exit(main())
