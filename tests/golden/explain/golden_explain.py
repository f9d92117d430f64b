# SPDX-License-Identifier: Apache-2.0
"""Maps of what an answer rests on, made by PyTorch's hooks in float64: python3 golden_explain.py
writes the .npz files beside it.  Weights and input follow from names alone (src/model/synthetic.c).

Of the class with the largest logit, whose gradient is g at a feature map A:
  cam            sum over channels of A * weight of the head, at what the head pools
  gradcam.NAME   relu(sum over channels of A * mean of g over the pixels)
  layercam.NAME  relu(sum over channels of A * relu(g))
  occlusion      logit of the picture less that with a square of SIDE px at the middle of each
                 cell of STEP px set to 0
"""
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn.functional import relu

SIDE, STEP = 24, 16


def unit(name, count):
    mask = (1 << 64) - 1
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 & mask
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def fill(module, name):
    """Gives a layer its values; `name` is its name in a Paddle file."""
    def put(tensor, key, how, turned=False):
        values = how(unit(key, tensor.numel())).astype(np.float32)
        shape = tensor.T.shape if turned else tensor.shape
        values = torch.from_numpy(values.reshape(shape)).double()
        with torch.no_grad():
            tensor.copy_(values.T if turned else values)

    def signed(amplitude):
        return lambda u: (2 * u - 1) * amplitude

    if isinstance(module, nn.Conv2d):
        fan_in = module.weight[0].numel()
        put(module.weight, name + ".conv.weight", signed(np.sqrt(6 / fan_in)))
    elif isinstance(module, nn.BatchNorm2d):
        small = ("residual_func_list" in name or name.endswith(("conv3", "conv_down")) or
                 "basic_block_list" in name and name.endswith("conv2"))
        put(module.weight, name + ".bn.weight", lambda u: (0.3 if small else 1) * (0.8 + 0.4 * u))
        put(module.bias, name + ".bn.bias", signed(0.2))
        put(module.running_mean, name + ".bn._mean", signed(0.2))
        put(module.running_var, name + ".bn._variance", lambda u: 0.8 + 0.4 * u)
    else:
        put(module.weight, name + ".weight", signed(np.sqrt(3 / module.in_features)), turned=True)
        put(module.bias, name + ".bias", signed(0.1))


class Net(nn.Module):
    """Layers are made where they are first met; taps are modules so that hooks can sit on them."""

    def __init__(self, width, squeeze, classes):
        super().__init__()
        self.width, self.squeeze, self.classes = width, squeeze, classes
        self.layers, self.taps = {}, {}

    def layer(self, key, make):
        if key not in self.layers:
            module = make().double().eval()
            fill(module, key.split("|")[0])
            self.layers[key] = module
        return self.layers[key]

    def tap(self, name, x):
        return self.taps.setdefault(name, nn.Identity())(x)

    def conv(self, x, name, channels, size, stride=1):
        conv = self.layer(name + "|c", lambda: nn.Conv2d(x.shape[1], channels, size, stride,
                                                         size // 2, bias=False))
        return self.layer(name + "|n", lambda: nn.BatchNorm2d(channels))(conv(x))

    def linear(self, x, name, channels):
        return self.layer(name, lambda: nn.Linear(x.shape[1], channels))(x)

    def excite(self, x, name):
        if not self.squeeze:
            return x
        s = relu(self.linear(x.mean((2, 3)), name + ".se.fc_squeeze", x.shape[1] // 16))
        return x * self.linear(s, name + ".se.fc_excitation", x.shape[1]).sigmoid()[..., None, None]

    def bottleneck(self, x, name, planes, project):
        y = relu(self.conv(x, name + ".conv1", planes, 1))
        y = relu(self.conv(y, name + ".conv2", planes, 3))
        y = self.conv(y, name + ".conv3", 4 * planes, 1)
        if project:
            x = self.conv(x, name + ".conv_down", 4 * planes, 1)
        return relu(x + self.excite(y, name))

    def module(self, xs, name):
        for b, x in enumerate(xs):
            for k in range(4):
                block = f"{name}.basic_block_list.{b}.{k}"
                y = relu(self.conv(x, block + ".conv1", x.shape[1], 3))
                y = self.conv(y, block + ".conv2", x.shape[1], 3)
                x = relu(x + self.excite(y, block))
            xs[b] = x
        number = 0
        sums = []
        for i, target in enumerate(xs):
            total = target
            for j, x in enumerate(xs):
                hops = max(i - j, 1) if j != i else 0
                for hop in range(hops):
                    at = f"{name}.fuse_func.residual_func_list.{number}"
                    number += 1
                    last = hop == hops - 1
                    if j > i:
                        x = self.conv(x, at, target.shape[1], 1)
                        x = nn.functional.interpolate(x, scale_factor=float(2 ** (j - i)))
                    else:
                        x = self.conv(x, at, target.shape[1] if last else xs[j].shape[1], 3, 2)
                        x = x if last else relu(x)
                total = total + x if hops else total
            sums.append(relu(total))
        return sums

    def stage(self, xs, number, modules):
        for m in range(modules):
            xs = self.module(xs, f"st{number}.stage_func_list.{m}")
        return [self.tap(f"stage{number}.{b}", x) for b, x in enumerate(xs)]

    def forward(self, x):
        w = self.width
        x = relu(self.conv(x, "conv_layer1_1", 64, 3, 2))
        x = self.tap("stem", relu(self.conv(x, "conv_layer1_2", 64, 3, 2)))
        for b in range(4):
            x = self.bottleneck(x, f"layer1.{b}", 64, b == 0)
        x = self.tap("layer1", x)
        xs = [relu(self.conv(x, "conv_tr1_1", w, 3)), relu(self.conv(x, "conv_tr1_2", 2 * w, 3, 2))]
        xs = self.stage(xs, 2, 1)
        xs = self.stage(xs + [relu(self.conv(xs[1], "conv_tr2", 4 * w, 3, 2))], 3, 4)
        xs = self.stage(xs + [relu(self.conv(xs[2], "conv_tr3", 8 * w, 3, 2))], 4, 3)
        xs = [self.tap(f"incre.{b}", self.bottleneck(x, f"last_cls.func_list.{b}", 32 << b, True))
              for b, x in enumerate(xs)]
        y = xs[0]
        for i in range(3):
            y = xs[i + 1] + relu(self.conv(y, f"cls_head_conv_list.{i}", 256 << i, 3, 2))
        y = self.tap("last", relu(self.conv(y, "conv_last", 2048, 1)))
        return self.linear(y.mean((2, 3)), "fc", self.classes)


def occlusion(net, x, logits, chosen):
    _, _, height, width = x.shape
    rows, columns = -(-height // STEP), -(-width // STEP)
    out = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, left = (k * STEP + STEP // 2 - SIDE // 2 for k in (i, j))
            covered = x.clone()
            covered[..., max(top, 0):top + SIDE, max(left, 0):left + SIDE] = 0
            with torch.no_grad():
                out[i, j] = (logits - net(covered)[0])[chosen]
    return out


def explain(width, squeeze, classes, height, x_width):
    net = Net(width, squeeze, classes)
    x = 4 * unit(f"input:1x{height}x{x_width}", 3 * height * x_width) - 2
    x = torch.from_numpy(x.astype(np.float32).reshape(1, 3, height, x_width)).double()
    net(x)  # makes the layers and the taps
    values, gradients = {}, {}

    def watch(name):
        def see(module, inputs, output):
            values[name] = output
            output.register_hook(lambda g: gradients.__setitem__(name, g))
        return net.taps[name].register_forward_hook(see)

    hooks = [watch(name) for name in net.taps]
    logits = net(x)[0]
    chosen = int(logits.argmax())
    logits[chosen].backward()
    for hook in hooks:
        hook.remove()
    out = {"logits": logits.detach(), "class": torch.tensor([chosen])}
    head = net.layers["fc"].weight[chosen].detach()
    out["cam"] = (values["last"][0].detach() * head[:, None, None]).sum(0)
    for name in net.taps:
        a, g = values[name][0].detach(), gradients[name][0]
        out[f"gradcam.{name}"] = relu((a * g.mean((1, 2), keepdim=True)).sum(0))
        out[f"layercam.{name}"] = relu((a * relu(g)).sum(0))
    out["occlusion"] = torch.from_numpy(occlusion(net, x, logits.detach(), chosen))
    return {k: v.numpy().astype(np.float32) for k, v in out.items()}


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    torch.set_num_threads(2)
    np.savez_compressed(here / "HRNet_W18_C-64x64.npz", **explain(18, False, 1000, 64, 64))
    np.savez_compressed(here / "SE_HRNet_W18_C-64x96.npz", **explain(18, True, 10, 64, 96))
