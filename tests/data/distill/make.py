# SPDX-License-Identifier: Apache-2.0
"""Makes expected.json: one step of distillation in float64 with PyTorch, by a network and a loss that
are not ours.  Student HRNet_W18_C and teacher HRNet_W30_C have the synthetic weights of 10 classes;
pictures are those of tests/e2e/30_train/distill_pictures.py; two of the eight have no label.
Run: python3 make.py FOLDER, which holds golden_net.py and golden_train.py, the reference network."""
import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, sys.argv[1])
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "e2e" / "30_train"))
import golden_net
import golden_train
from distill_pictures import LABELS, picture

MEAN = np.float32([0.485, 0.456, 0.406])
DEVIATION = np.float32([0.229, 0.224, 0.225])
RATE, L2 = 0.01, 1e-4
CASES = {"dml": ("dml", False), "kl": ("kl:temperature=4,weight=0.5", False),
         "ce": ("ce:labels=0.25", False), "batch": ("dml", True)}

torch.set_num_threads(2)
x = np.stack([picture(i) for i in range(8)]).astype(np.float32) * np.float32(1 / 255)
x = torch.from_numpy(((x - MEAN) / DEVIATION).transpose(0, 3, 1, 2).astype(np.float64))
labels = torch.tensor(LABELS)


def loss_of(name, logits, teacher):
    s, t = F.log_softmax(logits, 1), F.log_softmax(teacher, 1)
    if name in ("dml", "batch"):
        return (F.kl_div(s, t, log_target=True, reduction="batchmean")
                + F.kl_div(t, s, log_target=True, reduction="batchmean")) / 2
    if name == "kl":
        s, t = F.log_softmax(logits / 4, 1), F.log_softmax(teacher / 4, 1)
        return 0.5 * 16 * F.kl_div(s, t, log_target=True, reduction="batchmean")
    known = labels >= 0
    own = F.cross_entropy(logits[known], labels[known], reduction="sum") / 8
    return -(t.exp() * s).sum(1).mean() + 0.25 * own


out = {}
for name, (words, batch) in CASES.items():
    student = golden_train.TrainNet(18, False, 10)
    with torch.no_grad():
        teacher = (golden_train.TrainNet if batch else golden_net.Net)(30, False, 10).forward(x)
    loss = loss_of(name, student.forward(x), teacher)
    loss.backward()
    with torch.no_grad():
        for p in student.params.values():
            if p.requires_grad:
                p -= RATE * (p.grad + L2 * p)
    tensors = {key: golden_train.sample(student.params[key])
               for key in golden_train.WATCH + ["conv_last.bn._variance"]}
    out[name] = {"distill": words, "batch": batch, "loss": loss.item(), "after": tensors}
pathlib.Path("expected.json").write_text(json.dumps(out, indent=1) + "\n")
