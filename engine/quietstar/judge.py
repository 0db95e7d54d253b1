"""What a model writes for held-out questions, and what that is worth: accuracy by strategy, and which tags stand in it.

Everything here is measured on generated outputs, never on given labels. A tag's usage is its share of the outputs whose strategy
asks for it (`<step>` of chains of thought, `<mece>` of decompositions …), since no output follows seven strategies at once;
thinking is asked of all. An output counts once, however often it holds the tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.quietstar.causal import Causal, sample
from engine.quietstar.examples import Example
from engine.quietstar.language import Language
from engine.quietstar.strategies import STRATEGIES, TAG_OF

USAGE_TARGETS = {"thinking": 0.80, "step": 0.70, "mece": 0.60, "falsify": 0.60, "doubt": 0.50}
THRESHOLD = 0.85
_OF_EACH = 0.9


@dataclass(frozen=True)
class Judged:
    accuracy: float
    strategies: dict[str, float]
    usage: dict[str, float]
    """thinking, step, mece, falsify, doubt."""
    outputs: list[str]

    def convergence_progress(self, threshold: float = THRESHOLD) -> float:
        return self.accuracy / threshold


def check_convergence(overall: float, strategies: dict[str, float], threshold: float = THRESHOLD) -> bool:
    """Right often enough overall, and nine tenths of that in every strategy. A strategy that was not judged has not passed."""
    judged = [strategies.get(name) for name in STRATEGIES]
    return overall >= threshold and all(a is not None and a >= threshold * _OF_EACH - 1e-12 for a in judged)


def write(
    reader: Causal, language: Language, examples: Sequence[Example], tokens: int, batch: int, prompted: bool = False
) -> list[str]:
    """The likeliest response to every question, with its prompt or without."""
    texts = []
    for at in range(0, len(examples), batch):
        some = examples[at : at + batch]
        rows = [[*(language.prompt(e.strategy) if prompted else []), *language.question(e)] for e in some]
        said = sample(reader, rows, tokens, language.eos, language.pad, temperature=0)
        texts += [language.text(ids) for ids in said]
    return texts


def judge(language: Language, examples: Sequence[Example], outputs: Sequence[str]) -> Judged:
    right = [language.answer(text) == e.answer for e, text in zip(examples, outputs, strict=True)]
    of = {s: [r for e, r in zip(examples, right, strict=True) if e.strategy == s] for s in STRATEGIES}
    strategies = {s: _share(found) for s, found in of.items() if found}
    usage = {"thinking": _share(["<think>" in text for text in outputs])}
    for tag in list(USAGE_TARGETS)[1:]:
        asked = [f"<{tag}>" in t for e, t in zip(examples, outputs, strict=True) if TAG_OF[e.strategy] == f"<{tag}>"]
        usage[tag] = _share(asked)
    return Judged(_share(right), strategies, usage, list(outputs))


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found) if found else float("nan")
