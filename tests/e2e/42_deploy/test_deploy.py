# SPDX-License-Identifier: Apache-2.0
"""What deploy/ says, done here as far as it can be: the image's file system in a chroot, without
root; the unit file by systemd's own judgement; two replicas behind nginx and behind Envoy, of which one
is killed under load."""
import csv
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
DEPLOY = TESTS.parent / "deploy"
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS / "e2e" / "40_serve")]
from ports import free_ports  # noqa: E402
from server import ENVIRONMENT, PICTURES, PROGRAM, Server, make_small, run, serving  # noqa: E402

CAT = PICTURES / "cat_420.jpg"


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return make_small(tmp_path_factory.mktemp("models") / "small.safetensors")


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


# ---- As a service of systemd ----

def unit(tmp_path):
    """The unit file, naming the program that is tested."""
    path = tmp_path / "hrnet.service"
    text = (DEPLOY / "systemd" / "hrnet.service").read_text()
    assert text.count("/usr/bin/hrnet ") == 1
    path.write_text(text.replace("/usr/bin/hrnet ", f"{PROGRAM} "))
    return path


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_the_unit_file_is_good_and_strict(tmp_path):
    path = unit(tmp_path)
    verify = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert (verify.returncode, verify.stderr) == (0, "")
    security = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=10", path],
                              capture_output=True, text=True)
    assert security.returncode == 0, security.stdout  # exposure of at most 1.0 of 10
    path.write_text(path.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
    verify = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert "NoNewPrivilege" in verify.stderr  # mistakes are noticed


def calls_of(group):
    """The system calls of a group of systemd's, and of the groups in it."""
    text = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    names = [line.strip() for line in text.stdout.splitlines()[1:] if line.strip() and "#" not in line]
    return set().union(*(calls_of(name) if name[0] == "@" else {name} for name in names))


@pytest.mark.skipif(not shutil.which("systemd-analyze") or not shutil.which("strace"), reason="no strace")
def test_system_calls_are_those_that_the_unit_allows(small, tmp_path):
    """From the first after the program's start to the last."""
    if sanitized():
        pytest.skip("a sanitizer has its own")
    filters = re.findall(r"^SystemCallFilter=(.*)$", (DEPLOY / "systemd/hrnet.service").read_text(), re.M)
    assert filters[0][0] != "~" and filters[1][0] == "~"
    allowed = set().union(*map(calls_of, filters[0].split()))
    allowed -= set().union(*map(calls_of, filters[1][1:].split()))
    trace = tmp_path / "trace"
    if subprocess.run(["strace", "-o", trace, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be traced here")
    with serving(f"w={small}", "--access-log", tmp_path / "log", before=["strace", "-f", "-o", trace]) as server:
        assert run("client", server.url, CAT, "-n", "20", "-c", "4").returncode == 0
        assert run("client", f"grpc://{server.grpc}", "-m", "w", CAT, "-n", "20", "-c", "4").returncode == 0
        assert server.post("/v1/classify?explain=1", CAT.read_bytes()).status == 200
        program = next(p for p in pathlib.Path("/proc").glob("[0-9]*/stat")
                       if f" (hrnet) " in p.read_text() and p.read_text().split()[3] == str(server.process.pid))
        os.kill(int(program.parent.name), signal.SIGHUP)
        time.sleep(1)
        os.kill(int(program.parent.name), signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
    used = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M)) - {"execve"}
    assert {"poll", "futex", "accept4"} <= used and used <= allowed, used - allowed


# ---- Behind a balancer ----

ENVOY = next(iter((TESTS.parent / "build" / "clients").glob("lib/python*/site-packages/envoy/_bin/envoy")), None)


def start(small, ports):
    return Server(subprocess.Popen([PROGRAM, "serve", f"w={small}", "--port", str(ports[0]), "--grpc-port",
                                    str(ports[1])], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True, env=ENVIRONMENT))


class Balancer:
    """deploy/nginx/hrnet.conf or deploy/envoy/hrnet.yaml, at other ports."""

    def __init__(self, kind, folder, replicas):
        self.http, self.grpc = free_ports(2)
        path = {"nginx": "nginx/hrnet.conf", "envoy": "envoy/hrnet.yaml"}[kind]
        text = (DEPLOY / path).read_text()
        before = "127.0.0.1:" if kind == "nginx" else "address: 127.0.0.1, port_value: "
        for old, new in zip((8000, 8001, 8010, 8011, 8080, 8081),
                            (*replicas[0], *replicas[1], self.http, self.grpc)):
            text, count = re.subn(rf"{re.escape(before)}{old}\b", f"{before}{new}", text)
            assert count == 1
        (folder / path).parent.mkdir()
        (folder / path).write_text(text)
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(self.nginx(folder) if kind == "nginx" else self.envoy(folder),
                                        stdout=self.log, stderr=self.log)
        for _ in range(200):
            if run("client", f"http://127.0.0.1:{self.http}", "--health").returncode == 0 and \
                    run("client", f"grpc://127.0.0.1:{self.grpc}", "--health").returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError((folder / "log").read_text())

    @staticmethod
    def nginx(folder):
        paths = "".join(f"{kind}_temp_path {folder}/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
            f"events {{ worker_connections 512; }}\n"
            f"http {{ access_log off; {paths} include {folder}/nginx/hrnet.conf; }}\n")
        return ["nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]

    @staticmethod
    def envoy(folder):
        return [ENVOY, "-c", folder / "envoy" / "hrnet.yaml", "--disable-hot-restart", "--concurrency", "1",
                "-l", "warning"]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.close()


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("protocol", ["v2", "grpc"])
@pytest.mark.parametrize("kind", [
    pytest.param("nginx", marks=pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx")),
    pytest.param("envoy", marks=pytest.mark.skipif(not ENVOY, reason="no Envoy: run tools/serving_clients"))])
def test_a_replica_that_ends_under_load_loses_nothing(small, tmp_path, kind, protocol, how):
    """The balancer asks another replica itself, but nginx for gRPC, whose requests it does not keep:
    there the client does."""
    ports = free_ports(4)
    replicas = [start(small, ports[:2]), start(small, ports[2:])]
    balancer = Balancer(kind, tmp_path, [ports[:2], ports[2:]])
    url = f"grpc://127.0.0.1:{balancer.grpc}" if protocol == "grpc" else f"http://127.0.0.1:{balancer.http}"
    try:
        load = subprocess.Popen([PROGRAM, "client", url, "-p", protocol, "-m", "w", CAT, "-c", "8", "-d", "6",
                                 "--same", "--json", "--csv", tmp_path / "l.csv", "--retries",
                                 "3" if (kind, protocol) == ("nginx", "grpc") else "0"], text=True,
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
        balancer.stop()
        for replica in replicas:
            replica.process.kill()
            replica.process.wait()
            replica.process.stdout.close()
