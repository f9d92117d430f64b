# SPDX-License-Identifier: Apache-2.0
"""hrnet serve and the Open Inference Protocol, with nothing but Python's own HTTP client."""
import json

import numpy as np
import pytest

from server import PICTURES, run

CAT = PICTURES / "cat_420.jpg"


def json_request(tensor, **more):
    return {"inputs": [{"name": "x", "shape": list(tensor.shape), "datatype": "FP32",
                        "data": tensor.ravel().tolist()}], **more}


def test_health_and_metadata(server):
    assert server.get("/v2/health/live").json == {"live": True}
    assert server.get("/v2/health/ready").json == {"live": True, "ready": True}
    assert server.get("/v2").json["name"] == "hrnet"
    assert server.get("/v2/").json == server.get("/v2").json
    metadata = server.get("/v2/models/small").json
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3, 224, 224]}]
    assert metadata["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 5]}]
    assert metadata["versions"] == ["1"]
    assert server.get("/v2/models/small/versions/1").json == metadata
    assert server.get("/v2/models/small/ready").json == {"name": "small", "ready": True}
    assert server.get("/v2/models/other/ready").status == 404


def test_tensors_as_json_give_the_programs_bits(server, tensor, logits):
    answer = server.post("/v2/models/small/infer", json_request(tensor, id="42")).json
    assert answer["id"] == "42" and answer["model_name"] == "small"
    output, = answer["outputs"]
    assert output["shape"] == [1, 5] and output["datatype"] == "FP32"
    assert np.array_equal(np.array(output["data"], np.float32), logits)


def test_tensors_as_bytes_give_the_programs_bits(server, tensor, logits):
    raw = tensor.astype("<f4").tobytes()
    head = json.dumps({"inputs": [{"name": "x", "shape": list(tensor.shape), "datatype": "FP32",
                                   "parameters": {"binary_data_size": len(raw)}}],
                       "outputs": [{"name": "logits", "parameters": {"binary_data": True}}]})
    answer = server.post("/v2/models/small/infer", head.encode() + raw,
                         {"Inference-Header-Content-Length": str(len(head))})
    assert answer.status == 200, answer.body
    size = int(answer.headers["Inference-Header-Content-Length"])
    assert json.loads(answer.body[:size])["outputs"][0]["parameters"] == {"binary_data_size": 20}
    assert answer.body[size:] == logits.astype("<f4").tobytes()
    # Without any JSON: one row, answered in bytes.
    answer = server.post("/v2/models/small/infer", raw, {"Inference-Header-Content-Length": "0"})
    size = int(answer.headers["Inference-Header-Content-Length"])
    assert answer.body[size:] == logits.astype("<f4").tobytes()


def test_pictures_as_bytes_give_the_same(server, logits):
    picture = CAT.read_bytes()
    raw = b"".join(len(p).to_bytes(4, "little") + p for p in (picture, picture))
    head = json.dumps({"inputs": [{"name": "x", "shape": [2], "datatype": "BYTES",
                                   "parameters": {"binary_data_size": len(raw)}}],
                       "outputs": [{"name": "logits"},
                                   {"name": "logits", "parameters": {"classification": 2}}]})
    answer = server.post("/v2/models/small/infer", head.encode() + raw,
                         {"Inference-Header-Content-Length": str(len(head))}).json
    values, classes = answer["outputs"]
    assert np.array_equal(np.array(values["data"], np.float32).reshape(2, 5),
                          [logits, logits])
    best = np.argsort(-logits)[:2]
    assert classes["datatype"] == "BYTES" and classes["shape"] == [2, 2]
    for i, text in enumerate(classes["data"]):
        value, index = text.split(":")[:2]
        assert int(index) == best[i % 2]
        assert abs(float(value) - logits[best[i % 2]]) < 1e-5


@pytest.mark.parametrize("code,word,change", [
    (400, "no input 'y'", lambda r: r["inputs"][0].update(name="y")),
    (400, "FP32", lambda r: r["inputs"][0].update(datatype="INT64")),
    (400, "shape", lambda r: r["inputs"][0].update(shape=[1, 3, 8, 9])),
    (400, "shape", lambda r: r["inputs"][0].update(shape=[1, 4, 8, 8])),
    (413, "rows", lambda r: r["inputs"][0].update(shape=[10**6, 3, 8, 8])),
    (400, "dimension", lambda r: r["inputs"][0].update(shape=[1, 3, -8, 8])),
    (400, "dimension", lambda r: r["inputs"][0].update(shape=[2**62, 3, 2**62, 8])),
    (400, "'shape'", lambda r: r["inputs"][0].update(shape="x")),
    (400, "'inputs'", lambda r: r.pop("inputs")),
    (400, "one input", lambda r: r["inputs"].append(dict(r["inputs"][0]))),
    (400, "no output 'z'", lambda r: r.update(outputs=[{"name": "z"}])),
    (400, "data", lambda r: r["inputs"][0].pop("data")),
    (400, "'id'", lambda r: r.update(id=7)),
    (501, "shared memory", lambda r: r["inputs"][0].update(parameters={"shared_memory_region": "a"})),
])
def test_bad_requests_are_told_what_is_wrong(server, code, word, change):
    request = json_request(np.zeros((1, 3, 8, 8), np.float32))
    change(request)
    answer = server.post("/v2/models/small/infer", request)
    assert answer.status == code, answer.body
    assert word in answer.json["error"], answer.json


def test_what_is_no_json(server):
    for body in (b"", b"{", b"[]", b"\xff\xfe", b'{"inputs":[{"data":[1,]}]}', b"{}" * 3):
        answer = server.post("/v2/models/small/infer", body)
        assert answer.status == 400 and answer.json["error"], body


def test_paths_and_methods(server):
    assert server.get("/nothing").status == 404
    answer = server.get("/v2/models/small/infer")
    assert answer.status == 405 and answer.headers["Allow"] == "POST"
    assert server.post("/v2/models/other/infer", b"{}").status in (400, 404)
    assert server.post("/v2/repository/models/small/unload").status == 403
    assert server.ask("HEAD", "/v2/health/live").body == b""


def test_without_a_model_or_with_an_open_door():
    result = run("serve")
    assert result.returncode == 2 and "MODEL" in result.stderr
    result = run("serve", "x", "--host", "0.0.0.0")
    assert result.returncode == 2 and "--public" in result.stderr
    result = run("serve", "/nonexistent.safetensors", "--port", "0")
    assert result.returncode == 3, result.stderr
