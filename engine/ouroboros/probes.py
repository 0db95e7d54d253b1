"""What a shallow reader can tell about an item without doing the arithmetic.

Each probe is fitted on training items and scored on validation items (other problems, other templates). On
counterbalanced items every one of them must sit at one half; what it reaches above is a leak, and a model would learn it.
Does not prove the absence of leaks: only that these readers find none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.ouroboros import boosting
from engine.ouroboros.choices import TASKS, Choices
from engine.ouroboros.dataset import StoredChoices
from engine.ouroboros.equations import digits
from engine.ouroboros.pairs import Items

Floats = NDArray[np.float64]
T = TypeVar("T", Items, Choices)
_WIDTH = 6


@dataclass(frozen=True)
class Finding:
    """One probe's accuracy on items it was not fitted on."""

    name: str
    accuracy: float
    items: int
    blocking: bool = True
    """False: reported only, since a reader may use it (see `order_of_mention`)."""


def _one_hot(numbers: NDArray[np.int64]) -> Floats:
    """Digits by place, with the length: everything that a bag over places can see of one number."""
    shown = digits(numbers, _WIDTH)
    return np.eye(10)[shown].reshape(len(numbers), -1)


def result_alone(items: Items) -> Floats:
    return _one_hot(items.claimed)


def result_digits(items: Items) -> Floats:
    return np.hstack([digits(items.claimed, _WIDTH), items.claimed[:, None]]).astype(float)


def premise_alone(items: Items) -> Floats:
    return np.hstack([np.eye(4)[items.op], _one_hot(items.a), _one_hot(items.b)])


def ngrams(items: Items) -> Floats:
    """Characters and pairs of characters of the step as it is written, counted."""
    rows = (f"{a}{'+-*/'[o]}{b}={r}" for o, a, b, r in zip(items.op, items.a, items.b, items.claimed, strict=True))
    alphabet = {c: i for i, c in enumerate("0123456789+-*/=")}
    size = len(alphabet)
    counts = np.zeros((len(items), size + size * size))
    for row, text in enumerate(rows):
        codes = [alphabet[c] for c in text]
        for code in codes:
            counts[row, code] += 1
        for left, right in pairwise(codes):
            counts[row, size + left * size + right] += 1
    return counts


def shallow(items: Items) -> Floats:
    """Lengths and their differences, first and last digits, trailing zeros, repeated numbers: no sums, no products."""
    columns = [items.op]
    lengths = []
    for number in (items.a, items.b, items.claimed):
        length = np.floor(np.log10(np.maximum(number, 1))).astype(np.int64)
        zeros = sum((number % 10**k == 0).astype(np.int64) for k in range(1, 4))
        columns += [length, number % 10, number // 10**length, zeros]
        lengths.append(length)
    columns += [items.claimed == items.a, items.claimed == items.b]
    columns += [lengths[2] - lengths[0], lengths[2] - lengths[1], lengths[2] - lengths[0] - lengths[1]]
    return np.stack(columns, axis=1).astype(float)


def logistic(x: Floats, y: Floats, ridge: float = 10.0) -> Callable[[Floats], Floats]:
    """Ridge logistic regression by Newton's method."""
    mean = x.mean(axis=0)
    design = np.hstack([x - mean, np.ones((len(x), 1))])
    weights = np.zeros(design.shape[1])
    for _ in range(6):
        p = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (p - y) + ridge * weights
        hessian = (design * (p * (1 - p))[:, None]).T @ design + ridge * np.eye(len(weights))
        weights -= np.linalg.solve(hessian, gradient)
    return lambda new: np.hstack([new - mean, np.ones((len(new), 1))]) @ weights


def _boosted(x: Floats, y: Floats) -> Callable[[Floats], Floats]:
    return boosting.fit(x, y, seed=0).logits


@dataclass(frozen=True)
class Probe:
    name: str
    features: Callable[[Items], Floats]
    fit: Callable[[Floats, Floats], Callable[[Floats], Floats]]


PROBES = (
    Probe("digit n-grams, logistic", ngrams, logistic),
    Probe("result alone, logistic", result_alone, logistic),
    Probe("result alone, boosted", result_digits, _boosted),
    Probe("premise alone, logistic", premise_alone, logistic),
    Probe("shallow features, boosted", shallow, _boosted),
)


def run(train: Items, held_out: Items, rows: int, seed: int) -> list[Finding]:
    """Every probe, fitted on `rows` training items in whole groups, scored on all held-out items."""
    train = _some_groups(train, rows, seed)
    found = []
    for probe in PROBES:
        score = probe.fit(probe.features(train), train.wrong.astype(float))
        said_wrong = score(probe.features(held_out)) > 0
        found.append(Finding(probe.name, float((said_wrong == held_out.wrong).mean()), len(held_out)))
    return found


def run_choices(train: StoredChoices, held_out: StoredChoices, rows: int, seed: int) -> list[Finding]:
    """The probes of T2, for each of its tasks; needs contexts."""
    found = []
    for index, task in enumerate(TASKS):
        fitted, scored = (_of_task(s, index) for s in (train, held_out))
        if not len(fitted.choices) or not len(scored.choices):
            continue
        fitted = StoredChoices(_some_groups(fitted.choices, rows, seed), fitted.texts)
        for probe in CHOICE_PROBES:
            score = probe.fit(probe.features(fitted), fitted.choices.wrong.astype(float))
            said_wrong = score(probe.features(scored)) > 0
            accuracy = float((said_wrong == scored.choices.wrong).mean())
            found.append(Finding(f"{task}: {probe.name}", accuracy, len(scored.choices), probe.blocking))
    return found


def _of_task(stored: StoredChoices, task: int) -> StoredChoices:
    return StoredChoices(stored.choices[stored.choices.task == task], stored.texts)


def words(stored: StoredChoices) -> Floats:
    """How often each token stands in the context, tokens folded into 512 columns."""
    counts = np.zeros((len(stored.choices), 512))
    texts = stored.texts
    assert texts is not None
    for row, text in enumerate(stored.choices.text):
        ids = texts.ids[texts.starts[text] : texts.starts[text + 1]]
        counts[row] = np.bincount(ids % 512, minlength=512)
    return counts


def step_alone(stored: StoredChoices) -> Floats:
    c = stored.choices
    return np.hstack([np.eye(4)[c.op], _one_hot(c.a), _one_hot(c.b)])


def words_and_step(stored: StoredChoices) -> Floats:
    return np.hstack([words(stored), step_alone(stored)])


def order_of_mention(stored: StoredChoices) -> Floats:
    """Which of the context's numbers, in order, the step takes. Reading in order is half of reading a story that is told
    in order, so what this reaches is no leak; but a model that reaches no more has read nothing else."""
    c, texts = stored.choices, stored.texts
    assert texts is not None
    rows = []
    for text, a, b in zip(c.text, c.a, c.b, strict=True):
        values = texts.values[texts.starts[text] : texts.starts[text + 1]]
        said = list(dict.fromkeys(values[values >= 0].tolist()))
        rows.append([len(said), *(said.index(n) if n in said else -1 for n in (a, b))])
    table = np.array(rows, dtype=float)
    return np.hstack([table, table[:, 2:] - table[:, 1:2], table[:, :1] - table[:, 2:]])


@dataclass(frozen=True)
class ChoiceProbe:
    name: str
    features: Callable[[StoredChoices], Floats]
    fit: Callable[[Floats, Floats], Callable[[Floats], Floats]]
    blocking: bool = True


CHOICE_PROBES = (
    ChoiceProbe("question alone, logistic", words, logistic),
    ChoiceProbe("step alone, logistic", step_alone, logistic),
    ChoiceProbe("question and step, logistic", words_and_step, logistic),
    ChoiceProbe("order of mention, boosted", order_of_mention, _boosted, blocking=False),
)


def _some_groups(items: T, rows: int, seed: int) -> T:
    groups = np.unique(items.group)
    per_group = len(items) // len(groups)
    chosen = np.random.default_rng([seed, 2]).permutation(groups)[: max(1, rows // per_group)]
    return items[np.isin(items.group, chosen)]
