"""Reasoning examples: the source's JSON format, read, checked, written and split 90 to 10 by problem.

One record: question, reasoning (with its tags), answer, strategy, and who wrote it at which price: model, tokens_used, cost_usd,
metadata. `metadata.problem` names the problem that several records may tell; `metadata.split`, where every record has one, is
the split. Guarantees: a problem stands on one side only; each strategy gives its own tenth.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.quietstar.errors import ExamplesError
from engine.quietstar.strategies import STRATEGIES

_NEEDED = ("question", "reasoning", "answer", "strategy")


@dataclass(frozen=True)
class Example:
    question: str
    reasoning: str
    answer: str
    strategy: str
    model: str = ""
    tokens_used: int = 0
    cost_usd: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        return str(self.metadata.get("problem", self.question))


@dataclass(frozen=True)
class Split:
    train: list[Example]
    val: list[Example]

    @property
    def in_both(self) -> int:
        """Problems on both sides; split here there is none."""
        return len({e.problem for e in self.train} & {e.problem for e in self.val})


def read(path: Path) -> list[Example]:
    """Every record, or one line that names the file, the record and what is wrong with it."""
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExamplesError(f"{path} is not there: run the step `data` (python -m engine.quietstar.data)") from None
    except (OSError, ValueError) as error:
        raise ExamplesError(f"{path} can't be read as JSON: {error}") from None
    if not isinstance(records, list) or not records:
        raise ExamplesError(f"{path} must hold a list of examples")
    return [_example(path, at, record) for at, record in enumerate(records)]


def _example(path: Path, at: int, record: Any) -> Example:
    if not isinstance(record, dict):
        raise ExamplesError(f"{path}: example {at} is a {type(record).__name__}, not a record")
    for key in _NEEDED:
        if not isinstance(record.get(key), str) or not record[key].strip():
            raise ExamplesError(f"{path}: example {at} has no {key!r}")
    if record["strategy"] not in STRATEGIES:
        raise ExamplesError(
            f"{path}: example {at} is of {record['strategy']!r}; the strategies are: {', '.join(STRATEGIES)}"
        )
    known = {key: value for key, value in record.items() if key in Example.__dataclass_fields__}
    return Example(**known)


def write(path: Path, examples: Sequence[Example]) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps([asdict(e) for e in examples], ensure_ascii=False, indent=0), encoding="utf-8")
    os.replace(beside, path)


def refuse_missing(examples: Sequence[Example], where: str) -> None:
    """A strategy without examples can be neither taught nor judged."""
    have = Counter(e.strategy for e in examples)
    if missing := [s for s in STRATEGIES if not have[s]]:
        raise ExamplesError(f"{where} has no example of {', '.join(missing)}: add some, every strategy is judged")


def split(examples: Sequence[Example], seed: int, val_share: float = 0.1) -> Split:
    """Training and validation, a problem on one side only."""
    said = [e.metadata.get("split") for e in examples]
    if all(s in ("train", "val") for s in said):
        on_val = {e.problem for e, s in zip(examples, said, strict=True) if s == "val"}
    else:
        on_val = _drawn(examples, seed, val_share)
    found = Split([e for e in examples if e.problem not in on_val], [e for e in examples if e.problem in on_val])
    for part, name in ((found.train, "the training part"), (found.val, "the validation part")):
        refuse_missing(part, name)
    return found


def _drawn(examples: Sequence[Example], seed: int, val_share: float) -> set[str]:
    """A tenth of each strategy's problems."""
    of_strategy: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for e in examples:
        if e.problem not in seen:
            seen.add(e.problem)
            of_strategy[e.strategy].append(e.problem)
    drawn: set[str] = set()
    for strategy in sorted(of_strategy):
        problems = of_strategy[strategy]
        random.Random(f"{seed} {strategy}").shuffle(problems)
        drawn |= set(problems[: max(1, round(val_share * len(problems)))])
    return drawn


def in_turn(examples: Sequence[Example], count: int) -> list[Example]:
    """So many, the strategies in turn, so that each is judged by as many."""
    queues = {s: [e for e in examples if e.strategy == s] for s in STRATEGIES}
    found = []
    for at in range(max(map(len, queues.values()), default=0)):
        found += [queue[at] for queue in queues.values() if at < len(queue)]
    return found[:count]
