# SPDX-License-Identifier: Apache-2.0
"""Sessions of a document: what it shows behind "$ " is run, in one shell from the first to the last,
and what is printed must be what it shows.  Servers are started in the background (" &") at ports that
are free; numbers with a point may differ a little, times by any amount."""
import math
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from ports import free_ports  # noqa: E402

NUMBER = re.compile(r"\d+\.\d+(?:e[-+]\d+)?")
TIMING = re.compile(r'"timing":\{[^}]*\}')
FIGURE = re.compile(r"\d+(?:\.\d+)?")
LOAD = re.compile(r"hrnet client .* -[nd] ")  # prints a table of figures that are times
MARK = "--- the command has ended ---"
PATIENCE = 120  # seconds


def sessions(path):
    """(command, shown output) of each indented or fenced block that begins with "$ "."""
    text = path.read_text()
    blocks = re.findall(r"^```\n(\$ .*?)^```", text, re.M | re.S)
    blocks += [re.sub("^    ", "", b, flags=re.M)
               for b in re.findall(r"(?:^    .*\n)+", text, re.M) if b.startswith("    $ ")]
    for block in sorted(blocks, key=lambda b: text.find(b.splitlines()[0])):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.rstrip("\n")


class Shell:
    """bash in a folder; `hrnet` is the program, whose server listens at free ports where the
    command names none."""

    def __init__(self, folder, program):
        self.ports = dict(zip(("8000", "8001", "9993"), map(str, free_ports(3))))
        (folder / "bin").mkdir(exist_ok=True)
        (folder / "bin" / "hrnet").write_text(f"""#!/bin/sh
case "$1 $*" in
  *--port*) ;;
  serve*) shift; exec {program} serve --port {self.ports["8000"]} --grpc-port {self.ports["8001"]} "$@" ;;
esac
exec {program} "$@"
""")
        (folder / "bin" / "hrnet").chmod(0o755)
        environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8",
                       "HRNET_PROGRESS": "none"}
        self.process = subprocess.Popen(["bash"], cwd=folder, env=environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.output = ""

    def local(self, text):
        """With the ports of this run."""
        return re.sub(r"\b(?:%s)\b" % "|".join(self.ports), lambda m: self.ports[m[0]], text)

    def read(self, enough, command):
        end = time.monotonic() + PATIENCE
        while not enough():
            piece = self.process.stdout.read()
            assert piece or time.monotonic() < end, (command, self.output)
            assert piece != b"", ("the shell has ended", command, self.output)
            self.output += (piece or b"").decode()
            if not piece:
                time.sleep(0.01)

    def run(self, command, want=""):
        """What the command prints; one in the background: as many lines as are wanted."""
        self.output = ""
        self.process.stdin.write(f"{{ {self.local(command)}\n}} </dev/null\necho; echo '{MARK}'\n".encode())
        self.process.stdin.flush()
        self.read(lambda: MARK in self.output, command)
        if command.endswith("&"):
            lines = want.count("\n") + 1 if want else 0
            self.read(lambda: len(self.shown().splitlines()) >= lines, command)
        return self.shown()

    def shown(self):
        return self.output.replace(f"\n{MARK}\n", "").strip("\n")

    def close(self):
        """Ends the shell and what it still runs."""
        if self.process.poll() is None:
            self.process.stdin.write(b"kill -KILL $(jobs -p); exit\n")
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE)
        self.process.stdout.close()


def compare(command, got, want):
    if LOAD.search(command):
        assert re.sub(" +", " ", FIGURE.sub("#", got)) == re.sub(" +", " ", FIGURE.sub("#", want)), command
        return
    got, want = TIMING.sub('"timing":{}', got), TIMING.sub('"timing":{}', want)
    assert NUMBER.sub("#", got) == NUMBER.sub("#", want), command
    for a, b in zip(NUMBER.findall(got), NUMBER.findall(want)):
        assert math.isclose(float(a), float(b), rel_tol=2e-3, abs_tol=2e-5), (command, a, b)


if __name__ == "__main__":  # sessions.py DOCUMENT FOLDER PROGRAM: prints what the document should show
    shell = Shell(pathlib.Path(sys.argv[2]), sys.argv[3])
    back = {new: old for old, new in shell.ports.items()}
    for command, want in sessions(pathlib.Path(sys.argv[1])):
        got = shell.run(command, want)
        print(f"$ {command}\n{re.sub('|'.join(back), lambda m: back[m[0]], got)}", flush=True)
    shell.close()
