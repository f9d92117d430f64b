# SPDX-License-Identifier: Apache-2.0
"""What the server refuses: too large, too many, too slow, not allowed; and how it says so."""
import http.client
import socket
import ssl
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

from server import run, serving


def raw(server, data, timeout=30):
    """Sends bytes as they are; everything that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as s:
        s.sendall(data)
        return b"".join(iter(lambda: s.recv(65536), b""))


@pytest.fixture(scope="module")
def strict(small):
    with serving(f"small={small}", "-b", 1, "--max-body", "64K", "--max-header", "8K",
                 "--head-timeout", 1, "--body-timeout", 1, "--max-items", 3,
                 "--max-side", 256) as server:
        yield server


def test_a_long_body_is_refused_by_its_head(strict):
    answer = raw(strict, b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ") and b"65536" in answer
    answer = raw(strict, b"POST /v1/classify HTTP/1.1\r\nHost: a\r\n"
                         b"Content-Length: 99999999999999999999\r\n\r\n")
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 413")


def test_a_long_body_in_chunks(strict):
    connection = strict.connect()
    connection.request("POST", "/v1/classify", (b"x" * 10000 for _ in range(20)),
                       encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 413
    connection.close()
    assert strict.get("/v2/health/live").status == 200


def test_a_long_head(strict):
    answer = raw(strict, b"GET /v2 HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 4"), answer[:40]


def test_expect_continue(strict, cat):
    with socket.create_connection(("127.0.0.1", strict.port), timeout=10) as s:
        s.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(cat))
        assert s.recv(100).startswith(b"HTTP/1.1 100 ")
        s.sendall(cat)
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("begin,drip", [
    (b"GET /v2 HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n"),
    (b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n", b"x"),
    (b"", b""),
])
def test_slow_clients_are_cut_off(strict, begin, drip):
    start = time.time()
    with socket.create_connection(("127.0.0.1", strict.port), timeout=20) as s:
        s.sendall(begin)
        s.settimeout(0.3)
        while time.time() < start + 15:
            try:
                if drip:
                    s.sendall(drip)
                if s.recv(1000) == b"":
                    break
            except socket.timeout:
                pass
            except (ConnectionError, BrokenPipeError):
                break
    assert 0.5 < time.time() - start < 5


def test_items_and_sides(strict):
    def ask(*shape):
        size = int(np.prod(shape)) * 4
        head = (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[%s],"parameters":'
                b'{"binary_data_size":%d}}]}' % (",".join(map(str, shape)).encode(), size))
        return strict.post("/v2/models/small/infer", head + bytes(min(size, 10)),
                           {"Inference-Header-Content-Length": str(len(head))})
    assert ask(4, 3, 32, 32).status in (400, 413)
    head = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3,%d,1],"data":[1]}]}'
    answer = strict.post("/v2/models/small/infer", head % 257)
    assert answer.status == 400, answer.body
    body = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3,257,1],"data":[' + \
           b",".join([b"0"] * 771) + b"]}]}"
    answer = strict.post("/v2/models/small/infer", body)
    assert answer.status == 413 and "256 px" in answer.json["error"]


def test_nonsense_on_the_wire(strict):
    for data in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
                 b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
                 b"GET /%00%ff%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
                 b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"):
        answer = raw(strict, data)
        assert not answer.startswith(b"HTTP/1.1 2"), (data, answer)
        assert b"root:" not in answer
    assert strict.get("/v2/health/live").status == 200


# ---- Full, late, gone ----

def many(count, task):
    results = [None] * count
    threads = [threading.Thread(target=lambda i=i: results.__setitem__(i, task(i)))
               for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_full_queue_and_a_deadline(small, cat, tensor):
    with serving(f"small={small}", "-b", 1, "-t", 1, "--queue", 4) as server:
        answers = many(24, lambda i: server.post("/v1/classify", cat))
        codes = {a.status for a in answers}
        assert codes == {200, 503}, codes
        for answer in answers:
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) >= 1
                assert "queue" in answer.json["error"]
        request = {"inputs": [{"name": "x", "shape": [1, 3, 224, 224], "datatype": "FP32",
                               "data": tensor.ravel().tolist()}], "parameters": {"timeout": 1}}
        assert server.post("/v2/models/small/infer", request).status == 504
        wanted = ('hrnet_requests_total{protocol="http",code="503"}',
                  'hrnet_requests_total{protocol="http",code="504"} 1')
        end = time.time() + 20  # a request counts when it is over, a moment after its client has the answer
        while not all(line in server.get("/metrics").body.decode() for line in wanted):
            assert time.time() < end
            time.sleep(0.05)


def test_a_path_has_its_own_deadline(small, cat, tensor):
    with serving(f"small={small}", "--timeout-of", "/v1=1e-6,/v1/vision=0", "--timeout", "60") as server:
        request = {"inputs": [{"name": "x", "shape": [1, 3, 224, 224], "datatype": "FP32",
                               "data": tensor.ravel().tolist()}]}
        assert server.post("/v1/classify", cat).status == 504
        assert server.post("/v2/models/small/infer", request).status == 200
    for bad in ("v1=5", "/v1=soon", "/v1"):
        result = run("serve", small, "--timeout-of", bad)
        assert result.returncode == 2
        assert f"--timeout-of '{bad}'" in result.stderr and "wanted" in result.stderr


def test_nothing_is_computed_for_clients_that_have_gone(small, cat):
    with serving(f"small={small}", "-b", 1, "-t", 1) as server:
        def leave(i):
            with socket.create_connection(("127.0.0.1", server.port)) as s:
                s.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                          % len(cat) + cat)
                time.sleep(0.03)
        many(40, leave)
        end = time.time() + 20
        while "hrnet_queue_items 0" not in server.get("/metrics").body.decode():
            assert time.time() < end
            time.sleep(0.05)
        lines = dict(line.rsplit(" ", 1) for line in server.get("/metrics").body.decode().splitlines()
                     if not line.startswith("#"))
        labels = '{model="small",version="1"}'
        assert int(lines["hrnet_cancelled_total" + labels]) >= 20
        assert int(lines["hrnet_answers_total" + labels]) <= 20
        assert server.post("/v1/classify", cat).status == 200


# ---- Who may come in ----

def test_tokens(small, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("# of the team\n  secret-1  \n\nsecret-2\n")
    with serving(f"small={small}", "-b", 1, "--token-file", tokens) as server:
        assert server.get("/v2/health/ready").status == 200
        assert server.get("/").status == 200
        for value in (None, "Bearer secret-3", "secret-1", "Bearer ", "Basic secret-1",
                      "Bearer secret-", "Bearer secret-11", "Bearer # of the team"):
            headers = {} if value is None else {"Authorization": value}
            answer = server.get("/v2", **headers)
            assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer", value
        for value in ("secret-1", "secret-2"):
            assert server.get("/v2", Authorization="Bearer " + value).status == 200
        tokens.write_text("secret-4\n")
        server.process.send_signal(signal.SIGHUP)
        end = time.time() + 30
        while server.get("/v2", Authorization="Bearer secret-4").status != 200:
            assert time.time() < end
            time.sleep(0.05)
        assert server.get("/v2", Authorization="Bearer secret-1").status == 401


def test_a_refused_client_may_finish_its_body(small, tmp_path):
    """Who sends on after the head is heard out, so that the refusal is not lost with the connection."""
    tokens = tmp_path / "tokens"
    tokens.write_text("secret-1\n")
    with serving(f"small={small}", "-b", 1, "--token-file", tokens) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
            for piece in (b"x", b"x" * 100_000):
                s.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                          % (3 * len(piece)))
                for _ in range(3):
                    time.sleep(0.1)
                    s.sendall(piece)
                answer = s.recv(4096)
                assert answer.startswith(b"HTTP/1.1 401 ") and b"Connection: close" not in answer


def test_rates(small):
    with serving(f"small={small}", "-b", 1, "--rate", 1, "--burst", 5) as server:
        codes = [server.get("/v2").status for _ in range(8)]
        assert codes[:5] == [200] * 5 and codes[-1] == 429
        answer = server.get("/v2")
        assert answer.status == 429 and 1 <= int(answer.headers["Retry-After"]) <= 2
        assert server.get("/v2/health/live").status == 200


def test_connections_of_one_address(small):
    with serving(f"small={small}", "-b", 1, "--max-connections-of-one", 3) as server:
        kept = []
        for _ in range(3):
            connection = server.connect()
            connection.request("GET", "/v2/health/live")
            connection.getresponse().read()
            kept.append(connection)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            server.get("/v2/health/live")
        for connection in kept:
            connection.close()


def test_pages_of_other_origins(server, small):
    assert "Access-Control-Allow-Origin" not in server.get("/v2").headers
    with serving(f"small={small}", "-b", 1, "--cors", "https://a.example") as other:
        answer = other.ask("OPTIONS", "/v1/classify", headers={"Origin": "https://a.example"})
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"


def certificate(folder, name):
    key, pem = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", pem,
                    "-days", "2", "-subj", "/CN=" + name], check=True, capture_output=True)
    return pem, key


def test_tls_and_a_new_certificate(small, tmp_path, cat):
    def subject():
        context = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", server.port)) as s, \
                context.wrap_socket(s) as tls:
            return tls.getpeercert(binary_form=True)

    try:
        pem, key = certificate(tmp_path, "one")
    except FileNotFoundError:
        pytest.skip("no openssl")
    with serving(f"small={small}", "-b", 1, "--tls-certificate", pem, "--tls-key", key) as server:
        assert server.url.startswith("https://")
        connection = http.client.HTTPSConnection("127.0.0.1", server.port,
                                                 context=ssl._create_unverified_context())
        connection.request("POST", "/v1/classify", cat)
        assert connection.getresponse().read().startswith(b'{"schema":1')
        first = subject()
        certificate(tmp_path, "two")
        server.process.send_signal(signal.SIGHUP)
        end = time.time() + 30
        while subject() == first:
            assert time.time() < end
            time.sleep(0.05)
        second = subject()
        pem.write_text("broken")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(2)
        assert subject() == second
        # The connection of the first certificate is still served.
        connection.request("GET", "/v2")
        assert connection.getresponse().status == 200
        connection.close()


def test_wrong_certificates_and_addresses(small, tmp_path):
    (tmp_path / "a.pem").write_text("x")
    result = run("serve", small, "-p", 0, "--tls-certificate", tmp_path / "a.pem", "--tls-key",
                 tmp_path / "a.pem")
    assert result.returncode == 4 and "certificate" in result.stderr
    result = run("serve", small, "--tls-key", tmp_path / "a.pem")
    assert result.returncode == 2
    result = run("serve", small, "-p", 0, "--host", "example")
    assert result.returncode == 2
    result = run("serve", small, "-p", 0, "--token-file", tmp_path / "none")
    assert result.returncode == 3
