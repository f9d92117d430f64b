# SPDX-License-Identifier: Apache-2.0
"""What the documents show, done again: words must be the same, numbers close."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from sessions import Shell, compare, sessions  # noqa: E402

PROGRAM = os.environ["HRNET_PROGRAM"]
TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
ROOT = TESTS.parent
CLIENTS = ROOT / "build" / "clients" / "bin" / "python"
# Not repeatable: the network, and what depends on the machine of the day.
SKIP = ("hrnet pull", "hrnet predict cat.jpg -m HRNet_W18_C_ssld", "hrnet bench", "hrnet tune")
WEIGHTS = ("hrnet convert synthetic:HRNet_W18_C w18.pdparams",
           "hrnet convert w18.pdparams w18.safetensors --recipe opencv-deploy")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    pictures = TESTS / "data" / "pictures"
    (folder / "photos").mkdir()
    shutil.copy(pictures / "cat_420.jpg", folder / "cat.jpg")
    shutil.copy(pictures / "cat_420.jpg", folder / "photos" / "cat.jpg")
    for name in ("coffee.png", "photos/coffee.png"):
        shutil.copy(pictures / "coffee.png", folder / name)
    for name in ("examples/digits/7.png", "models/digits.safetensors"):
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "notes.jpg").write_text("no picture\n")
    return folder


@pytest.fixture
def shell(place):
    shell = Shell(place, PROGRAM)
    for command in WEIGHTS:
        shell.run(command)
    yield shell
    shell.close()


def test_the_chart_of_rivals_shows_the_table(tmp_path):
    subprocess.run([sys.executable, ROOT / "bench" / "charts.py", "rivals", "-o", tmp_path / "rivals.svg"], check=True)
    assert (tmp_path / "rivals.svg").read_bytes() == (ROOT / "docs" / "rivals.svg").read_bytes(), \
        "make it anew: python3 bench/charts.py rivals -o docs/rivals.svg"


@pytest.mark.parametrize("document", ["README.md", "docs/cli.md", "docs/serving.md", "docs/serving_grpc.md",
                                      "docs/client.md", "docs/deploying.md"])
def test_sessions(shell, place, document):
    (place / "log").unlink(missing_ok=True)
    ran = 0
    for command, want in sessions(ROOT / document):
        if command.startswith(SKIP):
            continue
        if "convert" in command:
            (place / "w18.safetensors").unlink(missing_ok=True)
        compare(command, shell.run(command, want), shell.local(want))
        ran += 1
    assert ran >= 3


@pytest.mark.skipif(not CLIENTS.exists(), reason="no foreign clients: run tools/serving_clients")
def test_the_client_in_python(shell, place):
    text = (ROOT / "docs" / "serving_grpc.md").read_text()
    program, printed = re.search(r"^```python\n(.*?)^```\n\nprints `([^`]*)`", text, re.M | re.S).groups()
    (place / "ask.py").write_text(shell.local(program))
    shell.run("hrnet serve w18.safetensors --batch 4 &", "listening on an address")
    compare("ask.py", shell.run(f"{CLIENTS} ask.py"), printed)


def test_other_words_and_other_numbers_are_noticed():
    compare("any", 'a 1.0001 "timing":{"ms":5}', 'a 1.0002 "timing":{"ms":7}')
    for got in ("b 1.0002", "a 1.1", "a 1.0002\nmore", "a"):
        with pytest.raises(AssertionError):
            compare("any", got, "a 1.0002")
