"""Hold our model against a checkout of the reference: same weights, same batches, the differences printed.

    python -m engine.coconut.parity --reference PATH
    python -m engine.coconut.parity --reference PATH --write parity.json --tolerance 1e-5

For those who hold a checkout. Nothing of it is copied or kept; its `Coconut` class is loaded from PATH/coconut.py and called
with Hugging Face GPT-2 models of a small size. As published it knows the continuous mode; a checkout with the patches of
`engine.coconut.fork` is compared in all three. Above the tolerance the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from engine import runlog
from engine.coconut import gpt2
from engine.coconut.errors import said_once
from engine.coconut.layout import NO_LABEL, Row, collate, labels, training_row
from engine.coconut.model import PAUSE_KEY, Coconut
from engine.coconut.tokens import Tokens, Words, encode_sample
from engine.config.coconut import FeedbackMode, Variant
from engine.data.prosqa_generator import generate

STAGES = range(8)


class ParityError(Exception):
    """A folder that holds no reference. The message says what was looked for."""


@dataclass(frozen=True)
class SourceBatch:
    """A batch as the source lays it out: first thoughts in one column, padding on both sides."""

    ids: Tensor
    attention: Tensor
    labels: Tensor
    positions: Tensor


def source_layout(rows: list[Row], tokens: Tokens) -> SourceBatch:
    """Rows with thoughts are padded on the left so that their first thoughts share a column; all are padded on the right."""
    column = max((len(row.prefix) for row in rows if row.thoughts), default=0)
    lines = []
    for row in rows:
        left = column - len(row.prefix) if row.thoughts else 0
        ids = [*row.prefix, *[tokens.latent] * row.thoughts, *row.tail]
        wanted = [NO_LABEL] * (len(row.prefix) + row.thoughts + 1) + list(row.targets[:-1])
        lines.append((left, ids, wanted))
    width = max(left + len(ids) for left, ids, _ in lines)

    def table(pad: int, pick: Any) -> Tensor:
        return torch.tensor([[pad] * left + pick(i, w) + [pad] * (width - left - len(i)) for left, i, w in lines])

    return SourceBatch(
        ids=table(tokens.eos, lambda ids, _: list(ids)),
        attention=table(0, lambda ids, _: [1] * len(ids)),
        labels=table(NO_LABEL, lambda _, wanted: wanted),
        positions=table(0, lambda ids, _: list(range(len(ids)))),
    )


def load_reference(folder: Path) -> Any:
    """The class `Coconut` of a checkout."""
    path = folder / "coconut.py"
    if not path.exists():
        raise ParityError(f"{path} does not exist; --reference names a checkout of the reference")
    spec = importlib.util.spec_from_file_location("reference_coconut", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "Coconut"):
        raise ParityError(f"{path} has no class Coconut; is this a checkout of the reference?")
    return module.Coconut


@dataclass(frozen=True)
class Difference:
    """How far the two are apart on one batch."""

    mode: str
    stage: int
    loss: float
    gradient: float


def modes_of(reference_class: Any) -> tuple[FeedbackMode, ...]:
    """The modes that a checkout's class can be asked for."""
    if "feedback_mode" in inspect.signature(reference_class).parameters:
        return ("continuous", "frozen", "learned_shared")
    return ("continuous",)


def small_gpt2(tokens: Tokens) -> Any:
    """A Hugging Face GPT-2 without dropout, so that two runs can be equal."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"vocab_size": tokens.size, "n_positions": 1024, "n_embd": 64, "n_layer": 3, "n_head": 4}
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(**sizes, **still, initializer_range=0.1))


def compare(reference_class: Any, stage: int, mode: FeedbackMode = "continuous") -> Difference:
    """One batch at one stage through both."""
    tokens = Tokens(Words())
    variant = Variant(name="parity", coconut=True, feedback_mode=mode)
    rng = Random(stage)
    rows = [training_row(encode_sample(tokens, s), tokens, variant, stage, rng) for s in generate(4, seed=stage)]
    source = small_gpt2(tokens)
    table = source.get_input_embeddings().weight
    table.data[[tokens.latent, tokens.start, tokens.end]] = table.data[tokens.plain.like].clone()  # as training starts
    ours = Coconut(gpt2.from_hugging_face(source), mode, tokens.latent, tokens.plain.like)
    told = {} if mode == "continuous" else {"feedback_mode": mode}
    theirs = reference_class(source, tokens.latent, tokens.start, tokens.end, tokens.eos, **told)
    batch = source_layout(rows, tokens)
    wanted = theirs(
        input_ids=batch.ids, attention_mask=batch.attention, labels=batch.labels, position_ids=batch.positions
    ).loss
    wanted.backward()
    got = ours(collate(rows, tokens.eos)) / labels(rows)
    got.backward()
    theirs_grad = {name: p.grad for name, p in source.named_parameters() if p.grad is not None}
    renamed = gpt2.renamed(theirs_grad, 3)
    apart = [_apart(p.grad, renamed[name]) for name, p in ours.body.named_parameters()]
    if mode == "learned_shared":
        apart.append(_apart(getattr(ours, PAUSE_KEY).grad, getattr(theirs, PAUSE_KEY).grad))
    return Difference(mode, stage, abs((got - wanted).item()), max(apart))


def _apart(ours: Tensor | None, theirs: Tensor | None) -> float:
    """The largest difference; a gradient that nobody asked for is zero."""
    if ours is None or theirs is None:
        there = ours if theirs is None else theirs
        return 0.0 if there is None else there.abs().max().item()
    return (ours - theirs).abs().max().item()


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m engine.coconut.parity", description=__doc__)
    parser.add_argument("--reference", type=Path, required=True, help="a checkout of the reference")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--write", type=Path, help="a JSON file for the differences")
    words = parser.parse_args(argv)
    reference = load_reference(words.reference)
    found = [compare(reference, stage, mode) for mode in modes_of(reference) for stage in STAGES]
    for one in found:
        print(f"{one.mode}, stage {one.stage}: loss differs by {one.loss:.2e}, gradients by at most {one.gradient:.2e}")
    worst_loss, worst_gradient = max(one.loss for one in found), max(one.gradient for one in found)
    runlog.fact("parity/loss_difference", worst_loss)
    runlog.fact("parity/gradient_difference", worst_gradient)
    if words.write is not None:
        words.write.write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
    if max(worst_loss, worst_gradient) > words.tolerance:
        print(f"more than {words.tolerance:g} apart", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
