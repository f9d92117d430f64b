# SPDX-License-Identifier: Apache-2.0
"""The files of deploy/ against the schemas of those who read them, and their flags against the
program's.  Needs the Python of tools/serving_clients."""
import os
import pathlib
import re
import subprocess

import pytest
import yaml

PROGRAM = os.environ["HRNET_PROGRAM"]
DEPLOY = pathlib.Path(os.environ["HRNET_TESTS"]).parent / "deploy"


def documents(name):
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def containers(document):
    spec = document.get("spec", {})
    return spec.get("containers") or spec.get("template", {}).get("spec", {}).get("containers", [])


@pytest.mark.parametrize("document", documents("kubernetes/hrnet.yaml"), ids=lambda d: d["kind"])
def test_kubernetes(document):
    validate = pytest.importorskip("kubernetes_validate")
    for version in ("1.29.0", validate.latest_version()):
        validate.validate(document, version, strict=True)


def test_kubernetes_notices_mistakes():
    validate = pytest.importorskip("kubernetes_validate")
    document = documents("kubernetes/hrnet.yaml")[1]
    document["spec"]["replica"] = 2
    with pytest.raises(validate.ValidationError):
        validate.validate(document, validate.latest_version(), strict=True)


def names_of(model):
    return set(model.attribute_map.values())


def test_kserve():
    """Every field is one that KServe's own classes have."""
    kserve = pytest.importorskip("kserve")
    from kubernetes import client as kubernetes
    runtime, service = documents("kserve/hrnet.yaml")
    assert set(runtime) <= names_of(kserve.V1alpha1ServingRuntime)
    assert set(runtime["spec"]) <= names_of(kserve.V1alpha1ServingRuntimeSpec)
    for form in runtime["spec"]["supportedModelFormats"]:
        assert set(form) <= names_of(kserve.V1alpha1SupportedModelFormat)
    for container in containers(runtime):
        assert set(container) <= names_of(kubernetes.V1Container)
        assert {p["name"] for p in container["ports"]} == {"http1", "h2c"}
    assert set(service) <= names_of(kserve.V1beta1InferenceService)
    predictor = service["spec"]["predictor"]
    assert set(predictor) <= names_of(kserve.V1beta1PredictorSpec)
    assert set(predictor["model"]) <= names_of(kserve.V1beta1ModelSpec)
    assert predictor["model"]["runtime"] == runtime["metadata"]["name"]
    assert predictor["model"]["modelFormat"]["name"] in {
        form["name"] for form in runtime["spec"]["supportedModelFormats"]}


def test_envoy():
    bootstrap = pytest.importorskip("envoy.config.bootstrap.v3.bootstrap_pb2")
    from google.protobuf import json_format
    from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401: types of the file
    from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2  # noqa: F401
    from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2  # noqa: F401
    from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2  # noqa: F401
    document, = documents("envoy/hrnet.yaml")
    json_format.ParseDict(document, bootstrap.Bootstrap())
    document["static_resources"]["clusters"][0]["health_check"] = []
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict(document, bootstrap.Bootstrap())


def test_flags_are_the_programs():
    known = set(re.findall(r"--[a-z0-9-]+", subprocess.run([PROGRAM, "help", "serve"], capture_output=True,
                                                          text=True).stdout))
    used = set()
    for name in ("kubernetes/hrnet.yaml", "kserve/hrnet.yaml"):
        for document in documents(name):
            for container in containers(document):
                assert container["args"][0] == "serve"
                used |= {a.split("=")[0] for a in container["args"] if a.startswith("--")}
    command = re.search(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.M)
    used |= {a for a in yaml.safe_load(command[1]) if a.startswith("--")}
    used |= set(re.findall(r"--[a-z-]+", re.search(r"ExecStart=.*", (DEPLOY / "systemd/hrnet.service").read_text())[0]))
    assert used and used <= known, used - known
