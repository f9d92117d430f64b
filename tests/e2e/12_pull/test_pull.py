# SPDX-License-Identifier: Apache-2.0
"""hrnet pull and pictures by address, against a server on loopback that misbehaves."""
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import threading
import traceback

import pytest

PROGRAM = os.environ["HRNET_PROGRAM"]
TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
CAT = TESTS / "data" / "pictures" / "cat_420.jpg"
NAME, FILE = "HRNet_W18_C", "HRNet_W18_C_pretrained.pdparams"


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / FILE
    result = subprocess.run([PROGRAM, "convert", f"synthetic:{NAME}", path], capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr
    return path.read_bytes()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # The program may hang up on a server that it has seen enough of; all else is a fault here.
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            self.errors.append(traceback.format_exc())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        mode, body = self.server.mode, self.server.body
        if mode == "missing":
            return self.reply(404, b"nothing")
        if mode == "broken":
            return self.reply(500, b"broken")
        if mode == "html":
            return self.reply(200, b"<!DOCTYPE html><html>log in first</html>")
        if mode == "redirect" and not self.path.startswith("/real"):
            return self.reply(302, b"", {"Location": "/real" + self.path})
        if mode == "insecure":
            return self.reply(302, b"", {"Location": self.server.plain_url + self.path})
        if mode == "elsewhere":
            return self.reply(302, b"", {"Location": f"file://{CAT}"})
        if mode == "loop":
            return self.reply(302, b"", {"Location": self.path})
        start = 0
        known = self.headers.get("If-Range") in (None, self.server.tags.get("ETag"),
                                                 self.server.tags.get("Last-Modified"))
        if mode == "careless":  # a server that knows no If-Range
            known = True
        if self.headers.get("Range") and mode != "no-range" and known:
            start = int(self.headers["Range"].split("=")[1].split("-")[0])
            if start >= len(body):
                says = {} if mode == "terse" else {"Content-Range": f"bytes */{len(body)}"}
                return self.reply(416, b"", {**says, **self.server.tags})
        more = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        more.update(self.server.tags)
        part = body[start:]
        if mode in ("cut", "no-range") and self.server.cuts > 0:
            self.server.cuts -= 1
            self.reply(206 if start else 200, part[:len(part) // 3], more, length=len(part))
            if self.server.then:
                self.server.mode = self.server.then
            return self.drop()
        if mode == "liar":
            self.reply(200, part[:5000], more, length=len(part))
            return self.drop()
        return self.reply(206 if start else 200, part, more)

    def drop(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()

    def reply(self, code, body, headers=None, length=None):
        self.send_response(code)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


def start_server(weights):
    s = Server(("127.0.0.1", 0), Handler)
    s.mode, s.body, s.requests, s.errors, s.cuts = "plain", weights, [], [], 0
    s.tags, s.then = {}, None
    s.url = f"http://127.0.0.1:{s.server_address[1]}"
    threading.Thread(target=s.serve_forever, args=(0.02,), daemon=True).start()
    return s


def stop_server(s):
    s.shutdown()
    s.server_close()
    assert s.errors == []


@pytest.fixture
def server(weights):
    s = start_server(weights)
    yield s
    stop_server(s)


@pytest.fixture
def tls(server, weights, tmp_path):
    """A second server, behind TLS with a certificate made here; it knows the plain one."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    s = start_server(weights)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    s.socket = context.wrap_socket(s.socket, server_side=True)
    s.url, s.plain_url, s.certificate = s.url.replace("http:", "https:"), server.url, certificate
    yield s
    stop_server(s)


def run(cache, *args, **more):
    environment = {"PATH": os.environ["PATH"], "HRNET_CACHE": str(cache), "no_proxy": "*",
                   "HRNET_PROGRESS": "none", "HRNET_RETRY_WAIT": "0.01", **more}
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True,
                          env=environment)


def pull(server, cache, *more):
    return run(cache, "pull", NAME, "--mirror", server.url, *more)


def clean(cache):
    return sorted(p.name for p in cache.iterdir() if not p.name.endswith(".lock"))


def test_pull_then_predict_by_name(server, weights, tmp_path):
    result = pull(server, tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / FILE).read_bytes() == weights
    digest = hashlib.sha256(weights).hexdigest()
    assert digest in result.stdout and digest in (tmp_path / (FILE + ".sha256")).read_text()
    assert clean(tmp_path) == [FILE, FILE + ".sha256"]
    again = pull(server, tmp_path)
    assert "already there" in again.stdout and len(server.requests) == 1
    for model in (["-m", NAME], []):
        record = run(tmp_path, "predict", CAT, "-f", "jsonl", *model)
        assert record.returncode == 0, record.stderr
        assert json.loads(record.stdout)["class_ids"][0] == 238
    assert "cached" in run(tmp_path, "models").stdout


@pytest.mark.parametrize("mode", ["cut", "no-range"])
def test_broken_lines_are_resumed(server, weights, tmp_path, mode):
    server.mode, server.cuts = mode, 2
    result = pull(server, tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / FILE).read_bytes() == weights
    assert len(server.requests) == 3 and server.requests[1][1]


def break_off(server, cache):
    server.mode, server.cuts, server.then = "cut", 1, "missing"  # 404 is not tried again
    result = pull(server, cache)
    assert result.returncode == 4 and len(result.stderr.strip().splitlines()) == 1
    assert not (cache / FILE).exists() and (cache / (FILE + ".part")).stat().st_size > 0
    server.mode = "plain"
    server.requests.clear()


TAGS = [{"ETag": '"one"'}, {"Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"},
        {"ETag": 'W/"weak"', "Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"}]
OTHER = {"ETag": '"two"', "Last-Modified": "Sun, 02 Jan 2022 00:00:00 GMT"}


@pytest.mark.parametrize("tags", TAGS)
def test_a_second_pull_goes_on(server, weights, tmp_path, tags):
    server.tags = tags
    break_off(server, tmp_path)
    assert pull(server, tmp_path).returncode == 0
    assert len(server.requests) == 1 and server.requests[0][1]
    assert (tmp_path / FILE).read_bytes() == weights
    assert clean(tmp_path) == [FILE, FILE + ".sha256"]


@pytest.mark.parametrize("mode", ["plain", "careless"])
@pytest.mark.parametrize("tags", TAGS)
def test_a_file_changed_between_is_fetched_anew(server, weights, tmp_path, tags, mode):
    server.tags = tags
    break_off(server, tmp_path)
    changed = bytearray(weights)
    changed[1000000] ^= 1  # in the part that is there already
    server.mode, server.body = mode, bytes(changed)
    server.tags = {key: OTHER[key] for key in tags}
    result = pull(server, tmp_path)
    assert result.returncode == 0, result.stderr
    assert server.requests[0][1] and (tmp_path / FILE).read_bytes() == server.body
    assert clean(tmp_path) == [FILE, FILE + ".sha256"]


@pytest.mark.parametrize("tags", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_validator_it_starts_over(server, weights, tmp_path, tags):
    server.tags = tags
    break_off(server, tmp_path)
    (tmp_path / (FILE + ".part")).write_bytes(b"of another version" * 1000)
    assert pull(server, tmp_path).returncode == 0
    assert [r[1] for r in server.requests] == [None]
    assert (tmp_path / FILE).read_bytes() == weights


@pytest.mark.parametrize("tags", TAGS)
def test_a_whole_part_is_used(server, weights, tmp_path, tags):
    """The program was stopped between the last byte and the new name."""
    server.tags = tags
    break_off(server, tmp_path)
    (tmp_path / (FILE + ".part")).write_bytes(weights)
    assert pull(server, tmp_path).returncode == 0
    assert [r[1] for r in server.requests] == [f"bytes={len(weights)}-"]
    assert (tmp_path / FILE).read_bytes() == weights
    assert clean(tmp_path) == [FILE, FILE + ".sha256"]


@pytest.mark.parametrize("mode,more", [("terse", b""), ("plain", b"more"), ("careless", b"")])
def test_a_part_that_may_not_be_whole_is_not(server, weights, tmp_path, mode, more):
    """No length is told; the part is longer; the server has another version of that length."""
    server.tags = TAGS[0]
    break_off(server, tmp_path)
    (tmp_path / (FILE + ".part")).write_bytes(weights + more)
    server.mode = mode
    if mode == "careless":
        server.tags = {"ETag": OTHER["ETag"]}
    assert pull(server, tmp_path).returncode == 0
    assert [bool(r[1]) for r in server.requests] == [True, False]
    assert (tmp_path / FILE).read_bytes() == weights


def test_a_whole_part_of_wrong_content_is_thrown_away(server, weights, tmp_path):
    server.tags = TAGS[0]
    break_off(server, tmp_path)
    (tmp_path / (FILE + ".part")).write_bytes(bytes(len(weights)))
    result = pull(server, tmp_path)
    assert result.returncode == 3 and "not the weights" in result.stderr
    assert clean(tmp_path) == []


def test_secure_addresses(tls, server, weights, tmp_path):
    result = run(tmp_path, "pull", NAME, "--mirror", tls.url)
    assert result.returncode == 4 and "certificate" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    trust = {"SSL_CERT_FILE": str(tls.certificate)}
    tls.mode = "insecure"
    result = run(tmp_path, "pull", NAME, "--mirror", tls.url, **trust)
    assert result.returncode == 4 and "not followed" in result.stderr and "http" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    picture = run(tmp_path, "predict", tls.url + "/cat.jpg", "-m", NAME, **trust)
    assert picture.returncode == 3  # no weights yet
    assert server.requests == [] and not (tmp_path / FILE).exists()
    tls.mode = "redirect"
    assert run(tmp_path, "pull", NAME, "--mirror", tls.url, **trust).returncode == 0
    assert (tmp_path / FILE).read_bytes() == weights
    tls.mode = "insecure"
    picture = run(tmp_path, "predict", tls.url + "/cat.jpg", "-m", NAME, **trust)
    assert picture.returncode == 1 and "not followed" in picture.stderr
    assert server.requests == []


def test_proxies(server, weights, tmp_path):
    """A plain proxy is asked for the whole address; no_proxy leaves it aside."""
    body, server.body = server.body, CAT.read_bytes()
    address = "http://pictures.invalid/cat.jpg"
    w18 = tmp_path / FILE
    w18.write_bytes(body)
    result = run(tmp_path, "predict", address, "-m", w18, "-f", "jsonl", http_proxy=server.url,
                 no_proxy="")
    assert result.returncode == 0 and json.loads(result.stdout)["class_ids"][0] == 238
    assert [r[0] for r in server.requests] == [address]
    result = run(tmp_path, "predict", address, "-m", w18, http_proxy=server.url)
    assert result.returncode == 1 and "pictures.invalid" in result.stderr
    assert len(server.requests) == 1


def test_a_validator_of_another_address_is_none(server, weights, tmp_path):
    server.tags = TAGS[0]
    break_off(server, tmp_path)
    result = run(tmp_path, "pull", NAME, "--mirror", server.url + "/elsewhere")
    assert result.returncode == 0 and [r[1] for r in server.requests] == [None]


def test_a_bad_part_is_thrown_away_whole(server, tmp_path):
    server.tags, server.mode = TAGS[0], "plain"
    server.body = b"<html>log in first</html>"
    assert pull(server, tmp_path).returncode == 3
    assert clean(tmp_path) == []


def test_redirects(server, weights, tmp_path):
    server.mode = "redirect"
    assert pull(server, tmp_path).returncode == 0
    assert (tmp_path / FILE).read_bytes() == weights


@pytest.mark.parametrize("mode,code,word", [
    ("missing", 4, "404"), ("broken", 4, "500"), ("loop", 4, "redirect"),
    ("elsewhere", 4, "file"),
    ("html", 3, "not the weights"), ("liar", 4, "")])
def test_bad_servers_leave_nothing_behind(server, tmp_path, mode, code, word):
    server.mode = mode
    result = pull(server, tmp_path)
    assert result.returncode == code, (result.returncode, result.stderr)
    assert word.lower() in result.stderr.lower()
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / FILE).exists()


def test_a_changed_file_is_refused(server, weights, tmp_path):
    assert pull(server, tmp_path).returncode == 0
    os.remove(tmp_path / FILE)
    changed = bytearray(weights)
    changed[-1000000] ^= 1  # inside fc.weight
    server.body = bytes(changed)
    result = pull(server, tmp_path)
    assert result.returncode == 3 and "changed" in result.stderr
    assert not (tmp_path / FILE).exists()
    assert pull(server, tmp_path, "--force").returncode == 0


def test_published_hash_must_match(server, tmp_path):
    result = run(tmp_path, "pull", "hrnet_w18.ms_in1k", "--mirror", server.url)
    assert result.returncode == 3 and "8cb57bb9" in result.stderr


def test_offline_and_unknown(server, tmp_path):
    result = pull(server, tmp_path, "--offline")
    assert result.returncode == 3 and "--offline" in result.stderr and not server.requests
    result = run(tmp_path, "pull", "HRNet_W60_C")
    assert result.returncode == 3 and "published" in result.stderr


def test_two_pulls_at_once(server, weights, tmp_path):
    threads = [threading.Thread(target=pull, args=(server, tmp_path)) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (tmp_path / FILE).read_bytes() == weights and len(server.requests) == 1


def test_pictures_by_address(server, tmp_path):
    assert pull(server, tmp_path).returncode == 0
    server.body = CAT.read_bytes()
    by_file = json.loads(run(tmp_path, "predict", CAT, "-f", "jsonl").stdout)
    by_address = json.loads(run(tmp_path, "predict", server.url + "/cat.jpg", "-f",
                                "jsonl").stdout)
    assert by_address["scores"] == by_file["scores"]
    result = run(tmp_path, "predict", server.url + "/cat.jpg", "--max-bytes", "1K", "-f", "jsonl")
    assert result.returncode == 1 and "1024 bytes" in json.loads(result.stdout)["error"]
    server.mode = "elsewhere"
    result = run(tmp_path, "predict", server.url + "/cat.jpg")
    assert result.returncode == 1 and result.stdout.strip() in ("", server.url + "/cat.jpg")
    assert len(result.stderr.strip().splitlines()) == 1 and "file" in result.stderr
    server.mode = "missing"
    result = run(tmp_path, "predict", server.url + "/cat.jpg", CAT, "-f", "jsonl")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 1 and "404" in lines[0]["error"] and lines[1]["class_ids"]
