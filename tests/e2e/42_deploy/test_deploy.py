# SPDX-License-Identifier: Apache-2.0
"""What deploy/ says, done here as far as it can be: the image's file system in a chroot, without
root; two replicas behind nginx, of which one is killed under load."""
import csv
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
DEPLOY = TESTS.parent / "deploy"
sys.path.insert(0, str(TESTS / "e2e" / "40_serve"))
from server import ENVIRONMENT, PICTURES, PROGRAM, Server, make_small, run, serving  # noqa: E402

CAT = PICTURES / "cat_420.jpg"


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return make_small(tmp_path_factory.mktemp("models") / "small.safetensors")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


# ---- The image ----

def sanitized():
    return b"__asan_init" in pathlib.Path(PROGRAM).read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_the_images_files_are_enough(small, tmp_path):
    if sanitized():
        pytest.skip("a sanitizer wants /proc")
    root = tmp_path / "root"
    subprocess.run([DEPLOY / "make_root", PROGRAM, root], check=True)
    assert not (root / "bin").exists() or not list((root / "bin").iterdir())
    (root / "models" / "w" / "1").mkdir(parents=True)
    shutil.copy(small, root / "models" / "w" / "1" / "small.safetensors")
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents:  # pytest's own folders are root's only
        if parent.name.startswith("pytest-"):
            os.chmod(parent, 0o755)
    port, grpc = free_ports(2)
    inside = [shutil.which("chroot"), "--userspec=10001:10001", root, "/usr/bin/hrnet"]
    process = subprocess.Popen([*inside, "serve", "--repository", "/models", "--port", str(port),
                                "--grpc-port", str(grpc), "--access-log", "-"], env={"HOME": "/tmp"}, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline().startswith("listening"), process.stderr.read()
        assert "Uid:\t10001" in pathlib.Path(f"/proc/{process.pid}/status").read_text()
        for url in (f"http://127.0.0.1:{port}", f"grpc://127.0.0.1:{grpc}"):
            health = subprocess.run([*inside, "client", url, "--health"], env={}, capture_output=True)
            assert health.returncode == 0, health.stderr
        assert run("client", f"grpc://127.0.0.1:{grpc}", "-m", "w", CAT).returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        health = subprocess.run([*inside, "client", f"http://127.0.0.1:{port}", "--health"], env={},
                                capture_output=True)
        assert health.returncode != 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_a_folder_of_one_file_is_a_model(small, tmp_path):
    """KServe puts a model's files at /mnt/models."""
    shutil.copy(small, tmp_path / "model.safetensors")
    with serving(f"w={tmp_path}") as server:
        assert server.get("/v2/models/w/ready").status == 200


# ---- Behind nginx ----

def start(small, ports):
    return Server(subprocess.Popen([PROGRAM, "serve", f"w={small}", "--port", str(ports[0]), "--grpc-port",
                                    str(ports[1])], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True, env=ENVIRONMENT))


class Proxy:
    """nginx with deploy/nginx/hrnet.conf, at other ports."""

    def __init__(self, folder, replicas):
        self.http, self.grpc = free_ports(2)
        text = (DEPLOY / "nginx" / "hrnet.conf").read_text()
        for old, new in zip((8000, 8001, 8010, 8011, 8080, 8081),
                            (*replicas[0], *replicas[1], self.http, self.grpc)):
            text, count = re.subn(rf"127\.0\.0\.1:{old}\b", f"127.0.0.1:{new}", text)
            assert count == 1
        (folder / "hrnet.conf").write_text(text)
        paths = "".join(f"{kind}_temp_path {folder}/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;\n"
            f"events {{ worker_connections 512; }}\nhttp {{ access_log off; {paths} include {folder}/hrnet.conf; }}\n")
        self.process = subprocess.Popen(["nginx", "-e", folder / "errors", "-p", folder, "-c", folder / "nginx.conf"])
        for _ in range(100):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.http)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((folder / "errors").read_text())

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("protocol", ["v2", "grpc"])
def test_a_replica_that_ends_under_load_loses_nothing(small, tmp_path, protocol, how):
    """nginx asks another replica itself, but for gRPC, whose requests it does not keep: there the
    client does."""
    ports = free_ports(4)
    replicas = [start(small, ports[:2]), start(small, ports[2:])]
    proxy = Proxy(tmp_path, [ports[:2], ports[2:]])
    url = f"grpc://127.0.0.1:{proxy.grpc}" if protocol == "grpc" else f"http://127.0.0.1:{proxy.http}"
    try:
        load = subprocess.Popen([PROGRAM, "client", url, "-p", protocol, "-m", "w", CAT, "-c", "8", "-d", "6",
                                 "--same", "--json", "--csv", tmp_path / "l.csv", "--retries",
                                 "3" if protocol == "grpc" else "0"], text=True,
                                stdout=subprocess.PIPE, env=ENVIRONMENT)
        time.sleep(2)
        replicas[0].process.send_signal(getattr(signal, how))
        out, _ = load.communicate(timeout=120)
        rows = list(csv.DictReader((tmp_path / "l.csv").open()))
        after = [row for row in rows if float(row["start_s"]) > 3]
        assert rows and after, "nothing was asked after the end"
        assert all(row["good"] == "1" and row["different"] == "0" for row in rows), out
        assert load.returncode == 0
    finally:
        proxy.stop()
        for replica in replicas:
            replica.process.kill()
            replica.process.wait()
            replica.process.stdout.close()
