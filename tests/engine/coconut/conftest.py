"""Tiny models lose time to a second thread, and lose much of it on a busy machine."""

import torch

torch.set_num_threads(1)
