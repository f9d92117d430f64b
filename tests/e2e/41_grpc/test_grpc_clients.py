# SPDX-License-Identifier: Apache-2.0
"""`hrnet serve` over gRPC with foreign clients as they are: Triton's, KServe's, gRPC's own health
and reflection clients.  Needs the Python of tools/serving_clients."""
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from google.protobuf.descriptor_pool import DescriptorPool
import tritonclient.grpc as triton
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

sys.path.insert(0, str(pathlib.Path(os.environ["HRNET_TESTS"]) / "e2e" / "40_serve"))
from server import PICTURES, make_small, run, serving  # noqa: E402

CAT = PICTURES / "cat_420.jpg"


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return make_small(tmp_path_factory.mktemp("models") / "small.safetensors")


@pytest.fixture(scope="session")
def server(small):
    with serving(f"small={small}", "--allow-load") as server:
        yield server


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


@pytest.fixture(scope="session")
def tensor(tmp_path_factory):
    path = tmp_path_factory.mktemp("tensor") / "cat.npy"
    result = run("preprocess", CAT, "-o", path)
    assert result.returncode == 0, result.stderr
    return np.load(path)


@pytest.fixture(scope="session")
def logits(small, tensor, tmp_path_factory):
    """The answer of `hrnet run` to the same input."""
    folder = tmp_path_factory.mktemp("logits")
    np.save(folder / "x.npy", tensor)
    result = run("run", small, "-i", folder / "x.npy", "-o", folder / "y.npy")
    assert result.returncode == 0, result.stderr
    return np.load(folder / "y.npy").reshape(1, -1)


def input_of(array, datatype="FP32"):
    given = triton.InferInput("x", list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def pictures(*names):
    return np.array([(PICTURES / name).read_bytes() for name in names], dtype=np.object_)


# ---- Triton's client ----

def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("small")
    assert client.is_model_ready("small", "1")
    metadata = client.get_server_metadata()
    assert metadata.name == "hrnet" and "classification" in metadata.extensions
    model = client.get_model_metadata("small", as_json=True)
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "3", "224", "224"]}]
    assert model["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": ["-1", "5"]}]
    assert model["versions"] == ["1"] and model["platform"] == "hrnet"
    config = client.get_model_config("small").config
    assert config.input[0].format == model_config_pb2.ModelInput.FORMAT_NCHW
    assert list(config.input[0].dims) == [3, 224, 224] and list(config.output[0].dims) == [5]
    assert config.max_batch_size == 64 and config.dynamic_batching.preferred_batch_size[0] > 0


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tensors_give_the_programs_bits(client, tensor, logits, compression):
    answer = client.infer("small", [input_of(tensor)], request_id="42",
                          compression_algorithm=compression)
    assert answer.get_response().id == "42" and answer.get_response().model_name == "small"
    assert np.array_equal(answer.as_numpy("logits"), logits)


def test_pictures_and_pixels_are_prepared_here(client, logits):
    answer = client.infer("small", [input_of(pictures("cat_420.jpg", "coffee.png", "cat_420.jpg"),
                                             "BYTES")])
    values = answer.as_numpy("logits")
    assert np.array_equal(values[0], logits[0]) and np.array_equal(values[2], logits[0])
    assert not np.array_equal(values[1], logits[0])
    pixels = np.zeros((1, 300, 200, 3), np.uint8)
    assert client.infer("small", [input_of(pixels, "UINT8")]).as_numpy("logits").shape == (1, 5)


def test_typed_contents(server, tensor, logits):
    with grpc.insecure_channel(server.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name="small")
        given = request.inputs.add(name="x", datatype="FP32", shape=tensor.shape)
        given.contents.fp32_contents.extend(tensor.ravel().tolist())
        answer = stub.ModelInfer(request)
        assert answer.raw_output_contents[0] == logits.astype("<f4").tobytes()
        request = service_pb2.ModelInferRequest(model_name="small")
        given = request.inputs.add(name="x", datatype="BYTES", shape=[1])
        given.contents.bytes_contents.append(CAT.read_bytes())
        answer = stub.ModelInfer(request)
        assert answer.raw_output_contents[0] == logits.astype("<f4").tobytes()


def test_classification_and_probabilities(client, tensor, logits):
    asked = [triton.InferRequestedOutput("logits", class_count=2),
             triton.InferRequestedOutput("probabilities")]
    answer = client.infer("small", [input_of(tensor)], outputs=asked)
    best = np.argsort(-logits[0])[:2]
    for text, index in zip(answer.as_numpy("logits").ravel(), best):
        value, where = text.decode().split(":")[:2]
        assert int(where) == index and abs(float(value) - logits[0, index]) < 1e-5
    assert abs(answer.as_numpy("probabilities").sum() - 1) < 1e-6


def test_a_stream_answers_in_order(client, tensor, logits):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for i in range(12):
        name = "other" if i == 5 else "small"
        client.async_stream_infer(name, [input_of(tensor)], request_id=str(i))
    got = [answers.get(timeout=60) for _ in range(12)]
    client.stop_stream()
    for i, (result, error) in enumerate(got):
        if i == 5:
            assert error and "other" in str(error)
        else:
            assert result.get_response().id == str(i)
            assert np.array_equal(result.as_numpy("logits"), logits)


def test_many_at_once(server, tensor, logits):
    wrong = []

    def ask():
        with triton.InferenceServerClient(server.grpc) as client:
            for _ in range(5):
                if not np.array_equal(client.infer("small", [input_of(tensor)]).as_numpy("logits"),
                                      logits):
                    wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("code,word,call", [
    ("NOT_FOUND", "other", lambda c, x: c.infer("other", [input_of(x)])),
    ("NOT_FOUND", "7", lambda c, x: c.infer("small", [input_of(x)], model_version="7")),
    ("INVALID_ARGUMENT", "no output 'z'",
     lambda c, x: c.infer("small", [input_of(x)], outputs=[triton.InferRequestedOutput("z")])),
    ("INVALID_ARGUMENT", "UINT8", lambda c, x: c.infer("small", [input_of(np.zeros((1, 3), np.int64), "INT64")])),
    ("INVALID_ARGUMENT", "shape", lambda c, x: c.infer("small", [input_of(np.zeros((1, 4, 8, 8), np.float32))])),
    ("INVALID_ARGUMENT", "one input", lambda c, x: c.infer("small", [input_of(x), input_of(x)])),
    ("RESOURCE_EXHAUSTED", "rows", lambda c, x: c.infer("small", [input_of(np.zeros((65, 3, 32, 32), np.float32))])),
    ("INVALID_ARGUMENT", "picture", lambda c, x: c.infer("small", [input_of(np.array([b"no picture"], np.object_), "BYTES")])),
    ("UNIMPLEMENTED", "SystemSharedMemoryRegister",
     lambda c, x: c.register_system_shared_memory("a", "/a", 16)),
    ("UNIMPLEMENTED", "parameters", lambda c, x: c.load_model("small", config="{}")),
    ("NOT_FOUND", "other", lambda c, x: c.load_model("other")),
    ("NOT_FOUND", "other", lambda c, x: c.get_model_metadata("other")),
    ("NOT_FOUND", "other", lambda c, x: c.is_model_ready("other")),
])
def test_failures_have_codes_and_words(client, tensor, code, word, call):
    with pytest.raises(InferenceServerException) as failure:
        call(client, tensor)
    assert failure.value.status() == f"StatusCode.{code}", failure.value
    assert word in failure.value.message(), failure.value


def test_deadlines_and_cancelled_calls(client, server, tensor):
    with pytest.raises(InferenceServerException) as failure:
        client.infer("small", [input_of(np.repeat(tensor, 32, 0))], client_timeout=0.01)
    assert failure.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    done = queue.Queue()
    call = client.async_infer("small", [input_of(np.repeat(tensor, 32, 0))],
                              lambda result, error: done.put(error))
    call.cancel()
    assert "CANCELLED" in done.get(timeout=30).status()
    assert client.infer("small", [input_of(tensor)])


def test_repository_and_statistics(client, tensor):
    before = client.get_inference_statistics("small").model_stats[0]
    client.infer("small", [input_of(tensor)])
    after = client.get_inference_statistics("small").model_stats[0]
    assert after.inference_count > before.inference_count
    assert after.inference_stats.success.ns > before.inference_stats.success.ns
    assert sum(b.compute_infer.count for b in after.batch_stats) == after.execution_count
    assert client.get_inference_statistics().model_stats[0].name == "small"
    index = client.get_model_repository_index().models
    assert [(m.name, m.version, m.state) for m in index] == [("small", "1", "READY")]
    client.unload_model("small")
    assert not client.is_model_ready("small")
    assert client.get_model_repository_index().models[0].state == "UNAVAILABLE"
    client.load_model("small")
    assert client.is_model_ready("small") and client.infer("small", [input_of(tensor)])


def test_settings_are_empty(client):
    assert not client.get_trace_settings().settings and not client.get_log_settings().settings
    assert not client.get_system_shared_memory_status().regions
    assert not client.get_cuda_shared_memory_status().regions


# ---- KServe's client ----

KSERVE = """
import asyncio, sys
import kserve, numpy as np

async def talk():
    client = kserve.InferenceGRPCClient(sys.argv[1], timeout=30)
    assert await client.is_server_live() and await client.is_server_ready()
    assert await client.is_model_ready("small")
    tensor = np.load(sys.argv[2])
    given = kserve.InferInput(name="x", shape=list(tensor.shape), datatype="FP32")
    given.set_data_from_numpy(tensor, binary_data=True)
    answer = await client.infer(kserve.InferRequest(model_name="small", infer_inputs=[given]))
    np.save(sys.argv[3], answer.outputs[0].as_numpy())
    await client.close()

asyncio.run(talk())
"""


def test_kserve(server, tensor, logits, tmp_path):
    """In a process of its own: its messages and those of Triton's client have the same names."""
    pytest.importorskip("httpx")
    np.save(tmp_path / "x.npy", tensor)
    result = subprocess.run([sys.executable, "-c", KSERVE, server.grpc, tmp_path / "x.npy",
                             tmp_path / "y.npy"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert np.array_equal(np.load(tmp_path / "y.npy"), logits)


# ---- gRPC's own clients ----

def test_health_service(server):
    with grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "inference.GRPCInferenceService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as failure:
            stub.Check(health_pb2.HealthCheckRequest(service="other"))
        assert failure.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_is_watched(small):
    """The status now, each change once, and an end when the server ends; a service that is not here may come."""
    known = health_pb2.HealthCheckResponse
    with serving(f"small={small}", "--drain", "1", "--timeout", "1", "--finish", "900") as server, \
            grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        other = stub.Watch(health_pb2.HealthCheckRequest(service="other"))
        assert next(other).status == known.SERVICE_UNKNOWN
        other.cancel()
        watched = [stub.Watch(health_pb2.HealthCheckRequest(service=service))
                   for service in ("", "inference.GRPCInferenceService")]
        assert [next(w).status for w in watched] == [known.SERVING] * 2
        time.sleep(1.3)  # longer than other calls may take, and nothing is told twice
        server.process.send_signal(signal.SIGTERM)
        assert [next(w).status for w in watched] == [known.NOT_SERVING] * 2
        for w in watched:
            with pytest.raises(grpc.RpcError) as failure:
                next(w)
            assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
        assert server.process.wait(timeout=300) == 0  # a watch holds nothing up


MORE = {"ModelMetadataResponse": ["properties"],
        "RepositoryModelLoadResponse": ["model_name", "isLoaded"],
        "RepositoryModelUnloadResponse": ["model_name", "isUnloaded"]}


def fields(message):
    return {f.name: (f.number, f.type) for f in message.fields}


def messages(descriptor):
    for message in descriptor.message_types_by_name.values():
        yield message
        yield from message.nested_types


def test_reflection_tells_the_protocols_messages(server):
    """Every message of ours is Triton's: same names, numbers and types.  OIP's own `properties` and
    the answers that KServe gives to load and unload are more."""
    with grpc.insecure_channel(server.grpc) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) == {
            "inference.GRPCInferenceService", "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
        pool = DescriptorPool(database)
        ours = pool.FindServiceByName("inference.GRPCInferenceService")
        theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
        for method in ours.methods:
            other = theirs.methods_by_name[method.name]
            assert method.input_type.full_name == other.input_type.full_name
            assert method.output_type.full_name == other.output_type.full_name
        compared = 0
        file = pool.FindFileContainingSymbol("inference.ModelInferRequest")
        known = {m.full_name: m for d in (service_pb2, model_config_pb2)
                 for m in messages(d.DESCRIPTOR)}
        for message in messages(file):
            if message.name == "PropertiesEntry":
                continue
            other, mine = fields(known[message.full_name]), fields(message)
            for name in MORE.get(message.name, ()):
                del mine[name]
            assert {k: other.get(k) for k in mine} == mine, message.full_name
            compared += 1
        assert compared > 40


def test_tokens(small, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("secret-token-of-length\n")
    with serving(f"small={small}", "--token-file", tokens) as server:
        with triton.InferenceServerClient(server.grpc) as client:
            assert client.is_server_live() and client.is_server_ready()
            for headers in ({}, {"authorization": "Bearer wrong"}):
                with pytest.raises(InferenceServerException) as failure:
                    client.get_model_metadata("small", headers=headers)
                assert failure.value.status() == "StatusCode.UNAUTHENTICATED"
            headers = {"authorization": "Bearer secret-token-of-length"}
            assert client.get_model_metadata("small", headers=headers).name == "small"


def test_tls(small, tmp_path):
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
                    chain, "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    with serving(f"small={small}", "--tls-certificate", chain, "--tls-key", key) as server:
        with triton.InferenceServerClient(server.grpc, ssl=True, root_certificates=str(chain)) as client:
            assert client.is_server_ready()
            assert client.infer("small", [input_of(np.zeros((1, 3, 224, 224), np.float32))])


def test_what_was_accepted_is_answered_before_the_end(small, tensor):
    with serving(f"small={small}") as server:
        client = triton.InferenceServerClient(server.grpc)
        done = queue.Queue()
        for _ in range(4):
            client.async_infer("small", [input_of(np.repeat(tensor, 16, 0))],
                               lambda result, error: done.put((result, error)))
        time.sleep(0.3)
        assert server.stop() == 0
        for _ in range(4):
            result, error = done.get(timeout=60)
            assert error is None and result.as_numpy("logits").shape == (16, 5)
        client.close()
