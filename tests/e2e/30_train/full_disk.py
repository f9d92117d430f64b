# SPDX-License-Identifier: Apache-2.0
"""A run on a disk that fills up.  Run in a name space of its own (unshare -Urm), in which a small
disk in memory is mounted over FOLDER: trains an epoch there, fills the disk up to LEFT bytes, goes on
until that fails, makes room, goes on to the end, and copies what there is to TO.  Prints what was
seen as JSON.  Run: python3 full_disk.py FOLDER TO LEFT PROGRAM TRAIN-ARGUMENTS..."""
import ctypes
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

MEGABYTES = 420  # a run, a model and a state that are written beside the old ones, and some


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def fill(disk, left):
    """All but `left` bytes, in whole pages."""
    with open(disk / "filler", "wb", buffering=0) as file:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        file.write(bytes(max(0, free - left)))


disk, to, left = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
command = [*sys.argv[4:], "-o", str(disk / "run"), "--progress", "none"]
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"none", os.fsencode(disk), b"tmpfs", 0, f"size={MEGABYTES}m".encode()) != 0:
    sys.exit(77)
first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
assert first.stdout.readline().startswith("epoch 1/")
first.send_signal(signal.SIGINT)
first.communicate()
before = digests(disk / "run")
fill(disk, left)
result = subprocess.run([*command, "--resume"], capture_output=True, text=True)
after = digests(disk / "run")
os.unlink(disk / "filler")
told = subprocess.run([sys.argv[4], "info", str(disk / "run" / "latest.safetensors")],
                      capture_output=True, text=True)
last = subprocess.run([*command, "--resume"], capture_output=True, text=True)
shutil.copytree(disk / "run", to)
print(json.dumps({"before": before, "after": after, "code": result.returncode,
                  "stderr": result.stderr, "info": told.returncode, "last": last.returncode,
                  "last_stderr": last.stderr}))
