"""Writes schedules.txt: what PaddlePaddle 3.3.1's own schedules answer, put together as PaddleClas
puts them together (lengths in steps, or in epochs with by_epoch; LinearWarmup in front).
Run: python3 schedules.py >schedules.txt    Columns, with tabs: our words, epochs of warm-up, rates."""
from paddle.optimizer import lr

RATE, EPOCHS, STEPS = 0.4, 12, 5


def show(words, make, warmup=0, by_epoch=False, end=RATE, start=0.0):
    scheduler = make()
    length = warmup if by_epoch else round(warmup * STEPS)
    if length:
        scheduler = lr.LinearWarmup(scheduler, length, start, end)
    rates = []
    for _ in range(EPOCHS * (1 if by_epoch else STEPS)):
        rates.append(repr(float(scheduler.last_lr)))
        scheduler.step()
    if by_epoch:
        words += ("," if ":" in words else ":") + "by-epoch"
    print(words, warmup, *rates, sep="\t")


def cyclic(up, down=None, **more):
    return lambda: lr.CyclicLR(RATE, 1.0, up, down, **more)


def lasting(warmup, by_epoch=False):
    return (EPOCHS - warmup) * (1 if by_epoch else STEPS)


show("cyclic:peak=1,up=7,steps", cyclic(7))
show("cyclic:peak=1,up=7,down=4,steps", cyclic(7, 4))
show("cyclic:peak=1,up=7,down=4,steps", cyclic(7, 4), 1)
show("cyclic:peak=1,up=4,down=2,steps", cyclic(4, 2), 0, True)
show("cyclic:peak=1,up=4,down=2,steps", cyclic(4, 2), 2, True)
show("cyclic:peak=1,up=7,steps,halving", cyclic(7, mode="triangular2"))
show("cyclic:peak=1,up=7,down=3,steps,gamma=0.9", cyclic(7, 3, mode="exp_range", exp_gamma=0.9))
show("cyclic:peak=1,up=2,down=1", cyclic(2 * STEPS, STEPS))
for warm in 0, 2, 2.5:
    if warm != 2.5:  # Paddle wants whole steps of these
        show("cosine:end=0.1", lambda: lr.CosineAnnealingDecay(RATE, lasting(warm), 0.1), warm)
        show("linear:end=0.1,power=2", lambda: lr.PolynomialDecay(RATE, lasting(warm), 0.1, 2.0), warm)
    show("step:every=3,gamma=0.5", lambda: lr.StepDecay(RATE, 3 * STEPS, 0.5), warm)
    show("multi-step:at=3/7,gamma=0.5", lambda: lr.MultiStepDecay(RATE, [3 * STEPS, 7 * STEPS], 0.5),
         warm)
    show("one-cycle:end=1e-10", lambda: lr.OneCycleLR(RATE, EPOCHS * STEPS, 25.0, 1e-10), warm)
show("cosine", lambda: lr.CosineAnnealingDecay(RATE, lasting(3, True)), 3, True)
show("one-cycle:end=0.001,divide=10,phase=0.4,lines",
     lambda: lr.OneCycleLR(RATE, EPOCHS * STEPS, 10.0, 0.001, 0.4, "linear"))
show("one-cycle:end=0.001,three-phases",
     lambda: lr.OneCycleLR(RATE, EPOCHS * STEPS, 25.0, 0.001, 0.3, "cos", True))


class Told(lr.ReduceOnPlateau):
    """Is told an accuracy after each epoch."""
    METRICS = [.5, .6, .6, .60003, .59, .7, .7, .7, .2, .9, .9, .9]

    def step(self, *_):
        super().step(self.METRICS[self.last_epoch])


for words, more in (("patience=1,factor=0.5,cooldown=2", dict(patience=1, factor=0.5, cooldown=2)),
                    ("patience=0,factor=0.1", dict(patience=0, factor=0.1)),
                    ("patience=0,factor=0.1,least=0.003", dict(patience=0, factor=0.1, min_lr=0.003)),
                    ("patience=0,factor=0.5,epsilon=0.06", dict(patience=0, factor=0.5, epsilon=0.06)),
                    ("patience=0,factor=0.5,threshold=0.2,absolute",
                     dict(patience=0, factor=0.5, threshold=0.2, threshold_mode="abs"))):
    show("plateau:" + words, lambda: Told(RATE, mode="max", **more), by_epoch=True)
