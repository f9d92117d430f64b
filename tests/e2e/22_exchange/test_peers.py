# SPDX-License-Identifier: Apache-2.0
"""Our files in other frameworks, theirs in ours: logits within 1e-4 of the largest.  Each test needs
one framework of tools/peers and is skipped without it."""
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from exchange_program import good, logits

CLOSE = 1e-4


def close(got, want):
    error = np.abs(np.asarray(got, np.float64).reshape(want.shape) - want).max() / np.abs(want).max()
    assert error < CLOSE, error


def picture(n=1, h=224, w=224):
    return np.random.default_rng(n + h + w).normal(size=(n, 3, h, w)).astype(np.float32)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    for name in ("hrnet_w18_small", "HRNet_W18_C", "SE_HRNet_W18_C"):
        good("convert", f"synthetic:{name}", folder / f"{name}.safetensors", "--classes", 10)
    return folder


def exported(models, name, *form):
    path = models / "x.onnx"
    good("export", models / f"{name}.safetensors", "-o", path, "--force", *form)
    return path


# ---- ONNX, ours in theirs ----

FORMS = [("hrnet_w18_small", "--opset", opset) for opset in range(11, 22)] + [
    ("HRNet_W18_C",), ("HRNet_W18_C", "--fold"), ("SE_HRNet_W18_C",),
    ("SE_HRNet_W18_C", "--fold", "--batch", 2), ("HRNet_W18_C", "--free-size", "--opset", 13)]


@pytest.mark.parametrize("form", FORMS, ids=lambda f: " ".join(map(str, f)))
def test_onnx_and_onnxruntime(models, form):
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    path = exported(models, *form)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    assert len(inferred.graph.value_info) >= len(model.graph.node) - 1
    x = picture(2, *((64, 96) if "--free-size" in form else (224, 224)))
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    close(session.run(None, {"x": x})[0], logits(models / f"{form[0]}.safetensors", x, models))
    assert session.get_outputs()[0].shape[1] == 10


def test_results_preprocessing_and_half_in_onnxruntime(models):
    ort = pytest.importorskip("onnxruntime")
    bytes_ = np.random.default_rng(5).integers(0, 256, (1, 224, 224, 3), np.uint8)
    x = bytes_.astype(np.float32) * np.float32(1 / 255)
    x = (x - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    want = logits(models / "HRNet_W18_C.safetensors", np.ascontiguousarray(x.transpose(0, 3, 1, 2)),
                  models)
    soft = np.exp(want - want.max())
    for form, name, value in ((("--preprocess",), "picture", want),
                              (("--preprocess", "--result", "softmax"), "picture", soft / soft.sum()),
                              (("--preprocess", "--result", "sigmoid"), "picture", 1 / (1 + np.exp(-want)))):
        path = exported(models, "HRNet_W18_C", *form)
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        close(session.run(None, {name: bytes_})[0], value)
    path = exported(models, "HRNet_W18_C", "--half")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = picture()
    close(session.run(None, {"x": x})[0], logits(path, x, models))


def test_openvino(models):
    ov = pytest.importorskip("openvino")
    for name in ("HRNet_W18_C", "SE_HRNet_W18_C"):
        compiled = ov.Core().compile_model(exported(models, name), "CPU",
                                           {"INFERENCE_PRECISION_HINT": "f32"})
        x = picture()
        close(compiled(x)[0], logits(models / f"{name}.safetensors", x, models))


def test_opencv(models):
    cv2 = pytest.importorskip("cv2")
    for name in ("hrnet_w18_small", "SE_HRNet_W18_C"):
        net = cv2.dnn.readNetFromONNX(str(exported(models, name, "--batch", 1)))
        net.enableWinograd(False)
        x = picture()
        net.setInput(x)
        close(net.forward(), logits(models / f"{name}.safetensors", x, models))


def test_ncnn(models):
    ncnn = pytest.importorskip("ncnn")
    pytest.importorskip("pnnx")
    tool = pathlib.Path(sys.executable).parent / "pnnx"
    path = exported(models, "hrnet_w18_small", "--batch", 1)
    subprocess.run([tool, path, "inputshape=[1,3,224,224]", "fp16=0"], check=True, cwd=models,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = net.opt.use_winograd_convolution = False
    net.load_param(str(models / "x.ncnn.param"))
    net.load_model(str(models / "x.ncnn.bin"))
    x = picture()
    with net.create_extractor() as run:
        run.input("in0", ncnn.Mat(x[0]).clone())
        got = np.array(run.extract("out0")[1])
    close(got, logits(models / "hrnet_w18_small.safetensors", x, models))


def test_mnn(models):
    MNN = pytest.importorskip("MNN")
    import MNN.nn as nn
    import MNN.expr as expr
    path, out = exported(models, "hrnet_w18_small", "--batch", 1), models / "x.mnn"
    tool = pathlib.Path(sys.executable).parent / "mnnconvert"
    subprocess.run([tool, "-f", "ONNX", "--modelFile", path, "--MNNModel", out, "--bizCode", "x"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    net = nn.load_module_from_file(str(out), ["x"], ["logits"], backend=0, precision_mode=1)
    x = picture()
    var = expr.convert(expr.const(x, list(x.shape), expr.NCHW), expr.NC4HW4)
    close(np.array(net.forward([var])[0].read()), logits(models / "hrnet_w18_small.safetensors", x, models))


# ---- ONNX, theirs in ours ----

@pytest.fixture(scope="session")
def timm_model():
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model("hrnet_w18_small", pretrained=False, num_classes=10).eval()
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.normal_(0, 0.2)
            m.running_var.uniform_(0.8, 1.2)
            m.weight.data.uniform_(0.6, 1.1)
            m.bias.data.normal_(0, 0.2)
    return model


def torch_forms(torch):
    sizes = {"x": {0: "n", 2: "h", 3: "w"}}
    free = ({i: torch.export.Dim(n) for i, n in ((0, "n"), (2, "h"), (3, "w"))},)
    keep = torch.onnx.TrainingMode.PRESERVE
    return {"script 9": dict(dynamo=False, opset_version=9),
            "script 11": dict(dynamo=False, opset_version=11),
            "script norms": dict(dynamo=False, opset_version=13, training=keep, do_constant_folding=False),
            "script free": dict(dynamo=False, opset_version=17, input_names=["x"], dynamic_axes=sizes),
            "dynamo": dict(dynamo=True, opset_version=18),
            "dynamo one file": dict(dynamo=True, opset_version=18, external_data=False),
            "dynamo free": dict(dynamo=True, opset_version=20, dynamic_shapes=free)}


@pytest.mark.parametrize("form", ["script 9", "script 11", "script norms", "script free", "dynamo",
                                  "dynamo one file", "dynamo free"])
def test_torch(timm_model, tmp_path, form):
    import torch
    pytest.importorskip("onnxscript")
    x = picture()
    want = timm_model(torch.from_numpy(x)).detach().numpy()
    path = tmp_path / "t.onnx"
    torch.onnx.export(timm_model, (torch.from_numpy(x),), str(path), **torch_forms(torch)[form])
    close(logits(path, x, tmp_path), want)
    assert "hrnet_w18_small" in good("info", path)


# ---- Paddle programs, ours in theirs ----

PADDLE = """
import sys, numpy as np, paddle.inference as inference
config = inference.Config(*sys.argv[1:3])
config.disable_gpu()
config.disable_glog_info()
config.disable_mkldnn()
predictor, x = inference.create_predictor(config), np.load(sys.argv[3])
handle = predictor.get_input_handle(predictor.get_input_names()[0])
handle.reshape(x.shape)
handle.copy_from_cpu(x)
predictor.run()
np.save(sys.argv[4], predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu())
"""


PADDLE_PYTHON = os.environ.get("HRNET_PADDLE_PYTHON") or sys.executable  # with paddlepaddle


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("ending", [".pdmodel", ".json"])
@pytest.mark.parametrize("name", ["HRNet_W18_C", "SE_HRNet_W18_C"])
def test_paddles_own_engine(models, tmp_path, name, ending, fold):
    if subprocess.run([PADDLE_PYTHON, "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('paddle'))"]).returncode:
        pytest.skip("there is no paddlepaddle")
    good("export", models / f"{name}.safetensors", "-o", tmp_path / f"m{ending}", "--result", "softmax",
         *(["--fold"] if fold else []))
    x = picture(2)
    want = logits(models / f"{name}.safetensors", x, tmp_path)
    soft = np.exp(want - want.max(axis=1, keepdims=True))
    subprocess.run([PADDLE_PYTHON, "-c", PADDLE, tmp_path / f"m{ending}", tmp_path / "m.pdiparams",
                    tmp_path / "x.npy", tmp_path / "p.npy"], check=True, capture_output=True)
    close(np.load(tmp_path / "p.npy"), soft / soft.sum(axis=1, keepdims=True))
