"""Make the problems, split them, and make correct and wrong steps of them.

    python -m engine.ouroboros.prepare --preset smoke      # a second
    python -m engine.ouroboros.prepare --preset cpu        # some seconds

Leaves problems.jsonl, {train,val,test}.npz (T1), choices_{train,val,test}.npz (T2) and, last, meta.json.
Guarantees: no question, problem or template stands in two splits (the official GSM8K test split, whose chains of
operations recur, is exempt from the last); no training item uses an equation of a validation or test item, unless the
problems that are trained on hold that equation themselves; classes are half and half; the same config gives the same
files, byte for byte.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import Data, OuroborosConfig
from engine.data import arithmetic, gsm8k
from engine.ouroboros import choices, edges, pairs, texts, tokenizers
from engine.ouroboros.dataset import (
    FILES,
    SPLITS,
    TOKENIZER,
    check_classes,
    sha256,
    write_choices,
    write_items,
    write_json,
    write_text,
)
from engine.ouroboros.equations import OPERATORS, Equations, Ints, concatenate, from_expression, renumber, valid
from engine.ouroboros.errors import Refused
from engine.ouroboros.pairs import Items
from engine.ouroboros.split import Split, assign, in_two_splits, verify


@dataclass(frozen=True)
class Source:
    """Problems with their splits, before items are made."""

    problems: list[gsm8k.Problem]
    splits: list[Split]
    refused: Counter[str]


@dataclass(frozen=True)
class Steps:
    """True steps inside the limits, and the problem that each belongs to."""

    equations: Equations
    problem: Ints
    outside: int
    """Steps that are no binary whole-number equation inside the limits."""

    def of(self, chosen: NDArray[np.bool_]) -> Steps:
        return Steps(self.equations[chosen], self.problem[chosen], 0)


def generated(data: Data, seed: int) -> Source:
    limits = arithmetic.Limits(data.max_operand, data.max_result)
    made = arithmetic.problems(seed, data.problems, data.templates, limits)
    parsed = gsm8k.parse_rows((json.loads(arithmetic.to_json(p)) for p in made), "generated")
    problems = list(parsed.problems)
    return Source(problems, assign(problems, data.val_share, data.test_share, seed), parsed.refused)


def real(data: Data, seed: int) -> Source:
    """GSM8K: the official test split is the test, validation is cut from the official training split by template."""
    train, test = gsm8k.load("train"), gsm8k.load("test")
    if train is None or test is None:
        raise Refused("GSM8K is not there: set FRACTAL_DATA to a folder with gsm8k_train.jsonl and gsm8k_test.jsonl")
    cut = assign(train.problems, data.val_share, 0.0, seed)
    splits: list[Split] = [*cut, *(["test"] * len(test.problems))]
    return Source([*train.problems, *test.problems], splits, train.refused + test.refused)


def true_steps(problems: Sequence[gsm8k.Problem], data: Data) -> Steps:
    found, owner, outside = [], [], 0
    for index, problem in enumerate(problems):
        for step in problem.steps:
            equation = from_expression(step.expression)
            if equation is None:
                outside += 1
            else:
                found.append(equation)
                owner.append(index)
    op, a, b = np.array(found, dtype=np.int64).reshape(-1, 3).T
    equations = Equations(op, a, b)
    inside = valid(equations, data.max_operand, data.max_result)
    return Steps(equations[inside], np.array(owner, dtype=np.int64)[inside], outside + int((~inside).sum()))


def make_items(steps: Steps, splits: Sequence[Split], data: Data, seed: int) -> dict[str, Items]:
    """The items of each split; training items last, because they must avoid what the others hold."""
    split_of = np.array(splits)[steps.problem]
    rng = np.random.default_rng([seed, 1])
    made = {name: _items(steps.of(split_of == name), data, rng) for name in ("val", "test")}
    own = steps.of(split_of == "train")
    held_out = np.setdiff1d(np.concatenate([i.equations.key for i in made.values()]), own.equations.key)
    fresh = renumber(own.equations, data.renumbered, rng, data.max_operand, data.max_result, data.products)
    everything = Steps(
        concatenate([own.equations, fresh]), np.concatenate([own.problem, np.full(len(fresh), -1, dtype=np.int64)]), 0
    )
    return {"train": _without(_items(everything, data, rng), held_out), **made}


def _items(steps: Steps, data: Data, rng: np.random.Generator) -> Items:
    if data.negatives == "naive":
        return pairs.naive(steps.equations, steps.problem, rng)
    return pairs.counterbalanced(steps.equations, steps.problem, rng, data.max_operand, data.max_result)


def _without(items: Items, held_out: Ints) -> Items:
    """Whole groups go, so that the classes stay balanced."""
    touching = np.unique(items.group[np.isin(items.equations.key, held_out)])
    return items[~np.isin(items.group, touching)]


def write_all_choices(source: Source, cfg: OuroborosConfig, out: Path) -> dict[str, Any]:
    """The choices of each split, with tokens where the model is to read the question; what meta.json says of them."""
    d = cfg.data
    made = {s: choices.make(source.problems, source.splits, s, d.max_operand, d.max_result, cfg.seed) for s in SPLITS}
    steps = choices.every_step(source.problems, source.splits, "train", d.max_operand, d.max_result)
    tokenizer = None if d.context == "none" else _tokenizer(d, steps.texts, out)
    for split, found in {**made, "steps": steps}.items():
        encoded = texts.encode(found.texts, tokenizer, cfg.data.max_context) if tokenizer else None
        write_choices(out / f"choices_{split}.npz", found.choices, encoded)
    return {
        "counts": {
            s: {t: int((m.choices.task == i).sum()) for i, t in enumerate(choices.TASKS)} for s, m in made.items()
        },
        "vocabulary": tokenizer.size if tokenizer else None,
        "tokenizer": tokenizer.fingerprint if tokenizer else None,
    }


def _tokenizer(data: Data, training_texts: Sequence[str], out: Path) -> tokenizers.Tokenizer:
    if data.tokenizer == "gpt2":
        return tokenizers.Gpt2()
    trained = tokenizers.train_bpe(training_texts, data.vocabulary)
    trained.save(out / TOKENIZER)
    return trained


def describe(source: Source, steps: Steps, items: dict[str, Items], cfg: OuroborosConfig) -> dict[str, Any]:
    """What meta.json says about the data."""
    kinds = kinds_of(cfg.data)
    trained = items["train"].equations.key
    return {
        "version": 1,
        "source": cfg.data.source,
        "negatives": cfg.data.negatives,
        "seed": cfg.seed,
        "limits": {"operand": cfg.data.max_operand, "result": cfg.data.max_result},
        "kinds": list(kinds),
        "problems": dict(Counter(source.splits)),
        "templates": len({p.template for p in source.problems}),
        "refused": dict(source.refused),
        "steps": {"inside": len(steps.equations), "outside": steps.outside},
        "items": {name: _counts(i, kinds) for name, i in items.items()},
        "novel": {n: int((~np.isin(items[n].equations.key, trained)).sum()) for n in ("val", "test")},
    }


def kinds_of(data: Data) -> tuple[str, ...]:
    return pairs.NAIVE_TYPES if data.negatives == "naive" else pairs.QUAD_TYPES


def _counts(items: Items, kinds: tuple[str, ...]) -> dict[str, Any]:
    return {
        "all": len(items),
        "wrong": int(items.wrong.sum()),
        "by kind": {kind: int((items.kind == i).sum()) for i, kind in enumerate(kinds)},
        "by operator": {o: int((items.op == i).sum()) for i, o in enumerate(OPERATORS)},
        "equations": len(np.unique(items.equations.key)),
    }


def _problem_rows(source: Source) -> str:
    rows = (
        {
            "id": p.id,
            "split": split,
            "template": p.template,
            "question": p.question,
            "steps": [[s.text, s.expression, str(s.claimed)] for s in p.steps],
            "final": str(p.final),
            "twin_of": p.twin_of,
            "twin_step": p.twin_step,
        }
        for p, split in zip(source.problems, source.splits, strict=True)
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def prepare(cfg: OuroborosConfig, out: Path) -> dict[str, Any]:
    """Everything, in order; the meta data that was written."""
    (out / "meta.json").unlink(missing_ok=True)  # from here on, until the end, nothing here counts as prepared
    source = real(cfg.data, cfg.seed) if cfg.data.source == "gsm8k" else generated(cfg.data, cfg.seed)
    verify(source.problems, source.splits, templates_too=cfg.data.source == "generated")
    steps = true_steps(source.problems, cfg.data)
    items = make_items(steps, source.splits, cfg.data, cfg.seed)
    for name, made in items.items():
        check_classes(made, name, kinds_of(cfg.data))
        write_items(out / f"{name}.npz", made)
    write_text(out / "problems.jsonl", _problem_rows(source))
    (out / TOKENIZER).unlink(missing_ok=True)
    meta = describe(source, steps, items, cfg) | {"choices": write_all_choices(source, cfg, out)}
    meta["problems_in_two_splits"] = in_two_splits(source.problems, source.splits)
    meta["sha256"] = {name: sha256(out / name) for name in (*FILES, TOKENIZER) if (out / name).exists()}
    write_json(out / "meta.json", meta)
    return meta


def say(meta: dict[str, Any], out: Path) -> None:
    """The same to the reader of the log and to the gates."""
    problems, items, steps, novel = meta["problems"], meta["items"], meta["steps"], meta["novel"]
    for split in SPLITS:
        runlog.fact(f"data/{split}_problems", problems[split])
        runlog.fact(f"data/{split}_items", items[split]["all"])
        wrong = items[split]["wrong"] / items[split]["all"]
        runlog.fact(f"data/{split}_wrong_share", wrong)
        print(f"{split:5}  {problems[split]:6} problems  {items[split]['all']:7} items  {wrong:.0%} wrong")
    runlog.fact("data/steps_outside_limits", steps["outside"])
    runlog.fact("data/test_novel_items", novel["test"])
    runlog.fact("data/problems_in_two_splits", meta["problems_in_two_splits"])
    print(
        f"{steps['inside']} steps inside the limits, {steps['outside']} outside; refused rows: {meta['refused'] or 'none'}"
    )
    print(f"{novel['test']} of {items['test']['all']} test items use an equation that is in no training item")
    choice_counts = meta["choices"]["counts"]
    print(f"choices (T2): {', '.join(f'{s} {c}' for s, c in choice_counts.items())}")
    for task, count in choice_counts["test"].items():
        runlog.fact(f"data/test_choices_{task}", count)
    for name in (*meta["sha256"], "meta.json"):
        runlog.artifact(out / name)


def main(argv: list[str]) -> int:
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    out = work_dir("phase7-ouroboros", cfg)
    say(prepare(cfg, out), out)
    return 0


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
