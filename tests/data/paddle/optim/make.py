# SPDX-License-Identifier: Apache-2.0
"""Makes the files of this folder with PaddlePaddle (3.3.1 made them): three steps of each optimizer
on a small network, saved as PaddleClas saves them.  Run: python3 make.py"""
import numpy as np
import paddle


class Net(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 2, 3, bias_attr=False)
        self.bn = paddle.nn.BatchNorm(2)
        self.fc = paddle.nn.Linear(2, 2)

    def forward(self, x):
        return self.fc(self.bn(self.conv(x)).mean([2, 3]))


paddle.seed(1)
net = Net()
cosine = paddle.optimizer.lr.CosineAnnealingDecay(0.1, 10)
warm = paddle.optimizer.lr.LinearWarmup(paddle.optimizer.lr.CosineAnnealingDecay(0.1, 10), 2, 0.0, 0.1)
optimizers = {
    "momentum": paddle.optimizer.Momentum(warm, 0.9, parameters=net.parameters()),
    "adamw": paddle.optimizer.AdamW(cosine, parameters=net.parameters()),
}
for name, optimizer in optimizers.items():
    for i in range(3):
        x = np.random.RandomState(i).rand(4, 3, 5, 5).astype("float32")
        net(paddle.to_tensor(x)).square().mean().backward()
        optimizer.step()
        optimizer.clear_grad()
        (warm if name == "momentum" else cosine).step()
    paddle.save([optimizer.state_dict()], f"{name}.pdopt")
paddle.save(net.state_dict(), "net.pdparams")
paddle.save({"metric": 0.8125, "epoch": 3}, "net.pdstates")
plateau = paddle.optimizer.lr.ReduceOnPlateau(0.1, mode="max", factor=0.5, patience=0, cooldown=2)
optimizer = paddle.optimizer.SGD(plateau, parameters=net.parameters())
paddle.save([optimizer.state_dict()], "plateau_fresh.pdopt")
for metric in 0.5, 0.625, 0.375, 0.75:
    plateau.step(metric)
paddle.save([optimizer.state_dict()], "plateau.pdopt")
