# SPDX-License-Identifier: Apache-2.0
"""Loads PREFIX.pdparams, .pdopt and .pdstates into a network and an optimizer of PaddlePaddle as
PaddleClas does, steps a copy of them, and saves what was loaded.
Run: python3 paddle_resume.py PREFIX TO OPTIMIZER"""
import os
import sys

import numpy as np
import paddle

prefix, to, kind = sys.argv[1:]


class Bag(paddle.nn.Layer):
    """The layers of a state dict in its order, so that Paddle gives them the names of a network."""

    def __init__(self, state):
        super().__init__()
        self.named = {}
        for key, value in state.items():
            layer, _, what = key.rpartition(".")
            if what != "weight":
                continue
            if key.endswith(".conv.weight"):
                o, i, k, _ = value.shape
                made = paddle.nn.Conv2D(i, o, k, bias_attr=False)
            elif key.endswith(".bn.weight"):
                made = paddle.nn.BatchNorm(value.shape[0])
            else:
                made = paddle.nn.Linear(*value.shape)
            self.named[layer] = made
            self.add_sublayer(layer.replace(".", "/"), made)

    def state(self):
        return {key.replace("/", "."): value for key, value in self.state_dict().items()}


def optimizer_of(network):
    cosine = paddle.optimizer.lr.CosineAnnealingDecay(0.02, 100)
    if kind == "momentum":
        return paddle.optimizer.Momentum(paddle.optimizer.lr.LinearWarmup(cosine, 2, 0.0, 0.02), 0.9,
                                         parameters=network.parameters())
    if kind == "plateau":
        return paddle.optimizer.Momentum(
            paddle.optimizer.lr.ReduceOnPlateau(0.02, mode="max", factor=0.5, patience=0), 0.9,
            parameters=network.parameters())
    if kind == "adamw":
        return paddle.optimizer.AdamW(cosine, parameters=network.parameters())
    return paddle.optimizer.RMSProp(cosine, momentum=0.9, parameters=network.parameters())


def load(params):
    state = paddle.load(params)
    network = Bag(state)
    names = {key: value.name for key, value in network.state().items()}
    assert names == {key: state[key].name for key in names}, "static names differ"
    missing, unexpected = network.set_state_dict({k.replace(".", "/", k.count(".") - 1): v
                                                  for k, v in state.items()})
    assert not missing and not unexpected, (missing, unexpected)
    optimizer = optimizer_of(network)
    optimizer.set_state_dict(paddle.load(prefix + ".pdopt")[0])
    return network, optimizer


def step(network, optimizer):
    """One step with gradients of ones."""
    loss = sum((p.sum() for p in network.parameters()), start=paddle.zeros([]))
    loss.backward()
    optimizer.step()
    optimizer.clear_grad()


raw = prefix + (".pdema" if os.path.exists(prefix + ".pdema") else ".pdparams")
network, optimizer = load(raw)
before = {k: v.numpy() for k, v in network.state().items()}
held = {k: v.numpy() for k, v in paddle.load(prefix + ".pdopt")[0].items() if k != "LR_Scheduler"}
rate = optimizer.get_lr()
step(network, optimizer)
if kind in ("momentum", "plateau"):
    for p in (p for p in network.parameters() if not p.stop_gradient):
        v = held[p.name + "_velocity_0"] * np.float32(0.9) + np.float32(1)
        got = optimizer._accumulators["velocity"][p.name].numpy()
        assert np.allclose(got, v, rtol=1e-6), p.name
assert optimizer.state_dict()["LR_Scheduler"]["last_lr"] == rate
paddle.seed(0)
unique = paddle.utils.unique_name.guard()
with unique:
    network, optimizer = load(raw)
    state = network.state()
    for key, value in state.items():
        assert np.array_equal(value.numpy(), before[key]), key
    # Accumulators come to be with a step: what they take over is seen above; the file is saved as is.
    paddle.save(state, to + os.path.splitext(raw)[1])
    if raw.endswith(".pdema"):
        paddle.save(paddle.load(prefix + ".pdparams"), to + ".pdparams")
    held, = paddle.load(prefix + ".pdopt")
    held["LR_Scheduler"] = optimizer.state_dict()["LR_Scheduler"]  # Paddle's own, once it took ours
    paddle.save([held], to + ".pdopt")
    paddle.save(paddle.load(prefix + ".pdstates"), to + ".pdstates")
