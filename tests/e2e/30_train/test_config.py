# SPDX-License-Identifier: Apache-2.0
"""PaddleClas's YAML files: all seven HRNet ones are taken as they are, -o and flags go over them,
every value says where it is from, and a run by file is the run by flags, bit for bit."""
import os
import pathlib
import re
import subprocess

import pytest

from test_train import PROGRAM
from test_train import data as pictures  # a fixture: class folders

TESTS = pathlib.Path(os.environ["HRNET_TESTS"])
FILE = TESTS / "data" / "config" / "hrnet_w18.yaml"
CYCLIC = "{'name': 'Cyclic', 'base_learning_rate': 0.01, 'max_learning_rate': 0.1, " \
         "'warmup_epoch': 1, 'warmup_start_lr': 0.001, 'step_size_up': 2000%s}"
PLATEAU = "{'name': 'ReduceOnPlateau', 'learning_rate': 0.1, 'by_epoch': True, 'patience': 3%s}"
WIDTHS = (18, 30, 32, 40, 44, 48, 64)


def run(*args, **environment):
    environment = {"PATH": os.environ["PATH"], "HRNET_PROGRESS": "none", **environment}
    return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True,
                          env=environment)


@pytest.fixture(scope="session")
def data(pictures):
    """The folder with lists as PaddleClas has them."""
    for part in ("train", "val"):
        lines = [f"{p.relative_to(pictures)} {int(p.parent.name == 'top')}\n"
                 for p in sorted((pictures / part).rglob("*.ppm"))]
        (pictures / f"{part}.txt").write_text("".join(lines))
    return pictures


def settings(data, out, *more):
    """-o lines that make the ImageNet run a small one."""
    parts = [("Train", "train"), ("Eval", "val")]
    pairs = [f"Global.output_dir={out}", "Global.epochs=2", "Arch.name=hrnet_w18_small",
             "Arch.class_num=2", "Optimizer.lr.learning_rate=0.02",
             "DataLoader.Train.sampler.batch_size=8", "DataLoader.Train.loader.num_workers=1",
             "DataLoader.Train.dataset.transform_ops.1.RandCropImage={'size': 32, 'scale': [0.5, 1.0]}",
             "DataLoader.Eval.dataset.transform_ops.1.ResizeImage.resize_short=37",
             "DataLoader.Eval.dataset.transform_ops.2.CropImage.size=32", *more]
    for part, name in parts:
        pairs += [f"DataLoader.{part}.dataset.image_root={data}",
                  f"DataLoader.{part}.dataset.cls_label_path={data}/{name}.txt"]
    return [word for pair in pairs for word in ("-o", pair)]


def shown(*args):
    """Flag -> (value, origin) of --print-config."""
    result = run(*args, "--print-config")
    assert result.returncode == 0, result.stderr
    return {m[1]: (m[2], m[3]) for m in
            re.finditer(r"^(\S+) +(.*?) +# (.*)$", result.stdout, re.M)}, result.stderr


@pytest.mark.parametrize("width", WIDTHS)
def test_the_seven_files(tmp_path, width):
    path = tmp_path / f"HRNet_W{width}_C.yaml"
    path.write_text(FILE.read_text().replace("W18", f"W{width}"))
    values, notices = shown("train", "-c", path)
    assert values["arch"][0] == f"HRNet_W{width}_C"
    for flag, value in {"PICTURES": "./dataset/ILSVRC2012/train_list.txt", "classes": "1000",
                        "root": "./dataset/ILSVRC2012/", "output": "./output/", "batch": "64",
                        "val": "./dataset/ILSVRC2012/val_list.txt", "epochs": "120", "lr": "0.1",
                        "size": "224", "test-size": "224", "resize-short": "256", "l2": "0.0001",
                        "scale": "0.00392156862745098", "flip": "0.5", "smoothing": "0",
                        "optimizer": "momentum:momentum=0.9", "mean": "0.485,0.456,0.406",
                        "schedule": "piecewise:paddle,at=30/60/90,values=0.1/0.01/0.001/0.0001",
                        }.items():
        assert values[flag][0] == value, flag
    line = path.read_text().splitlines().index("  epochs: 120") + 1
    assert values["epochs"][1] == f"{path}:{line}"
    assert notices == f"hrnet: {path}:6: device gpu: computed on the CPU\n"
    values, _ = shown("eval", "-c", path, "-o", "Global.pretrained_model=w")
    assert values["PICTURES"][0] == "./dataset/ILSVRC2012/val_list.txt"
    assert values["model"] == ("w", "-o Global.pretrained_model=w")
    assert values["batch"][0] == "64" and values["size"][0] == "224"


def test_flags_go_over_settings_over_the_environment_over_the_file():
    def epochs(*args, **environment):
        result = run("train", "-c", FILE, *args, "--print-config", **environment)
        return re.search(r"^epochs +(\S+) +# (.*)$", result.stdout, re.M).groups()
    line = FILE.read_text().splitlines().index("  epochs: 120") + 1
    assert epochs() == ("120", f"{FILE}:{line}")
    assert epochs(HRNET_EPOCHS="5") == ("5", "environment")
    assert epochs("-o", "Global.epochs=6", HRNET_EPOCHS="5") == ("6", "-o Global.epochs=6")
    assert epochs("-o", "Global.epochs=6", "--epochs", "7", HRNET_EPOCHS="5") == ("7", "command line")


def test_norms_over_all_processes():
    for value, flag in (("True", "yes"), ("False", "no")):
        values, _ = shown("train", "-c", FILE, "-o", f"Arch.use_sync_bn={value}")
        assert values["sync-batch-norm"][0] == flag


def test_a_run_by_file_is_the_run_by_flags(data, tmp_path):
    result = run("train", "-c", FILE, *settings(data, tmp_path / "a"))
    assert result.returncode == 0, result.stderr
    assert "epoch 2/2" in result.stdout
    flags = ["-a", "hrnet_w18_small", "-e", "2", "-b", "8", "--lr", "0.02", "--size", "32",
             "--augment", "crop:area=0.5,most=1.0", "--resize-short", "37", "--schedule",
             "piecewise:paddle,at=30/60/90,values=0.1/0.01/0.001/0.0001", "--loaders", "1"]
    again = run("train", data / "train.txt", "--val", data / "val.txt", "--root", data, "-o",
                tmp_path / "b", *flags)
    assert again.returncode == 0, again.stderr
    assert again.stdout == result.stdout
    assert "do not count" in again.stderr  # two epochs: PaddleClas never reaches the boundaries
    best = tmp_path / "a" / "best.safetensors"
    assert best.read_bytes() == (tmp_path / "b" / "best.safetensors").read_bytes()
    seen = run("eval", "-c", FILE, *settings(data, tmp_path / "a",
                                             f"Global.pretrained_model={best}"))
    assert seen.returncode == 0 and seen.stdout.startswith("8 pictures"), seen.stderr


@pytest.mark.parametrize("setting, code, message", [
    ("Global.epoch=3", 3, "the key 'Global.epoch' is not known: did you mean 'Global.epochs'?"),
    ("Global.epochs=many", 3, "'many' is no --epochs: a whole number from 1 to 1000000 is wanted"),
    ("Global.epochs=__import__('os').abort()", 3, "is no --epochs"),
    ("DataLoader.Train.dataset.transform_ops.9.X=1", 2, "'9' is no place in a list of 4"),
    ("AMP.use_amp=Perhaps", 3, "AMP.use_amp is True or False"),
    ("AMP.level=O3", 3, "AMP.level can only be O1 or O2"),
    ("AMP.scale_los=3", 3, "AMP has no 'scale_los': did you mean 'scale_loss'?"),
    ("Loss.Train.0={'CELos': None}", 3, "the loss 'CELos' is not known"),
    ("Optimizer.lr.name=Piecewize", 3, "did you mean 'Piecewise'?"),
    ("Optimizer.lr=" + CYCLIC % ", 'mode': 'round'", 3,
     "mode can be triangular, triangular2, exp_range"),
    ("Global.train_mode=progressive", 3, "train_mode 'progressive' is a way to train that is not"),
    ("Global.eval_interval=0", 3, "'0' is no --eval-every"),
    ("DataLoader.Train.sampler.drop_last=Maybe", 3, "'Maybe' is no --drop-last"),
    ("DataLoader.Train.sampler.shuffle=2", 3, "shuffle is True or False"),
])
def test_settings_that_are_refused(setting, code, message):
    result = run("train", "-c", FILE, "-o", setting, "--print-config")
    assert message in result.stderr and result.returncode == code, result.stderr
    assert f"-o {setting}" in result.stderr and result.stderr.count("\n") <= 2


@pytest.mark.parametrize("setting, flag, value, notice", [
    ("DataLoader.Train.sampler.drop_last=True", "drop-last", "yes", ""),
    ("DataLoader.Eval.sampler.drop_last=True", "drop-last", "no", "all pictures are evaluated"),
    ("DataLoader.Train.sampler.shuffle=False", "in-order", "yes", ""),
    ("DataLoader.Train.dataset.delimiter=\t", "in-order", "no", ""),
    ("Global.eval_interval=5", "eval-every", "5", ""),
    ("Global.start_eval_epoch=0", "eval-from", "1", ""),
    ("Global.start_eval_epoch=7", "eval-from", "7", ""),
    ("Global.use_dali=True", "eval-from", "1", "use_dali: pictures are decoded and cropped on"),
    ("Global.use_dali=False", "eval-from", "1", ""),
])
def test_settings_of_epochs(setting, flag, value, notice):
    values, notices = shown("train", "-c", FILE, "-o", setting)
    assert values[flag][0] == value
    assert notice in notices and notices.count("\n") == (2 if notice else 1)


@pytest.mark.parametrize("schedule, words, notice", [
    (CYCLIC % "", "cyclic:steps,peak=0.1,start=0.001,up=2000", ""),
    (CYCLIC % ", 'step_size_down': 500, 'mode': 'triangular2'",
     "cyclic:steps,halving,peak=0.1,start=0.001,up=2000,down=500", ""),
    (CYCLIC % ", 'mode': 'exp_range', 'exp_gamma': 0.999, 'by_epoch': True",
     "cyclic:steps,gamma=0.999,peak=0.1,start=0.001,up=2000,by-epoch", ""),
    (PLATEAU % ", 'mode': 'max', 'threshold_mode': 'abs', 'epsilon': 1e-6",
     "plateau:absolute,by-epoch,patience=3,epsilon=1e-06", ""),
    (PLATEAU % "", "plateau:by-epoch,patience=3", "taken as mode max"),
    ("{'name': 'OneCycleLR', 'max_learning_rate': 0.2}", "one-cycle:end=1e-10", ""),
    ("{'name': 'OneCycleLR', 'max_learning_rate': 0.2, 'end_learning_rate': 0.1, 'three_phase': True, "
     "'anneal_strategy': 'linear'}", "one-cycle:lines,end=0.1,three-phases", ""),
    ("{'name': 'CosineFixmatch', 'learning_rate': 0.1, 'num_warmup_steps': 500}",
     "cosine-fixmatch:warmup-steps=500", ""),
])
def test_schedules_of_a_file(schedule, words, notice):
    values, notices = shown("train", "-c", FILE, "-o", f"Optimizer.lr={schedule}")
    assert values["schedule"][0] == words
    assert notice in notices and notices.count("\n") == (2 if notice else 1)


PIL = "DataLoader.Train.dataset.transform_ops.1.RandCropImage={'size': 224, 'backend': 'pil', " \
      "'interpolation': '%s'}"
PIL_EVAL = "DataLoader.Eval.dataset.transform_ops.1.ResizeImage={'resize_short': 256, 'backend': " \
           "'pil', 'interpolation': '%s'}"


def test_pictures_resized_by_pillow(tmp_path):
    for filter_, recipe in (("bicubic", "pillow-bicubic"), ("bilinear", "pillow")):
        settings = ["-o", PIL % filter_, "-o", PIL_EVAL % filter_]
        assert shown("train", "-c", FILE, *settings)[0]["recipe"][0] == recipe
        values, _ = shown("eval", "-c", FILE, *settings, "-o", "Global.pretrained_model=w")
        assert values["recipe"][0] == recipe and values["resize-short"][0] == "256"
    for settings, message in ((["-o", PIL % "bicubic"], "Train and Eval must resize"),
                              (["-o", (PIL % "bicubic").replace("'pil'", "'cv2'")], "backend: pil")):
        result = run("train", "-c", FILE, *settings, "--print-config")
        assert result.returncode == 3 and message in result.stderr, result.stderr
    (tmp_path / "old.yaml").write_text("mode: 'train'\nARCHITECTURE:\n  name: 'HRNet_W18_C'\n")
    result = run("train", "-c", tmp_path / "old.yaml")
    assert result.returncode == 3 and "old.yaml:1: this is a file of PaddleClas before" in result.stderr


@pytest.mark.parametrize("settings, precision, scale, notice", [
    (["use_amp=False"], "fp32", "-", ""),
    (["use_amp=True"], "fp16", "dynamic:scale=128.0", ""),
    (["use_amp=True", "use_dynamic_loss_scaling=False", "scale_loss=1024"], "fp16",
     "fixed:scale=1024", ""),
    (["use_amp=True", "level=O2"], "fp16", "dynamic:scale=128.0",
     "AMP.level O2: weights and evaluation stay in fp32"),
])
def test_mixed_precision_of_a_file(settings, precision, scale, notice):
    values, notices = shown("train", "-c", FILE, *[word for s in settings
                                                   for word in ("-o", f"AMP.{s}")])
    assert values["precision"][0] == precision and values["loss-scale"][0] == scale
    assert notice in notices


def test_a_section_without_use_amp_is_on(tmp_path):
    """As PaddleClas has it, where the key is younger than the section."""
    path = tmp_path / "f.yaml"
    path.write_text(re.sub("(?m)^  use_amp: .*\n", "", FILE.read_text()))
    assert shown("train", "-c", path)[0]["precision"][0] == "fp16"
    path.write_text(re.sub("(?ms)^AMP:.*?\n\n", "AMP:\n  scale_loss: 2.0\n\n", FILE.read_text()))
    assert shown("train", "-c", path)[0]["loss-scale"][0] == "fixed:scale=2.0"


def test_files_that_are_refused(tmp_path):
    path = tmp_path / "f.yaml"
    for text, message in (("Global:\n  epochs: [1\n", "f.yaml:3: no YAML"),
                          ("a: &a [*a]\n", "f.yaml:1: *a is inside of itself"),
                          ("Global:\n  epochs: 3\n  devize: cpu\n", "f.yaml:3: the key"),
                          ("", "f.yaml: there is nothing in it")):
        path.write_text(text)
        result = run("train", "-c", path)
        assert result.returncode == 3 and message in result.stderr, result.stderr
    result = run("train", "-c", tmp_path / "none.yaml")
    assert result.returncode == 3 and "none.yaml" in result.stderr
    result = run("train", "x", "-o", "Global.epochs=3")
    assert result.returncode == 2 and "name one with --config" in result.stderr
