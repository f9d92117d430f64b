# SPDX-License-Identifier: Apache-2.0
"""Completion in the shells themselves, at a terminal, and the manual pages in man itself."""
import os
import pathlib
import pty
import select
import shutil
import subprocess
import time

import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
COMMANDS = ("predict run preprocess info verify models convert export diff pull train eval plan bench tune "
            "serve client explain features check-data augment completion help version").split()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Scripts, and files to complete: two with blanks, one folder."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        script = subprocess.run([PROGRAM, "completion", shell], capture_output=True, check=True)
        (folder / f"c.{shell}").write_bytes(script.stdout)
    files = folder / "files"
    files.mkdir()
    for name in ("one picture.png", "weights file.pth", "it's.jpg"):
        (files / name).touch()
    (files / "only a folder").mkdir()
    (folder / "bin").mkdir()
    (folder / "bin" / "hrnet").symlink_to(PROGRAM)
    return folder


class Terminal:
    """A shell at a terminal."""

    def __init__(self, place, argv):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(place / "files")
            path = f"{place / 'bin'}:{os.environ['PATH']}"
            os.execvpe(argv[0], argv, {"PATH": path, "TERM": "dumb", "HOME": str(place),
                                       "LC_ALL": "C.UTF-8", "PS1": "> ", "INPUTRC": "/dev/null"})
        self.pid = pid

    def type(self, text, until, limit=20):
        """What appears from here until `until` does."""
        os.write(self.fd, text.encode())
        seen, end = "", time.monotonic() + limit
        while until not in seen and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                seen += os.read(self.fd, 65536).decode(errors="replace")
        assert until in seen, (text, seen)
        return seen

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


# What is typed before the tab, and the line that must then stand there.
LINES = [
    ("hrnet pred", "hrnet predict "),
    ("hrnet predict --forma", "hrnet predict --format"),
    ("hrnet predict -f jsonl --ba", "hrnet predict -f jsonl --batch"),
    ("hrnet predict --format csv --progress pla", "--progress plain "),
    ("hrnet predict -m HRNet_W18_C_s", "-m HRNet_W18_C_ssld "),
    ("hrnet bench SE_HRNet_W60", "bench SE_HRNet_W60_C "),
    ("hrnet pull HRNet_W48_C_s", "pull HRNet_W48_C_ssld "),
    ("hrnet help comp", "help completion "),
    ("hrnet completion fi", "completion fish "),
    ("hrnet predict one", "predict one\\ picture.png "),
    ("hrnet info wei", "info weights\\ file.pth "),
    ("hrnet predict --weights wei", "--weights weights\\ file.pth "),
    ("hrnet predict --save-dir o", "--save-dir only\\ a\\ folder/"),
]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_lines_at_a_terminal(place, shell):
    if not shutil.which(shell):
        pytest.skip(f"no {shell}")
    argv = {"bash": ["bash", "--norc", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    terminal = Terminal(place, argv)
    try:
        terminal.type({"bash": "", "zsh": "autoload -U compinit; compinit -u -D; unsetopt ZLE_BRACKETED_PASTE; "}[shell]
                      + f". {place}/c.{shell}; bind 'set enable-bracketed-paste off' 2>/dev/null;"
                      " echo rea''dy\n", "ready")
        for typed, want in LINES:
            terminal.type(typed + "\t", want)
            terminal.type("\x15echo cle''ar\n", "clear")
        if shell == "bash":
            terminal.type("hrnet predict --format=jsonl --cpu=avx5\t", "--cpu=avx512 ")
            terminal.type("\x15echo cle''ar\n", "clear")
            terminal.type("hrnet info \"wei\t", "\"weights file.pth\" ")
    finally:
        terminal.close()


def test_fish(place):
    if not shutil.which("fish"):
        pytest.skip("no fish")

    def offers(line):
        result = subprocess.run(["fish", "--no-config", "-c", f"source ../c.fish; complete -C '{line}'"],
                                capture_output=True, text=True, cwd=place / "files",
                                env={"PATH": os.environ["PATH"], "HOME": str(place)})
        assert result.stderr == "", result.stderr
        return [row.split("\t")[0] for row in result.stdout.splitlines()]

    assert [c for c in offers("hrnet ") if c in COMMANDS] == sorted(COMMANDS)
    assert offers("hrnet predict --format ") == ["csv", "json", "jsonl", "text", "tsv"]
    assert offers("hrnet predict --batch ") == []
    assert offers("hrnet predict -m HRNet_W18_C_s") == ["HRNet_W18_C_ssld"]
    assert "weights file.pth" in offers("hrnet predict -w ")
    assert offers("hrnet predict --save-dir ") == ["only a folder/"]
    assert offers("hrnet pull SE_HRNet_W64") == ["SE_HRNet_W64_C_ssld"]
    assert offers("hrnet help ver") == ["verify", "version"]


def test_other_values_offer_nothing(place):
    terminal = Terminal(place, ["bash", "--norc", "-i"])
    try:
        terminal.type(f". {place}/c.bash; bind 'set enable-bracketed-paste off'; echo rea''dy\n", "ready")
        seen = terminal.type("hrnet predict --batch \t\t; echo do''ne\n", "done")
        assert "picture" not in seen and "folder" not in seen
        seen = terminal.type("hrnet predict --save-dir \t", "folder/")
        assert "picture" not in seen
    finally:
        terminal.close()


def test_scripts_are_clean(place):
    for shell in ("bash", "zsh", "fish"):
        if shutil.which(shell):
            result = subprocess.run([shell, "-n", place / f"c.{shell}"], capture_output=True, text=True)
            assert (result.returncode, result.stderr) == (0, "")


def test_manual_pages(tmp_path):
    """Every command has a page, and roff has nothing to say of it."""
    assert subprocess.run([PROGRAM, "help", "--man", tmp_path / "new" / "man1"]).returncode == 0
    pages = sorted((tmp_path / "new" / "man1").iterdir())
    assert [p.name for p in pages] == sorted(["hrnet.1"] + [f"hrnet-{c}.1" for c in COMMANDS])
    for page in pages:
        text = page.read_text()
        assert ".SH NAME" in text and (page.name == "hrnet.1" or ".SH EXAMPLES" in text)
    if not shutil.which("groff") or not shutil.which("man"):
        pytest.skip("no man")
    for page in pages:
        result = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True,
                                env={"PATH": os.environ["PATH"], "MANPAGER": "cat", "LC_ALL": "C.UTF-8"})
        assert result.returncode == 0 and result.stderr == "", (page, result.stderr)
        assert page.name[:-2] + "(1)" in result.stdout
