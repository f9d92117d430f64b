# SPDX-License-Identifier: Apache-2.0
"""The sessions that the documents show, run again: words must be the same, numbers close."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
NUMBER = re.compile(r"\d+\.\d+(?:e[-+]\d+)?")
# Not repeatable: the network, and what depends on the machine of the day.
SKIP = ("hrnet pull", "hrnet predict cat.jpg -m HRNet_W18_C_ssld", "hrnet bench", "hrnet tune")


def sessions(path):
    """(command, shown output) of each indented or fenced block that begins with "$ "."""
    text = path.read_text()
    blocks = re.findall(r"^```\n(\$ .*?)^```", text, re.M | re.S)
    blocks += [re.sub("^    ", "", b, flags=re.M)
               for b in re.findall(r"(?:^    .*\n)+", text, re.M) if b.startswith("    $ ")]
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.rstrip("\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    shutil.copy(TESTS / "data" / "pictures" / "cat_420.jpg", folder / "cat.jpg")
    shutil.copy(TESTS / "data" / "pictures" / "coffee.png", folder / "coffee.png")
    (folder / "notes.jpg").write_text("no picture\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "hrnet").symlink_to(PROGRAM)
    return folder


def shell(place, command):
    environment = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "HOME": str(place), "LC_ALL": "C.UTF-8",
                   "HRNET_PROGRESS": "none"}
    result = subprocess.run(command, shell=True, executable="/bin/bash", cwd=place, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return result.stdout.rstrip("\n")


def test_the_chart_of_rivals_shows_the_table(tmp_path):
    root = TESTS.parent
    subprocess.run([sys.executable, root / "bench" / "charts.py", "rivals", "-o", tmp_path / "rivals.svg"], check=True)
    assert (tmp_path / "rivals.svg").read_bytes() == (root / "docs" / "rivals.svg").read_bytes(), \
        "make it anew: python3 bench/charts.py rivals -o docs/rivals.svg"


@pytest.mark.parametrize("document", ["README.md", "docs/cli.md"])
def test_sessions(place, document):
    shell(place, "hrnet convert synthetic:HRNet_W18_C w18.pdparams")
    ran = 0
    for command, want in sessions(TESTS.parent / document):
        if command.startswith(SKIP):
            continue
        if "convert" in command:
            (place / "w18.safetensors").unlink(missing_ok=True)
        got = shell(place, command)
        assert NUMBER.sub("#", got) == NUMBER.sub("#", want), command
        for a, b in zip(NUMBER.findall(got), NUMBER.findall(want)):
            assert float(a) == pytest.approx(float(b), rel=2e-3, abs=2e-5), (command, a, b)
        ran += 1
    assert ran >= 5
