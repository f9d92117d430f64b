# SPDX-License-Identifier: Apache-2.0
"""The pictures of one step of distillation: the test's, and of tests/data/distill/make.py."""
import numpy as np

LABELS = [0, 3, -1, 9, 2, -1, 5, 8]


def picture(index):
    """64 x 64 RGB, coarse noise so that pictures differ in more than their last bits."""
    coarse = np.random.RandomState(index).randint(0, 256, (8, 8, 3)).astype(np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)
