# SPDX-License-Identifier: Apache-2.0
"""Load, change, watch and end a server while it works."""
import http.client
import json
import re
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from server import PICTURES, make_small, run, serving


class Load:
    """Clients that ask without a pause and keep what they got."""

    def __init__(self, server, tasks, clients=8):
        self.server, self.tasks, self.answers, self.stop = server, tasks, [], False
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(clients)]

    def work(self, i):
        connection = self.server.connect()
        while not self.stop:
            path, body, headers = self.tasks[i % len(self.tasks)]
            i += 1
            try:
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                self.answers.append((i - 1, response.status, response.read()))
            except (ConnectionError, http.client.HTTPException) as error:
                self.answers.append((i - 1, None, repr(error)))
                connection.close()
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join()


def test_the_same_bits_under_any_concurrency(small, tmp_path):
    pictures = [PICTURES / n for n in ("cat_420.jpg", "coffee.png")]
    tasks, expected = [], []
    for picture in pictures:
        assert run("preprocess", picture, "-o", tmp_path / "x.npy").returncode == 0
        assert run("run", small, "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npy").returncode == 0
        logits = np.load(tmp_path / "y.npy").ravel().astype("<f4")
        tasks.append(("/v1/classify?logits=1", picture.read_bytes(), {}))
        expected.append(logits)
        tensor = np.load(tmp_path / "x.npy").astype("<f4").tobytes()
        tasks.append(("/v2/models/small/infer", tensor, {"Inference-Header-Content-Length": "0"}))
        expected.append(logits)
    for size in (64, 96):
        x = np.random.default_rng(size).standard_normal((1, 3, size, size), np.float32)
        np.save(tmp_path / "x.npy", x)
        assert run("run", small, "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npy").returncode == 0
        head = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": list(x.shape),
                                       "parameters": {"binary_data_size": x.nbytes}}],
                           "parameters": {"binary_data_output": True}}).encode()
        tasks.append(("/v2/models/small/infer", head + x.tobytes(),
                      {"Inference-Header-Content-Length": str(len(head))}))
        expected.append(np.load(tmp_path / "y.npy").ravel().astype("<f4"))
    with serving(f"small={small}", "-b", 4, "--workers", 2, "-t", 1) as server:
        with Load(server, tasks, 16) as load:
            time.sleep(4)
        assert len(load.answers) > 10
        for i, status, body in load.answers:
            assert status == 200, (i, status, body)
            i %= len(tasks)
            if tasks[i][0].startswith("/v1"):
                got = np.array(json.loads(body)["results"][0]["logits"], np.float32)
            else:
                got = np.frombuffer(body[-20:], "<f4")
            assert np.array_equal(got, expected[i]), i
        metrics = server.get("/metrics").body.decode()
        batches = float(re.search(r"hrnet_batch_items_count\{.*\} (\d+)", metrics)[1])
        items = float(re.search(r"hrnet_batch_items_sum\{.*\} (\d+)", metrics)[1])
        assert items > batches, "no batch was larger than one"


def test_the_end_is_in_order(small, cat):
    with serving(f"small={small}", "-b", 2, "--drain", 1) as server:
        tasks = [("/v1/classify", cat, {})]
        with Load(server, tasks, 6) as load:
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert server.get("/v2/health/ready").status == 503
            assert server.get("/v2/health/live").status == 200
            answer = server.post("/v1/classify", cat)
            assert answer.status == 200 and answer.headers["Connection"] == "close"
            assert server.process.wait(timeout=30) == 0
            load.stop = True
        # Everything that was answered was answered well; what came too late was refused.
        statuses = [status for _, status, _ in load.answers]
        assert statuses.count(200) > 3
        assert set(statuses) <= {200, 503, None}
        # A client may find the door closed; at most one time each it was closed in its face.
        errors = [body for _, status, body in load.answers if status is None]
        assert len([e for e in errors if "ConnectionRefused" not in e]) <= 6, errors


def test_an_end_while_loading(small):
    import subprocess
    from server import ENVIRONMENT, PROGRAM
    process = subprocess.Popen([PROGRAM, "serve", str(small), "-p", "0"], env=ENVIRONMENT,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.1)
    process.terminate()
    assert process.wait(timeout=60) in (0, -signal.SIGTERM)


def test_models_are_exchanged_without_a_dropped_request(tmp_path, cat):
    path = make_small(tmp_path / "a.safetensors", 5)
    other = make_small(tmp_path / "b.safetensors", 7)
    with serving(f"m={path}", "-b", 2, "--allow-load") as server:
        with Load(server, [("/v1/classify?logits=1&model=m", cat, {})], 4) as load:
            time.sleep(0.5)
            shutil.copy(other, tmp_path / "new")
            (tmp_path / "new").rename(path)
            server.process.send_signal(signal.SIGHUP)
            end = time.time() + 60
            while server.get("/v2/models/m").json["outputs"][0]["shape"][1] != 7:
                assert time.time() < end
                time.sleep(0.1)
            path.write_bytes(b"no model")
            answer = server.post("/v2/repository/models/m/load")
            assert answer.status >= 400 and str(tmp_path) not in answer.json["error"]
            time.sleep(0.5)
        counts = [len(json.loads(body)["results"][0]["logits"]) if status == 200 else status
                  for _, status, body in load.answers]
        assert set(counts) == {5, 7} and counts[-1] == 7, counts


def test_loading_and_unloading(tmp_path, cat):
    folder = tmp_path / "repository"
    for version, classes in ((1, 5), (2, 6)):
        (folder / "m" / str(version)).mkdir(parents=True)
        make_small(folder / "m" / str(version) / "model.safetensors", classes)
    with serving("--repository", folder, "-b", 1, "--allow-load") as server:
        def classes(path="/v2/models/m"):
            return server.get(path).json["outputs"][0]["shape"][1]
        assert classes() == 6 and classes("/v2/models/m/versions/1") == 5
        assert sorted(server.get("/v2/models/m").json["versions"]) == ["1", "2"]
        assert server.get("/v2/models/m/versions/3").status == 404
        index = server.post("/v2/repository/index").json
        assert [(e["name"], e["version"], e["state"]) for e in index] == \
            [("m", "1", "READY"), ("m", "2", "READY")]
        assert server.post("/v2/repository/models/m/unload").status == 200
        assert server.get("/v2/models/m/ready").status == 503
        assert server.get("/v2/health/ready").status == 503
        assert server.post("/v1/classify", cat).status == 404
        assert server.post("/v2/repository/index", {"ready": True}).json == []
        assert server.post("/v2/repository/index").json[0]["reason"] == "unloaded"
        (folder / "m" / "3").mkdir()
        make_small(folder / "m" / "3" / "model.safetensors", 7)
        assert server.post("/v2/repository/models/m/load").status == 200
        assert classes() == 7 and server.get("/v2/health/ready").status == 200
        assert server.post("/v2/repository/models/none/load").status == 404
        answer = server.post("/v2/repository/models/m/load",
                             {"parameters": {"file:4/model.onnx": "AAAA"}})
        assert answer.status == 501
        shutil.rmtree(folder / "m" / "3")
        server.process.send_signal(signal.SIGHUP)
        end = time.time() + 60
        while classes() != 6:
            assert time.time() < end
            time.sleep(0.1)


def test_what_can_be_seen(small, cat, tmp_path):
    log = tmp_path / "access.log"
    trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    with serving(f"small={small}", "-b", 2, "--access-log", log, "--triton-metrics") as server:
        answer = server.post("/v1/classify", cat, {"traceparent": trace})
        assert answer.headers["traceparent"][:36] == trace[:36]
        assert answer.headers["traceparent"][36:52] != trace[36:52]
        for bad in ("00-" + "0" * 32 + "-0123456789abcdef-01", "x" * 55, trace + "0", trace.upper()):
            assert server.get("/v2", traceparent=bad).headers["traceparent"][3:35] != bad[3:35]
        assert server.get("/nothing").status == 404
        plan = server.get("/debug/plan").body.decode()
        assert "model small, version 1: hrnet_w18_small, 224x224, batch 2" in plan
        stats, = server.get("/v2/models/small/stats").json["model_stats"]
        assert stats["inference_count"] == 1 and stats["execution_count"] == 1
        assert stats["inference_stats"]["success"]["ns"] > 0
        assert server.get("/v2/models/stats").json["model_stats"][0]["name"] == "small"
        metrics = server.get("/metrics")
        assert metrics.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        check_metrics(metrics.body.decode())
        labels = '{model="small",version="1"}'
        for name in ("request_success", "count", "exec_count"):
            assert f"nv_inference_{name}{labels} 1\n" in metrics.body.decode()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    first, = [line for line in lines if line["path"] == "/v1/classify"]
    assert first["code"] == 200 and first["items"] == 1
    assert first["trace"] == trace[3:35] and first["bytes_in"] == len(cat)
    assert first["model"] == "small" and first["run_ms"] > 0
    assert [l["code"] for l in lines if l["path"] == "/nothing"] == [404]


def check_metrics(text):
    """The text format 0.0.4: every sample under its own TYPE, histograms that add up."""
    kind, seen, last = {}, set(), {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, of = line.split(" ")
            assert name not in kind
            kind[name] = of
            current = name
        elif not line.startswith("#"):
            match = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
            assert match, line
            name, labels, value = match.groups()
            assert name.startswith(current), line
            assert line.rsplit(" ", 1)[0] not in seen
            seen.add(line.rsplit(" ", 1)[0])
            value = float(value)
            if name.endswith("_bucket"):
                key = current + re.sub(r',?le="[^"]*"', "", labels)
                assert value >= last.get(key, 0), line
                last[key] = value
            if name.endswith("_count") and kind[current] == "histogram":
                assert value == last[current + (labels or "")], line
    for name in ("hrnet_queue_seconds", "hrnet_decode_seconds", "hrnet_compute_seconds",
                 "hrnet_batch_items", "hrnet_request_seconds"):
        assert kind[name] == "histogram"
