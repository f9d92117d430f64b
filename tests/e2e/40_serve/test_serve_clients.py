# SPDX-License-Identifier: Apache-2.0
"""Clients of other servers, as they are.  Run by the Python of tools/serving_clients."""
import asyncio

import numpy as np
import pytest

from server import PICTURES, serving


# ---- tritonclient ----

@pytest.fixture(scope="module")
def triton():
    return pytest.importorskip("tritonclient.http")


@pytest.fixture(scope="module")
def client(triton, server):
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4) as client:
        yield client


def tensor_input(triton, tensor, binary):
    value = triton.InferInput("x", list(tensor.shape), "FP32")
    value.set_data_from_numpy(tensor, binary_data=binary)
    return value


def test_triton_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("small") and client.is_model_ready("small", "1")
    assert not client.is_model_ready("none")
    assert client.get_server_metadata()["name"] == "hrnet"
    assert client.get_model_metadata("small")["inputs"][0]["name"] == "x"
    assert client.get_model_config("small")["max_batch_size"] >= 1
    assert client.get_model_repository_index()[0]["state"] == "READY"
    statistics = client.get_inference_statistics("small")["model_stats"][0]
    assert statistics["name"] == "small"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
def test_triton_tensors(triton, client, tensor, logits, binary, packed):
    result = client.infer("small", [tensor_input(triton, tensor, binary)], request_id="a1",
                          outputs=[triton.InferRequestedOutput("logits", binary_data=binary)],
                          request_compression_algorithm=packed,
                          response_compression_algorithm=packed)
    assert np.array_equal(result.as_numpy("logits"), logits[None])
    assert result.get_response()["id"] == "a1"


def test_triton_without_outputs_and_async(triton, client, tensor, logits):
    batch = np.concatenate([tensor] * 3)
    pending = [client.async_infer("small", [tensor_input(triton, batch, True)]) for _ in range(4)]
    for request in pending:
        assert np.array_equal(request.get_result().as_numpy("logits"), [logits] * 3)


def test_triton_classification_of_pictures(triton, client, cat, logits):
    pictures = np.array([cat, cat], dtype=np.object_)
    value = triton.InferInput("x", [2], "BYTES")
    value.set_data_from_numpy(pictures)
    output = triton.InferRequestedOutput("logits", class_count=3)
    answer = client.infer("small", [value], outputs=[output]).as_numpy("logits")
    assert answer.shape == (2, 3)
    best = np.argsort(-logits)[:3]
    for row in answer:
        for text, index in zip(row, best):
            score, place = text.decode().split(":")[:2]
            assert int(place) == index and abs(float(score) - logits[index]) < 1e-5


def test_triton_failures(triton, client, tensor):
    from tritonclient.utils import InferenceServerException
    for model, shape, word in (("none", (1, 3, 64, 64), "none"), ("small", (1, 3, 64, 7), "width")):
        with pytest.raises(InferenceServerException) as caught:
            client.infer(model, [tensor_input(triton, np.zeros(shape, np.float32), True)])
        assert word in str(caught.value)


def test_triton_loads_and_unloads(triton, small):
    with serving(f"small={small}", "-b", 1, "--allow-load") as server:
        with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            client.unload_model("small")
            assert not client.is_model_ready("small")
            client.load_model("small")
            assert client.is_model_ready("small")


# ---- KServe's ----

def test_kserve(server, tensor, logits):
    pytest.importorskip("kserve")
    from kserve import InferenceRESTClient, RESTConfig, InferInput, InferRequest
    url = f"http://127.0.0.1:{server.port}"

    async def talk(binary):
        client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
        assert await client.is_server_live(url)
        assert await client.is_server_ready(url)
        assert await client.is_model_ready(url, "small")
        value = InferInput("x", list(tensor.shape), "FP32")
        value.set_data_from_numpy(tensor, binary_data=binary)
        answer = await client.infer(url, InferRequest("small", [value]), model_name="small")
        await client.close()
        return answer

    for binary in (False, True):
        answer = asyncio.run(talk(binary))
        assert np.array_equal(answer.outputs[0].as_numpy().ravel(), logits)


# ---- The OpenAPI document ----

def test_openapi(server):
    document = server.get("/openapi.json").json
    assert document["openapi"].startswith("3.")
    for path, methods in document["paths"].items():
        for method in methods:
            filled = path.replace("{model}", "small").replace("{version}", "1")
            answer = server.ask(method.upper(), filled, b"{}" if method == "post" else None)
            assert str(answer.status) in methods[method]["responses"], (method, path, answer.status)
            assert answer.status != 405


def test_schemathesis(server):
    """Thousands of requests made from the document: no failure of the server, no answer that the
    document does not know."""
    schemathesis = pytest.importorskip("schemathesis")
    hypothesis = pytest.importorskip("hypothesis")
    schema = schemathesis.openapi.from_url(server.url + "/openapi.json")
    checks = schemathesis.checks
    wanted = [checks.not_a_server_error] if hasattr(checks, "not_a_server_error") else None

    def known(answer):
        return answer.status_code < 500 or answer.status_code in (501, 503, 504)

    for result in schema.get_all_operations():
        operation = result.ok()

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(max_examples=20, deadline=None, database=None, derandomize=True,
                             suppress_health_check=list(hypothesis.HealthCheck))
        def look(case):
            answer = case.call(base_url=server.url)
            assert known(answer), (operation.label, answer.status_code, answer.text)
            responses = operation.definition.raw["responses"]
            assert str(answer.status_code) in responses, (operation.label, answer.status_code,
                                                          answer.text)
        look()
