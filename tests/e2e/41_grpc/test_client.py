# SPDX-License-Identifier: Apache-2.0
"""`hrnet client` against `hrnet serve` over HTTP and gRPC, and against small servers of other
protocols that note what they were asked."""
import base64
import contextlib
import csv
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(os.environ["HRNET_TESTS"]) / "e2e" / "40_serve"))
from server import PICTURES, make_small, run, serving  # noqa: E402

CAT, COFFEE = PICTURES / "cat_420.jpg", PICTURES / "coffee.png"


def client(*args):
    return run("client", *args)


def good(*args):
    result = client(*args)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return make_small(tmp_path_factory.mktemp("models") / "small.safetensors")


@pytest.fixture(scope="session")
def server(small):
    with serving(f"small={small}") as server:
        yield server


@pytest.fixture(scope="session")
def predicted(small):
    """Best class of each picture, by `hrnet predict`."""
    lines = run("predict", "-m", small, CAT, COFFEE, "-f", "jsonl").stdout.splitlines()
    return [json.loads(line)["class_ids"][0] for line in lines]


def addresses(server):
    return {"grpc": f"grpc://{server.grpc}", "v2": server.url, "v2-json": server.url}


# ---- Our own server ----

@pytest.mark.parametrize("protocol,more", [("grpc", []), ("grpc", ["--tensor"]), ("v2", []),
                                           ("v2", ["--tensor"]), ("v2-json", [])])
def test_answers_are_those_of_predict(server, predicted, protocol, more):
    out = good(addresses(server)[protocol], "-p", protocol, "-m", "small", CAT, COFFEE, "-k", 1, *more)
    lines = out.splitlines()
    assert lines[0] == str(CAT) and lines[2] == str(COFFEE)
    assert [int(lines[i].split(":")[1]) for i in (1, 3)] == predicted


def test_every_protocol_gives_the_same_numbers(server):
    tensors = [good(addresses(server)[p], "-p", p, "-m", "small", CAT, "-k", 0, "--tensor").splitlines()[1]
               for p in ("grpc", "v2-json")]
    assert tensors[0] == tensors[1] and len(tensors[0].split()) == 5


@pytest.mark.parametrize("protocol", ["grpc", "v2"])
def test_a_load(server, tmp_path, protocol):
    out = good(addresses(server)[protocol], "-p", protocol, "-m", "small", CAT, COFFEE, "-c", 3, "-n", 12,
               "--same", "--json", "--csv", tmp_path / "l.csv", "--svg", tmp_path / "l.svg")
    figures = json.loads(out)
    assert figures["good"] == 12 and figures["failed"] == figures["different"] == 0
    latency = figures["latency_ms"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["longest"]
    rows = list(csv.DictReader((tmp_path / "l.csv").open()))
    assert len(rows) == 12 and all(row["good"] == "1" for row in rows)
    assert sorted({row["request"] for row in rows}) == ["0", "1"]
    assert max(float(row["latency_ms"]) for row in rows) == pytest.approx(latency["longest"], abs=0.01)
    assert "<svg" in (tmp_path / "l.svg").read_text()


def test_a_rate_is_kept_and_rows_are_counted(server):
    figures = json.loads(good(server.url, "-p", "v2", "-m", "small", CAT, "--rows", 2, "--rate", 4,
                              "-n", 8, "-c", 8, "--json"))
    assert figures["good"] == 8 and figures["seconds"] >= 1.7
    assert figures["pictures_per_second"] == pytest.approx(2 * figures["requests_per_second"], rel=1e-3)


def test_a_table_and_a_duration(server):
    out = good(f"grpc://{server.grpc}", "-m", "small", "-d", 1, "-c", 2)
    assert "0 failed" in out and "99 %" in out and "requests/s" in out


def test_failures_are_told(server):
    result = client(f"grpc://{server.grpc}", "-m", "other", CAT)
    assert result.returncode == 1 and "gRPC status 5" in result.stderr and "other" in result.stderr
    result = client(server.url, "-p", "v2", "-m", "other", CAT)
    assert result.returncode == 1 and "HTTP 404" in result.stderr
    result = client(server.url, "-p", "v2", "-m", "other", CAT, "-n", 4)
    assert result.returncode == 1 and "4 failed" in result.stdout and "4 times: HTTP 404" in result.stdout
    result = client("grpc://127.0.0.1:1", "-m", "small", CAT)
    assert result.returncode == 4 and "127.0.0.1:1" in result.stderr


@pytest.mark.parametrize("args,word", [
    (["ftp://x"], "http://"),
    (["http://127.0.0.1", "-p", "grpc", "-m", "x"], "grpc://"),
    (["http://127.0.0.1", "-p", "v2"], "--model"),
    (["http://127.0.0.1", "--tensor"], "pictures"),
    (["http://127.0.0.1", "-p", "telnet"], "torchserve"),
])
def test_bad_flags(args, word):
    result = client(*args)
    assert result.returncode == 2 and word in result.stderr, result.stderr


def test_health_and_tokens_and_tls(server, small, tmp_path):
    good(server.url, "--health")
    good(f"grpc://{server.grpc}", "--health")
    assert client("http://127.0.0.1:1", "--health").returncode == 4
    (tmp_path / "tokens").write_text("secret-token-of-length\n")
    (tmp_path / "wrong").write_text("another\n")
    flags, trust = [], []
    if shutil.which("openssl"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
                        tmp_path / "key", "-out", tmp_path / "chain", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        flags = ["--tls-certificate", tmp_path / "chain", "--tls-key", tmp_path / "key"]
        trust = ["--authority", tmp_path / "chain"]
    with serving(f"small={small}", "--token-file", tmp_path / "tokens", *flags) as guarded:
        grpc = f"grpc{'s' if flags else ''}://{guarded.grpc}"
        for url, more in ((grpc, []), (guarded.url, ["-p", "v2"])):
            args = [url, "-m", "small", CAT, *more, *trust]
            good(*args, "--token-file", tmp_path / "tokens")
            good(url, "--health", *trust)
            result = client(*args, "--token-file", tmp_path / "wrong")
            assert result.returncode == 1 and ("401" in result.stderr or "16" in result.stderr)
            if flags:
                assert client(*args[:-2]).returncode == 4


def test_paddles_services(small, server):
    with serving(f"imagenet={small}", "--paddle-port", 0) as paddle:
        answers = [good(url, "-p", protocol, CAT, COFFEE, "--rows", 2)
                   for url, protocol in ((f"grpc://{paddle.paddle}", "paddle-grpc"),
                                         (paddle.url, "paddle"))]
        over_grpc = dict(line.strip().split(": ") for line in answers[0].splitlines()[1:])
        over_http = json.loads(answers[1].splitlines()[1])
        assert over_http["key"] == list(over_grpc) == ["label", "prob"]
        assert over_http["value"] == list(over_grpc.values())
        assert eval(over_grpc["prob"])[0] > 0 and len(eval(over_grpc["label"])) == 2
        general = good(paddle.url, "-p", "paddle-general", CAT).split(":")[-1].split()
        assert len(general) == 5 and max(map(float, general)) == pytest.approx(
            eval(over_grpc["prob"])[0])
        good(f"grpc://{paddle.paddle}", "--health")
        result = client(f"grpc://{paddle.paddle}", "-p", "paddle-grpc", "-m", "other", CAT)
        assert result.returncode == 1 and "err_no 3002" in result.stderr
        for protocol, url in (("paddle-grpc", f"grpc://{paddle.paddle}"),
                              ("paddle-general", paddle.url)):
            result = client(url, "-p", protocol, __file__)
            assert result.returncode == 1 and "err_no 5000" in result.stderr, result.stderr
        load = json.loads(good(f"grpc://{paddle.paddle}", "-p", "paddle-grpc", CAT, "-c", 4, "-n", 12,
                               "--same", "--json"))
        assert load["good"] == 12 and load["different"] == 0


# ---- Other servers ----

class Notes(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer, status, asked = {}, 200, []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked.append((self.path, dict(self.headers), body))
        answer = type(self).answer
        data = json.dumps(answer() if callable(answer) else answer).encode()
        self.send_response(type(self).status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def noting(answer, status=200):
    handler = type("Handler", (Notes,), {"answer": staticmethod(answer) if callable(answer) else answer,
                                         "status": status, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
    finally:
        server.shutdown()
        server.server_close()


def test_pictures_as_they_are():
    with noting({"classes": []}) as (url, asked):
        good(url, CAT, "-k", 7, "-m", "a b")
        good(url, CAT, COFFEE, "--rows", 2)
    path, headers, body = asked[0]
    assert path == "/v1/classify?k=7&model=a%20b" and headers["Content-Type"] == "image/jpeg"
    assert body == CAT.read_bytes()
    path, headers, body = asked[1]
    kind, boundary = headers["Content-Type"].split("; boundary=")
    assert kind == "multipart/form-data"
    parts = body.split(b"--" + boundary.encode())
    assert len(parts) == 4 and parts[3] == b"--\r\n"
    for part, picture in zip(parts[1:3], (CAT, COFFEE)):
        assert part.split(b"\r\n\r\n", 1)[1] == picture.read_bytes() + b"\r\n"


def test_paddle_tensorflow_torchserve():
    code = base64.b64encode(CAT.read_bytes()).decode()
    with noting({"err_no": 0, "err_msg": "", "key": ["label"], "value": ["['cat']"]}) as (url, asked):
        assert "['cat']" in good(url, "-p", "paddle", CAT)
        good(url, "-p", "paddle", "-m", "other", CAT, CAT, "--rows", 2)
        good(url, "-p", "paddlehub", CAT, "-k", 3)
        good(url, "-p", "tensorflow", "-m", "m", CAT)
        good(url, "-p", "torchserve", "-m", "m", CAT)
    assert asked[0][0] == "/imagenet/prediction"
    assert json.loads(asked[0][2]) == {"key": ["image"], "value": [code]}
    assert asked[1][0] == "/other/prediction" and json.loads(asked[1][2])["value"] == [code, code]
    assert asked[2][0] == "/predict/clas_system"
    assert json.loads(asked[2][2]) == {"images": [code], "top_k": 3}
    assert asked[3][0] == "/v1/models/m:predict"
    assert json.loads(asked[3][2]) == {"instances": [{"b64": code}]}
    assert asked[4][0] == "/predictions/m" and asked[4][2] == CAT.read_bytes()


def test_errors_inside_good_answers():
    with noting({"err_no": 5000, "err_msg": "bad picture"}) as (url, _):
        result = client(url, "-p", "paddle", CAT)
        assert result.returncode == 1 and "5000" in result.stderr and "bad picture" in result.stderr
    with noting({"error": "too busy"}, 503) as (url, _):
        result = client(url, CAT)
        assert result.returncode == 1 and "503" in result.stderr and "too busy" in result.stderr


def test_what_met_nobody_is_sent_again():
    with noting({"error": "busy"}, 503) as (url, asked):
        result = client(url, CAT, "-n", 2, "--retries", 2, "--json")
        assert result.returncode == 1 and len(asked) == 6
        figures = json.loads(result.stdout)
        assert figures["failed"] == 2 and figures["sent_again"] == 4
    with noting({"error": "what?"}, 400) as (url, asked):
        assert client(url, CAT, "-n", 2, "--retries", 2).returncode == 1 and len(asked) == 2


def test_different_answers_are_noticed():
    count = iter(range(1000))
    with noting(lambda: {"id": "x", "score": next(count)}) as (url, _):
        result = client(url, CAT, "-n", 5, "--same", "--json")
        assert result.returncode == 1 and json.loads(result.stdout)["different"] == 4
    count = iter(range(1000))
    with noting(lambda: {"timing": next(count), "score": 1}) as (url, _):
        assert json.loads(good(url, CAT, "-n", 5, "--same", "--json"))["different"] == 0


def test_silence_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for url, more in ((f"http://127.0.0.1:{port}", []), (f"grpc://127.0.0.1:{port}", ["-m", "x"])):
            result = client(url, CAT, "--timeout", "0.3", *more)
            assert result.returncode == 4, result.stderr


def test_answers_that_are_no_messages():
    """Bytes where a gRPC server should be."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def talk():
            for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64, os.urandom(300)):
                peer, _ = server.accept()
                peer.sendall(answer)
                peer.close()
        thread = threading.Thread(target=talk)
        thread.start()
        for _ in range(3):
            result = client(f"grpc://127.0.0.1:{server.getsockname()[1]}", "-m", "x", CAT, "--timeout", "5")
            assert result.returncode == 4 and result.stderr, result
        thread.join()
