# SPDX-License-Identifier: Apache-2.0
"""Pictures as they are, and the routes of other servers: the same answer through every door."""
import base64
import gzip
import json
import zlib

import numpy as np
import pytest

from server import PICTURES, run, serving


@pytest.fixture(scope="session")
def scores(logits):
    e = np.exp(logits.astype(np.float64) - logits.max())
    return e / e.sum()


def best(scores, k):
    return np.argsort(-scores, kind="stable")[:k].tolist()


def form(*files):
    body = b""
    for name, file_name, content in files:
        body += (f'--xyz\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"'
                 "\r\nContent-Type: image/jpeg\r\n\r\n").encode() + content + b"\r\n"
    return body + b"--xyz--\r\n", {"Content-Type": "multipart/form-data; boundary=xyz"}


def text(picture):
    return base64.b64encode(picture).decode()


def test_one_picture(server, cat, small, logits):
    answer = server.post("/v1/classify?k=3&logits=1", cat).json
    result, = answer["results"]
    assert np.array_equal(np.array(result["logits"], np.float32), logits)
    line = run("predict", PICTURES / "cat_420.jpg", "-m", small, "-k", 3, "--format", "jsonl")
    expected = json.loads(line.stdout)
    for key in ("class_ids", "label_names", "width", "height", "format", "orientation"):
        assert result[key] == expected[key], key
    assert np.allclose(result["scores"], expected["scores"], rtol=1e-6)
    assert answer["model"] == "small" and answer["timing"]["compute_ms"] > 0


def test_several_labels_get_scores_of_their_own(small, cat, logits, tensor):
    """One model, told to be of that kind, through a door of each protocol."""
    with np.errstate(over="ignore"):
        want = 1 / (1 + np.exp(-logits.astype(np.float64)))
    with serving(f"small={small}", "--activation", "sigmoid") as server:
        result, = server.post("/v1/classify?k=5", cat).json["results"]
        assert np.allclose(result["scores"], want[result["class_ids"]], rtol=1e-5)
        asked = {"instances": [{"b64": text(cat)}]}
        rows = server.post("/v1/models/small:predict", json.dumps(asked).encode()).json["predictions"]
        assert np.allclose(rows[0], want, rtol=1e-5)
        asked = {"inputs": [{"name": "x", "shape": [1, 3, 224, 224], "datatype": "FP32",
                             "data": tensor.ravel().tolist()}], "outputs": [{"name": "probabilities"}]}
        output, = server.post("/v2/models/small/infer", json.dumps(asked).encode()).json["outputs"]
        assert np.allclose(output["data"], want, rtol=1e-5)


def test_an_explanation(server, cat):
    plain, = server.post("/v1/classify", cat).json["results"]
    result, = server.post("/v1/classify?explain=1", cat).json["results"]
    kind, _, data = result.pop("explanation").partition(",")
    assert kind == "data:image/png;base64" and result == plain
    png = base64.b64decode(data)
    assert png.startswith(b"\x89PNG") and png[16:24] == (224).to_bytes(4, "big") * 2
    assert server.post("/v1/classify?explain=2", cat).status == 400


def test_every_format_and_a_turned_one(server, small):
    for picture in sorted(PICTURES.iterdir()):
        line = run("predict", picture, "-m", small, "-k", 1, "--format", "jsonl").stdout
        expected = json.loads(line)
        answer = server.post("/v1/classify?k=1", picture.read_bytes())
        if "error" in expected:
            assert answer.status in (413, 415, 422), (picture, answer.body)
        else:
            result, = answer.json["results"]
            assert result["class_ids"] == expected["class_ids"], picture
            assert result.get("warning") == expected.get("warning"), picture


def test_several_pictures_and_a_bad_one_fails_alone(server, cat, logits):
    body, headers = form(("a", "cat.jpg", cat), ("b", "no.txt", b"no picture"),
                         ("c", "cut.jpg", cat[:300]), ("d", "k\u00e4tzchen.jpg", cat))
    results = server.post("/v1/classify?logits=1", body, headers).json["results"]
    assert [r.get("code") for r in results] == [None, 415, 422, None]
    assert "picture 2" in results[1]["error"] and results[1]["filename"] == "no.txt"
    for i in (0, 3):
        assert np.array_equal(np.array(results[i]["logits"], np.float32), logits)
    assert results[3]["filename"] == "k\u00e4tzchen.jpg"


@pytest.mark.parametrize("query,word", [("k=0", "k"), ("k=-1", "k"), ("k=1.5", "k"), ("k=x", "k"),
                                        ("k=6", "1 to 5"), ("logits=2", "logits")])
def test_bad_queries(server, cat, query, word):
    answer = server.post("/v1/classify?" + query, cat)
    assert answer.status == 400 and word in answer.json["error"]


def test_bad_bodies(server, cat):
    assert server.post("/v1/classify").status == 400
    assert server.post("/v1/classify", b"text").status == 415
    assert server.post("/v1/classify", cat[:100]).status == 422
    assert server.post("/v1/classify?model=none", cat).status == 404
    body, headers = form(("a", "a.jpg", cat))
    for bad in (body[:-9], body[5:], b"", b"--xyz", b"--xyz\r\n", b"--xyz--"):
        assert server.post("/v1/classify", bad, headers).status == 400, bad[-20:]
    assert server.post("/v1/classify", body,
                       {"Content-Type": "multipart/form-data"}).status == 400
    body, headers = form(*[("a", "a.jpg", b"x")] * 70)
    assert server.post("/v1/classify", body, headers).status == 413


def test_a_bomb_is_refused_by_its_header(server):
    chunk = b"IHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    png = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    assert server.post("/v1/classify", png + bytes(100)).status == 413


def test_compressed_bodies_and_answers(server, cat):
    plain = server.post("/v1/classify?k=1", cat).json["results"]
    for encoding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        answer = server.post("/v1/classify?k=1", pack(cat), {"Content-Encoding": encoding})
        assert answer.json["results"] == plain
    assert server.post("/v1/classify", cat, {"Content-Encoding": "br"}).status == 415
    assert server.post("/v1/classify", gzip.compress(cat)[:-9],
                       {"Content-Encoding": "gzip"}).status == 400
    bomb = gzip.compress(bytes(80 << 20))
    assert server.post("/v1/classify", bomb, {"Content-Encoding": "gzip"}).status == 413
    answer = server.get("/metrics", **{"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert b"hrnet_answers_total" in gzip.decompress(answer.body)


# ---- Paddle's ----

def test_pipeline(server, cat, scores):
    request = {"key": ["image", "b"], "value": [text(cat), text(cat)]}
    answer = server.post("/small/prediction", request).json
    assert list(answer) == ["err_no", "err_msg", "key", "value", "tensors"]
    assert (answer["err_no"], answer["err_msg"], answer["tensors"]) == (0, "", [])
    assert answer["key"] == ["label", "prob"]
    labels, probabilities = (eval(value) for value in answer["value"])
    assert len(labels) == 2
    assert probabilities == [float(np.float32(p)) for p in probabilities], "floats of 32 bits"
    assert np.allclose(probabilities, scores.max(), rtol=1e-6)
    for bad, code in (({"key": [], "value": ["a"]}, 5000), ({"key": ["a"], "value": ["!"]}, 5000),
                      ({"key": ["a"], "value": [7]}, 5000), ({}, 5000)):
        answer = server.post("/small/prediction", bad)
        assert answer.status == 200 and answer.json["err_no"] == code, answer.body
        assert answer.json["err_msg"]
    assert server.post("/none/prediction", request).json["err_no"] == 3002


def test_pipeline_never_reads_tensors_of_bytes(server):
    request = {"key": ["a"], "value": ["b"], "tensors": [{"elem_type": 13, "byte_data": "gASV"}]}
    answer = server.post("/small/prediction", request).json
    assert answer["err_no"] == 5000 and "tensors" in answer["err_msg"]


def test_hub(server, cat, scores):
    answer = server.post("/predict/clas_system", {"images": [text(cat)], "top_k": 2}).json
    assert answer["status"] == "000" and answer["msg"] == ""
    (classes, values, seconds), = answer["results"]
    assert classes == best(scores, 2) and np.allclose(values, scores[classes], rtol=1e-6)
    assert seconds > 0
    for bad in ({"images": "x"}, {"images": [text(cat)], "top_k": 0}, {"images": []}, {}):
        assert server.post("/predict/clas_system", bad).json["status"] != "000"


def test_paddlex(server, cat, scores):
    picture = "data:image/jpeg;base64,\n" + text(cat)[:40] + "\n" + text(cat)[40:]
    answer = server.post("/image-classification", {"image": picture, "topk": 2}).json
    assert (answer["errorCode"], answer["errorMsg"]) == (0, "Success")
    categories = answer["result"]["categories"]
    assert [c["id"] for c in categories] == best(scores, 2)
    assert answer["result"]["image"] is None
    for bad, code in (({"image": "http://localhost/a.jpg"}, 501), ({}, 400), ({"image": "?"}, 422)):
        answer = server.post("/image-classification", bad)
        assert answer.status == code and answer.json["errorCode"] == code


def test_general_model(server, cat, tensor, scores):
    picture = {"data": [text(cat)], "elem_type": 20, "name": "x", "alias_name": "x", "shape": [1]}
    floats = {"float_data": tensor.ravel().tolist(), "elem_type": 1, "name": "x", "alias_name": "x",
              "shape": [3, 224, 224]}
    for one in (picture, floats):
        answer = server.post("/GeneralModelService/inference",
                             {"tensor": [one], "fetch_var_names": ["prediction"], "log_id": 7}).json
        assert answer["err_no"] == 0 and answer["log_id"] == 7
        out, = answer["outputs"][0]["tensor"]
        assert out["alias_name"] == "prediction" and out["shape"] == [1, 5]
        assert np.allclose(out["float_data"], scores, rtol=1e-6)
    for bad in ({}, {"tensor": []}, {"tensor": [{"elem_type": 9}]},
                {"tensor": [{**floats, "float_data": "x"}]}, {"tensor": [{**floats, "shape": [2]}]}):
        assert server.post("/GeneralModelService/inference", bad).json["err_no"] != 0


# ---- TensorFlow Serving's, KServe's first, TorchServe's ----

def test_tensorflow_serving(server, cat, tensor, scores):
    for path in ("/v1/models/small:predict", "/v1/models/small/versions/1:predict"):
        for instances in ([{"b64": text(cat)}], [{"image_bytes": {"b64": text(cat)}}],
                          tensor.tolist()):
            row, = server.post(path, {"instances": instances}).json["predictions"]
            assert np.allclose(row, scores, rtol=1e-6)
    assert server.get("/v1/models/small").json["model_version_status"][0]["state"] == "AVAILABLE"
    assert server.get("/v1/models/none").status == 404
    for code, path, body in ((404, "/v1/models/small:classify", {"instances": [1]}),
                             (404, "/v1/models/none:predict", {"instances": [{"b64": ""}]}),
                             (400, "/v1/models/small:predict", {"instances": []}),
                             (400, "/v1/models/small:predict", {"instances": [[1, 2], [3]]}),
                             (400, "/v1/models/small:predict", {"instances": [True]}),
                             (415, "/v1/models/small:predict", {"instances": [{"b64": "AAAA"}]})):
        answer = server.post(path, body)
        assert answer.status == code and answer.json["error"], answer.body


def test_torchserve(server, cat, scores):
    body, headers = form(("data", "cat.jpg", cat))
    for answer in (server.ask("PUT", "/predictions/small", cat),
                   server.post("/predictions/small/1", cat),
                   server.post("/predictions/small", body, headers)):
        values = answer.json
        assert [int(label) for label in values] == best(scores, 5)
        assert np.allclose(list(values.values()), np.sort(scores)[::-1], rtol=1e-6)
    assert server.get("/ping").json == {"status": "Healthy"}
    assert server.post("/predictions/none", cat).status == 404
    assert server.post("/predictions/small", b"x").status == 415


def test_labels(tmp_path, small, cat):
    labels = ["egg, fried", "it's", 'say "a"', "b\\c", "last"]
    (tmp_path / "labels.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(labels)))
    with serving(f"small={small}", "--batch", 1, "--labels", tmp_path / "labels.txt") as server:
        result = server.post("/v1/classify", cat).json["results"][0]
        assert result["label_names"] == [labels[i] for i in result["class_ids"]]
        value = server.post("/small/prediction", {"key": ["a"], "value": [text(cat)]}).json["value"]
        assert eval(value[0]) == [labels[result["class_ids"][0]].replace(",", "")]
