"""From a ranking critic's logits to energies that can be read as chances: logit -> scale * logit + shift (Platt's method).

Ranking losses fix the order of logits and leave their place and spread free, so "above one half" means nothing by itself. Two
numbers, fitted on validation problems, mend that and change no ranking (scale > 0). What is reported of accuracy is cross-fitted:
each half of the validation problems is judged with numbers from the other half.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

_STEPS = 50
_PRIOR = 1.0  # pulls the scale towards 1 and the shift towards 0 as strongly as one sample each


@dataclass(frozen=True)
class Calibration:
    """Applied to a logit of failing."""

    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, logit: np.ndarray) -> np.ndarray:
        return self.scale * logit + self.shift


def fit(logit: np.ndarray, failed: np.ndarray) -> Calibration:
    """The likeliest scale and shift, by Newton steps in (log scale, shift); the identity where only one verdict is there."""
    if not len(logit) or failed.all() or not failed.any():
        return Calibration()
    spread = max(float(logit.std()), 1e-6)
    x, y = logit / spread, failed.astype(float)
    at = np.array([0.0, 0.0])
    for _ in range(_STEPS):
        slope, curve = _derivatives(at, x, y)
        step = np.linalg.solve(curve + 1e-6 * np.eye(2), slope)
        at = at - step * min(1.0, 1.0 / max(np.abs(step).max(), 1e-9))
    return Calibration(float(np.exp(at[0])) / spread, float(at[1]))


def _derivatives(at: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the negative log-likelihood with its prior: gradient, and the curvature's Gauss-Newton part (always positive)."""
    scale = np.exp(at[0])
    p = 1 / (1 + np.exp(-(scale * x + at[1])))
    inner = np.stack([scale * x, np.ones_like(x)])
    slope = inner @ (p - y) + _PRIOR * at
    curve = (inner * (p * (1 - p))) @ inner.T + _PRIOR * np.eye(2)
    return slope, curve


def cross_fitted(logit: np.ndarray, failed: np.ndarray, tasks: list[str], seed: int) -> np.ndarray:
    """Every logit calibrated by the other half of the problems."""
    names = sorted(set(tasks))
    random.Random(seed).shuffle(names)
    first = set(names[: len(names) // 2])
    half = np.array([task in first for task in tasks], dtype=bool)
    done = np.array(logit, dtype=float)
    for mine in (half, ~half):
        done[mine] = fit(logit[~mine], failed[~mine])(logit[mine])
    return done
