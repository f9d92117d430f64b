# SPDX-License-Identifier: Apache-2.0
"""A running `hrnet serve` for tests, and requests to it by Python's own http.client."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess

PROGRAM = os.environ["HRNET_PROGRAM"]
TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
PICTURES = TESTS / "data" / "pictures"
ENVIRONMENT = {**os.environ, "HOME": "/nonexistent", "HRNET_PROGRESS": "none"}


def run(*args):
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, env=ENVIRONMENT,
                          text=True)


def make_small(path, classes=5):
    result = run("convert", "synthetic:hrnet_w18_small", path, "--classes", classes)
    assert result.returncode == 0, result.stderr
    return path


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        assert self.headers["Content-Type"] == "application/json", self.headers["Content-Type"]
        return json.loads(self.body)


class Server:
    def __init__(self, process):
        self.process = process
        line = process.stdout.readline()
        assert line.startswith("listening on "), (line, process.stderr.read())
        self.url = line.split()[2]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.grpc, self.paddle = [*(url.split("//")[1] for url in line.split()[3:5]), None, None][:2]

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers={}):
        connection = self.connect()
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body).encode()
            connection.request(method, path, body=body, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def post(self, path, body=b"", headers={}):
        return self.ask("POST", path, body, headers)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextlib.contextmanager
def serving(*args, expect=0, before=()):
    """Starts the server at a free port, by a command `before` it; at the end it must stop in order."""
    process = subprocess.Popen([*before, PROGRAM, "serve", "--port", "0", *map(str, args)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    try:
        server = Server(process)
        yield server
        if process.poll() is None:
            assert server.stop() == expect, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
