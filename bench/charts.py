#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pictures of the results, as SVG, without any library.

python3 bench/charts.py roofline JSON... -o bench/roofline.svg
    JSON: files of `hrnet bench MODEL --layers --json`, one panel each.  A dot is a step with multiply-adds; its
    area is its time.  Across: operations of its kernel (two a multiply-add) for each byte of its weights; up:
    operations a second.  The lines are the machine's: weights from memory, and the peak.
python3 bench/charts.py rivals [bench/RESULTS.md] -o docs/rivals.svg
    The first table of "Networks, fp32, beside the rivals": milliseconds a picture of every engine; all of its
    rows if they are few, else those of batch 1.
"""
import argparse
import html
import json
import math
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = (("conv_direct", "direct", "#2f6da4"), ("conv_winograd_f4", "Winograd F(4,3)", "#c0504d"),
         ("conv_winograd_f2_s2", "Winograd, stride 2", "#e0a030"), ("conv_winograd_f2", "Winograd F(2,3)", "#7a9a3a"),
         ("conv_stem", "stem", "#555555"), ("linear", "linear", "#8064a2"))
ENGINES = ("#2f6da4", "#d98880", "#e5b567", "#9fb98b", "#b4a7c8")
GRAY = "#666666"


class Svg:
    def __init__(self, width, height):
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                      f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
                      '<rect width="100%" height="100%" fill="#ffffff"/>']

    def text(self, x, y, words, anchor="start", size=12, color="#000000", more=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}"'
                          f'{more}>{html.escape(words)}</text>')

    def line(self, x1, y1, x2, y2, color, width=1.0, dash=""):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
                          f'stroke-width="{width}"' + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def rect(self, x, y, width, height, color):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>')

    def circle(self, x, y, radius, color, title):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{color}" fill-opacity="0.45" '
                          f'stroke="{color}"><title>{html.escape(title)}</title></circle>')

    def write(self, path):
        pathlib.Path(path).write_text("\n".join(self.parts + ["</svg>", ""]))


# ---- Roofline ----

PANEL_W, PANEL_H, LEFT, TOP, BOTTOM = 520, 380, 64, 64, 56


def kind_of(kernel):
    return next((kind for kind in KINDS if kernel.startswith(kind[0])), ("", "other", GRAY))


def decades(low, high):
    return [10.0 ** e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


class Panel:
    """Logarithmic axes: operations a byte across, GFLOP/s up."""

    def __init__(self, svg, left, data):
        self.svg, self.left, self.data = svg, left, data
        self.steps = [step for step in data["layers"] if step["work"] and step["weight_bytes"]]
        across = [2 * s["work"] / s["weight_bytes"] for s in self.steps]
        up = [2 * s["work"] / s["us"] / 1e3 for s in self.steps]
        self.x_range = min(across) / 1.6, max(across) * 1.6
        self.y_range = min(up) / 1.6, data["peak_gflops"] * 1.7

    def x(self, value):
        low, high = map(math.log, self.x_range)
        return self.left + (math.log(value) - low) / (high - low) * PANEL_W

    def y(self, value):
        low, high = map(math.log, self.y_range)
        return TOP + PANEL_H - (math.log(value) - low) / (high - low) * PANEL_H

    def axes(self):
        d, svg = self.data, self.svg
        svg.text(self.left, 28, f"{d['model']}: {d['threads']} thread{'s' * (d['threads'] > 1)}, batch {d['batch']}",
                 size=16)
        svg.text(self.left, 48, f"{d['cpu']}, {d['isa']}; steps {d['sum_ms']:.1f} ms, bound {d['bound_ms']:.1f} ms",
                 color=GRAY)
        for value in decades(*self.x_range):
            if self.x_range[0] <= value <= self.x_range[1]:
                svg.line(self.x(value), TOP, self.x(value), TOP + PANEL_H, "#dddddd")
                svg.text(self.x(value), TOP + PANEL_H + 18, f"{value:g}", "middle")
        for value in (v * f for v in decades(*self.y_range) for f in (1, 2, 5)):
            if self.y_range[0] <= value <= self.y_range[1]:
                svg.line(self.left, self.y(value), self.left + PANEL_W, self.y(value), "#dddddd")
                svg.text(self.left - 6, self.y(value) + 4, f"{value:g}", "end")
        svg.text(self.left + PANEL_W / 2, TOP + PANEL_H + 40, "operations for each byte of weights", "middle")
        svg.text(self.left - 46, TOP + PANEL_H / 2, "GFLOP/s", "middle",
                 more=f' transform="rotate(-90 {self.left - 46} {TOP + PANEL_H / 2})"')

    def roof(self, part, color, width, dash=""):
        peak, rate = self.data["peak_gflops"] * part, self.data["memory_gbytes"] * part
        ridge = peak / rate
        start = max(self.x_range[0], self.y_range[0] / rate)
        end = min(ridge, self.x_range[1])
        if start < end:
            self.svg.line(self.x(start), self.y(start * rate), self.x(end), self.y(end * rate), color, width, dash)
        if ridge < self.x_range[1]:
            flat = max(ridge, self.x_range[0])
            self.svg.line(self.x(flat), self.y(peak), self.left + PANEL_W, self.y(peak), color, width, dash)

    def draw(self):
        self.axes()
        self.roof(1, "#000000", 2)
        self.roof(0.7, GRAY, 1, "5 4")
        self.svg.text(self.left + PANEL_W - 4, self.y(self.data["peak_gflops"]) - 6,
                      f"{self.data['peak_gflops']:.0f} GFLOP/s, {self.data['memory_gbytes']:.0f} GB/s (dashed: 70 %)", "end")
        whole = sum(step["us"] for step in self.steps)
        for step in sorted(self.steps, key=lambda s: -s["us"]):
            self.svg.circle(self.x(2 * step["work"] / step["weight_bytes"]), self.y(2 * step["work"] / step["us"] / 1e3),
                            1.5 + 60 * math.sqrt(step["us"] / whole / math.pi), kind_of(step["kernel"])[2],
                            f"{step['name']} {step['kernel']}: {step['us']:.0f} us, {100 * step['reached']:.0f} %")


def roofline(files, output):
    panels = [json.loads(pathlib.Path(name).read_text().strip().splitlines()[-1]) for name in files]
    step = LEFT + PANEL_W + 20
    svg = Svg(step * len(panels), TOP + PANEL_H + BOTTOM + 24)
    used = []
    for index, data in enumerate(panels):
        panel = Panel(svg, LEFT + step * index, data)
        panel.draw()
        used += [kind_of(s["kernel"]) for s in panel.steps]
    x = LEFT
    for kind in KINDS:
        if kind in used:
            svg.circle(x + 6, TOP + PANEL_H + BOTTOM + 8, 5, kind[2], kind[1])
            svg.text(x + 16, TOP + PANEL_H + BOTTOM + 12, kind[1])
            x += 30 + 7 * len(kind[1])
    svg.text(x + 10, TOP + PANEL_H + BOTTOM + 12, "area: time", color=GRAY)
    svg.write(output)


# ---- Rivals ----

def first_table(text):
    """Header cells and rows of the first table under the rivals' heading."""
    lines = text[text.index("## Networks, fp32, beside the rivals"):].splitlines()
    rows = []
    for line in lines:
        if line.startswith("| "):
            rows.append([cell.strip().strip("*") for cell in line.strip().strip("|").split("|")])
        elif rows and not line.startswith("|"):
            break
    title = next(line.strip("# ") for line in lines if line.startswith("### "))
    return title, rows[0], rows[1:]


def rivals(source, output):
    title, header, rows = first_table(pathlib.Path(source).read_text())
    engines = [name for name in header[3:] if "/" not in name]
    if len(rows) > 10:
        rows = [row for row in rows if row[1] == "1"]
    times = [[float(cell.split()[0]) for cell in row[3:3 + len(engines)]] for row in rows]
    bar, gap, left, width = 13, 14, 250, 560
    height = 76 + sum(bar * len(engines) + gap for _ in rows) + 10
    svg = Svg(left + width + 90, height)
    svg.text(12, 28, "Milliseconds a picture, fp32, 224x224 (shorter is better)", size=16)
    svg.text(12, 46, title.split(", 20")[0], color=GRAY)
    x = 12
    for name, color in zip(engines, ENGINES):
        svg.rect(x, 55, 11, 11, color)
        svg.text(x + 16, 65, name)
        x += 34 + 7 * len(name)
    longest, y = max(map(max, times)), 80
    for row, values in zip(rows, times):
        words = f"{row[0]}, batch {row[1]}, {row[2]} thread{'s' * (row[2] != '1')}"
        svg.text(left - 8, y + bar * len(engines) / 2 + 4, words, "end")
        for value, color in zip(values, ENGINES):
            svg.rect(left, y + 1, width * value / longest, bar - 2, color)
            svg.text(left + width * value / longest + 5, y + bar - 3, f"{value:g}", size=10, color=GRAY)
            y += bar
        y += gap
    svg.write(output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("roofline", "rivals"))
    parser.add_argument("files", nargs="*")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    if options.what == "rivals":
        rivals(options.files[0] if options.files else ROOT / "bench" / "RESULTS.md", options.output)
    elif options.files:
        roofline(options.files, options.output)
    else:
        parser.error("roofline needs the JSON of hrnet bench MODEL --layers --json")


if __name__ == "__main__":
    main()
