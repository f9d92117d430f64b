# SPDX-License-Identifier: Apache-2.0
"""Faults of what is below the server.  Of the network: server and clients in namespaces of their own,
joined by a wire of ours that loses packets or goes dark, so that neither side hears that the other is
gone (needs root and /dev/net/tun).  Of memory: one allocation of some hundred fails.  Of the disk: the
access log's is full."""
import contextlib
import ctypes
import fcntl
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import threading
import time

import pytest
from server import ENVIRONMENT, PICTURES, PROGRAM, serving

on_the_wire = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"),
                                reason="needs root and /dev/net/tun")
CLONE_NEWNET, TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x40000000, 0x400454CA, 1, 0x1000
SERVER, CLIENT = "10.77.0.1", "10.77.0.2"


def ip(*args):
    subprocess.run(["ip", *args], check=True, capture_output=True)


class Wire(threading.Thread):
    """Carries packets between the two namespaces."""

    def __init__(self, names):
        super().__init__(daemon=True)
        self.loss, self.dark, self.carried, self.lost, self.stopping = 0.0, False, 0, 0, False
        self.names, self.ends = names, []
        self.ready = threading.Event()

    def open_end(self, name):
        with open(f"/run/netns/{name}") as namespace:
            assert ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) == 0
        end = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
        return end

    def run(self):  # this thread alone changes namespaces
        self.ends = [self.open_end(name) for name in self.names]
        self.ready.set()
        chance = random.Random(7)
        while not self.stopping:
            for end in select.select(self.ends, [], [], 0.1)[0]:
                packet = os.read(end, 65536)
                if self.dark or chance.random() < self.loss:
                    self.lost += 1
                    continue
                self.carried += 1
                with contextlib.suppress(OSError):
                    os.write(self.ends[1 - self.ends.index(end)], packet)


@pytest.fixture(scope="module")
def wire():
    names = [f"hrnet-{os.getpid()}-{side}" for side in ("server", "client")]
    wire = Wire(names)
    try:
        for name in names:
            ip("netns", "add", name)
        wire.start()
        assert wire.ready.wait(10)
        for name, address in zip(names, (SERVER, CLIENT)):
            ip("-n", name, "addr", "add", address + "/24", "dev", "wire")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "wire", "up")
        yield wire
    finally:
        wire.stopping = True
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.fixture
def far(wire, small):
    """A server behind the wire."""
    wire.loss, wire.dark = 0.0, False
    with serving(f"small={small}", "--host", SERVER, "--public", "--head-timeout", 2, "--body-timeout", 2,
                 "--grpc-port", 8111, before=["ip", "netns", "exec", wire.names[0]]) as server:
        yield server


def load(wire, url, *flags):
    result = subprocess.run(["ip", "netns", "exec", wire.names[1], PROGRAM, "client", url, "-m", "small",
                             str(PICTURES / "cat_420.jpg"), "--same", "--json", "--timeout", "120", *flags],
                            capture_output=True, text=True, env=ENVIRONMENT)
    assert result.stdout, result.stderr
    assert result.stdout, result.stderr
    return json.loads(result.stdout)


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@on_the_wire
def test_lost_packets_lose_no_answer(wire, far):
    wire.loss = 0.03
    for url in (f"http://{SERVER}:{far.port}", f"grpc://{far.grpc}"):
        figures = load(wire, url, "-c", "4", "-n", "24")
        assert (figures["good"], figures["failed"], figures["different"]) == (24, 0, 0), figures
    assert wire.lost > 10


VANISHING = """
import socket, sys, time
host, http, grpc, picture = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), open(sys.argv[4], "rb").read()
head = b"POST /v1/classify HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(picture)
preface = b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
sockets = []
for port, data in 3 * ((http, b""), (http, head[:20]), (http, head + picture[:9000]), (http, head + picture),
                       (grpc, b""), (grpc, preface[:9]), (grpc, preface)):
    s = socket.create_connection((host, port), timeout=20)
    s.sendall(data)
    sockets.append(s)
print("sent", flush=True)
time.sleep(600)
"""


@on_the_wire
def test_clients_that_vanish_are_let_go(wire, far):
    """Half-open connections in every phase, of clients whose machine is gone: no packet tells it."""
    load(wire, f"http://{SERVER}:{far.port}", "-n", "1")
    time.sleep(0.5)
    before = descriptors(far)
    client = subprocess.Popen(["ip", "netns", "exec", wire.names[1], sys.executable, "-c", VANISHING, SERVER,
                               str(far.port), far.grpc.split(":")[1], str(PICTURES / "cat_420.jpg")],
                              stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "sent\n"
    wire.dark = True
    client.kill()
    client.wait()
    assert descriptors(far) >= before + 9  # those that wait are still there
    end = time.monotonic() + 60
    while descriptors(far) > before:
        assert time.monotonic() < end, (before, descriptors(far))
        time.sleep(0.2)
    wire.dark = False
    assert load(wire, f"grpc://{far.grpc}", "-n", "2")["good"] == 2


# ---- Memory and disk ----

def load_here(url, protocol, *flags):
    model = "imagenet" if protocol.startswith("paddle") else "small"
    result = subprocess.run([PROGRAM, "client", url, "-p", protocol, "-m", model, str(PICTURES / "cat_420.jpg"),
                             "--same", "--json", "--timeout", "120", *flags],
                            capture_output=True, text=True, env=ENVIRONMENT)
    assert result.stdout, result.stderr
    return json.loads(result.stdout)


@pytest.mark.skipif(not os.environ.get("HRNET_FAILING_MEMORY"), reason="this build's memory is a sanitizer's")
def test_failing_memory_fails_requests_and_nothing_else(small):
    """Some requests fail; no answer is another than without faults; afterwards all is as before."""
    protocols = ["picture", "v2", "v2-json", "tensorflow", "torchserve", "paddle", "paddle-general", "grpc",
                 "paddle-grpc"]
    failed = 0
    with serving(f"small={small}", f"imagenet={small}", "--paddle-port", 0,
                 before=["env", "LD_PRELOAD=" + os.environ["HRNET_FAILING_MEMORY"]]) as server:
        urls = {p: f"http://127.0.0.1:{server.port}" for p in protocols}
        urls["grpc"], urls["paddle-grpc"] = f"grpc://{server.grpc}", f"grpc://{server.paddle}"
        server.process.send_signal(signal.SIGUSR1)
        for protocol in protocols:
            figures = load_here(urls[protocol], protocol, "-c", "4", "-n", "60")
            assert figures["good"] > 20 and figures["different"] == 0, figures
            for failure in figures["failures"]:
                assert not any(code in failure["message"] for code in ("HTTP 4", "HTTP 200")), figures
            failed += figures["failed"]
        assert failed > 20 and server.process.poll() is None
        server.process.send_signal(signal.SIGUSR1)
        for protocol in protocols:
            figures = load_here(urls[protocol], protocol, "-n", "3")
            assert figures["good"] == 3, figures["failures"]


def test_a_full_disk_loses_lines_of_the_log_and_no_request(small):
    with serving(f"small={small}", "--access-log", "/dev/full") as server:
        for url, protocol in ((f"http://127.0.0.1:{server.port}", "picture"), (f"grpc://{server.grpc}", "grpc")):
            assert load_here(url, protocol, "-c", "4", "-n", "40")["good"] == 40
        assert server.get("/v2/health/ready").status == 200
