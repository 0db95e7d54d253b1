"""An energy that reads programs: trained on pairs that were labelled by execution, measured on problems that it never saw.

    python -m engine.ouroboros.program_energy --preset smoke
    FRACTAL_DATA=… python -m engine.ouroboros.program_energy --preset cpu        # HumanEval's pairs instead of our own

Makes the pairs (`programs.py`), probes them for what a bag of tokens, pairs of tokens and lengths give away, trains the
encoder with its MLP at the marker by BCE and pair ranking, and reports. Leaves programs.jsonl and programs.json. This is tier
T3: reported beside the gate, whatever it is. The errors are single slips, not a language model's.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.ouroboros import edges, losses, programs
from engine.ouroboros.dataset import sha256, write_json, write_text
from engine.ouroboros.metrics import Estimate, Scored, measure
from engine.ouroboros.model import Batch, Ouroboros, Text, energy
from engine.ouroboros.probes import logistic
from engine.ouroboros.programs import Made, Pair, words_of
from engine.verify.critic.tokens import Vocabulary, encode, make_vocabulary

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Read:
    """Programs as the model reads them: pairs side by side, the correct one first."""

    ids: list[list[int]]
    problem: list[str]


def read(pairs: Sequence[Pair], number: dict[str, int], most: int) -> Read:
    ids = [encode(pair.text, code, number, most) for pair in pairs for code in (pair.right, pair.wrong)]
    return Read(ids, [pair.problem for pair in pairs for _ in range(2)])


def batch_of(ids: Sequence[Sequence[int]]) -> Batch:
    """Programs alone: the columns of an equation, which this model shares its code with, stay blank."""
    longest = max(map(len, ids))
    padded = torch.tensor([[*one, *[0] * (longest - len(one))] for one in ids])
    length = torch.tensor([len(one) for one in ids])
    blank = torch.zeros(len(ids), 1, dtype=torch.long)
    nothing = torch.zeros_like(padded)
    wrong = torch.arange(len(ids)) % 2 == 1
    return Batch(blank[:, 0], blank, blank, blank, wrong, "operator", Text(padded, nothing - 1, nothing, length))


def train(made: Made, words: Vocabulary, cfg: OuroborosConfig) -> Ouroboros:
    """A fresh model after `iters` batches of pairs."""
    p = cfg.programs
    torch.manual_seed(cfg.seed)
    model = Ouroboros(cfg.model, 1, generative=False, vocabulary=len(words.words))
    told = read(made.train, words.number, p.max_tokens)
    optimizer = torch.optim.AdamW(model.parameters(), lr=p.lr, weight_decay=0.05)
    rng = random.Random(cfg.seed)
    for step in range(p.iters):
        chosen = rng.sample(range(len(made.train)), min(p.batch, len(made.train)))
        batch = batch_of([told.ids[2 * at + side] for at in chosen for side in (0, 1)])
        loss = losses.bce(model(batch), batch, 2, cfg.train.rank_weight)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            group["lr"] = p.lr * min(1.0, (step + 1) / 20) * max(0.05, 1 - step / p.iters)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 25 == 0 or step + 1 == p.iters:
            runlog.log(step=step + 1, **{"programs/loss": loss.item()})
            runlog.progress(step + 1, p.iters)
            print(f"programs step {step + 1:4}  loss {loss.item():.3f}", flush=True)
    return model.eval()


@torch.no_grad()
def energies(model: Ouroboros, told: Read) -> Floats:
    found = []
    for start in range(0, len(told.ids), 64):
        batch = batch_of(told.ids[start : start + 64])
        found.append(energy(model(batch), batch).numpy())
    return np.concatenate(found).astype(np.float64)


def measured(energy_N: Floats, told: Read, cfg: OuroborosConfig) -> dict[str, Estimate]:
    """The usual metrics; a program is ranked against the other of its pair, intervals are over problems."""
    names = {name: at for at, name in enumerate(dict.fromkeys(told.problem))}
    problem = np.array([names[name] for name in told.problem])
    count = np.arange(len(energy_N))
    scored = Scored(energy_N, count % 2 == 1, count // 2, problem)
    return measure(scored, cfg.evaluate.threshold, cfg.evaluate.bootstrap, cfg.seed)


def probes(made: Made) -> dict[str, float]:
    """Accuracy of shallow readers on held-out programs: a bag of tokens, of pairs of tokens, lengths."""
    sides = [
        [words_of(code) for pair in pairs for code in (pair.right, pair.wrong)] for pairs in (made.train, made.held_out)
    ]
    found = {}
    for name, features in (("tokens", _bag), ("pairs of tokens", _bag_of_pairs), ("length", _length)):
        known = {word: at for at, word in enumerate(sorted({w for one in sides[0] for w in features(one)}))}
        x, seen = (_table([features(one) for one in side], known) for side in sides)
        score = logistic(x, np.arange(len(x)) % 2)
        found[name] = float(((score(seen) > 0) == (np.arange(len(seen)) % 2)).mean())
    return found


def _bag(words: list[str]) -> list[str]:
    return words


def _bag_of_pairs(words: list[str]) -> list[str]:
    return [f"{left} {right}" for left, right in pairwise(words)]


def _length(words: list[str]) -> list[str]:
    return ["token"] * len(words)


_MOST_FEATURES = 600  # the fit inverts a matrix of this size


def _table(bags: Sequence[Sequence[str]], known: dict[str, int]) -> Floats:
    """Counts, folded into a bounded number of columns."""
    table = np.zeros((len(bags), min(len(known), _MOST_FEATURES)))
    for row, bag in enumerate(bags):
        for word in bag:
            if word in known:
                table[row, known[word] % _MOST_FEATURES] += 1
    return table


def publish(made: Made, shallow: dict[str, float], found: dict[str, Estimate], out: Path) -> None:
    for split, pairs in (("train", made.train), ("held_out", made.held_out)):
        runlog.fact(f"t3/programs_{split}_pairs", len(pairs))
    runlog.fact("t3/programs_source", made.source)
    problems = [{pair.problem for pair in pairs} for pairs in (made.train, made.held_out)]
    runlog.fact("t3/programs_problems_in_two_splits", len(problems[0] & problems[1]))
    for name, accuracy in shallow.items():
        runlog.fact(f"t3/programs_probe/{name}", accuracy, n=2 * len(made.held_out))
        print(f"{accuracy:.3f}  probe: {name}   (reported only)")
    for name, e in found.items():
        runlog.fact(f"t3/programs_{name}", e.value, low=e.low, high=e.high, n=2 * len(made.held_out), pool=made.source)
        print(f"{e.value:7.3f}  ({e.low:.3f} … {e.high:.3f})  t3/programs_{name}")
    told = {
        "source": made.source,
        "sha256": sha256(programs.file_of(out)),
        "pairs": {"train": len(made.train), "held out": len(made.held_out)},
        "by slip": made.counts(),
        "executed": made.executed,
        "equivalent, dropped": made.equivalent,
        "without counterpart, dropped": made.alone,
        "probes": shallow,
        "held-out problems": {name: vars(e) for name, e in found.items()},
    }
    write_json(out / "programs.json", told)


def main(argv: list[str]) -> int:
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    out = work_dir("phase7-ouroboros", cfg)
    if cfg.train.threads is not None:
        torch.set_num_threads(cfg.train.threads)
    made = programs.make(cfg.programs, cfg.seed)
    write_text(programs.file_of(out), "".join(json.dumps(row) + "\n" for row in programs.rows_of(made)))
    print(f"{made.source}: {len(made.train)} pairs to train on, {len(made.held_out)} held out; {made.executed} programs "
          f"executed, {made.equivalent} slips changed nothing, {made.alone} pairs have no counterpart")  # fmt: skip
    words = make_vocabulary({p.text for p in made.train}, [c for p in made.train for c in (p.right, p.wrong)])
    model = train(made, words, cfg)
    told = read(made.held_out, words.number, cfg.programs.max_tokens)
    publish(made, probes(made), measured(energies(model, told), told, cfg), out)
    for name in (programs.file_of(out).name, "programs.json"):
        runlog.artifact(out / name)
    return 0


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
