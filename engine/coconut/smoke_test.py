"""Make a model of every feedback mode, take one training step with thoughts, and count its parameters for Gate 0.

    python -m engine.coconut.smoke_test --preset smoke

Writes `smoke/<mode>_total` and `smoke/<mode>_trainable`. Continuous has N, learned_shared N + width, frozen N trainable (its
vector is a buffer); at 0.1 M precision they are equal.
"""

from __future__ import annotations

import math
import sys
from random import Random

from engine import runlog
from engine.coconut.errors import said_once
from engine.config.coconut import PHASE, CoconutConfig, Variant
from engine.config.load import load_config

MODES = ("continuous", "learned_shared", "frozen")


def main(argv: list[str]) -> None:
    cfg = load_config(CoconutConfig, PHASE, argv)
    from engine.coconut import build

    build.set_threads(cfg)
    sizes = {mode: try_mode(cfg, Variant(name=f"smoke {mode}", coconut=True, feedback_mode=mode)) for mode in MODES}
    passed = {mode: size > 0 for mode, size in sizes.items()}
    runlog.fact("smoke/modes_passed", sum(passed.values()))
    n = sizes["continuous"]
    expected = n == sizes["frozen"] == sizes["learned_shared"] - width_of(cfg)
    runlog.fact("smoke/parameters_as_expected", expected)
    print("all three modes pass" if all(passed.values()) and expected else f"modes: {passed}, parameters: {sizes}")
    if not (all(passed.values()) and expected):
        sys.exit(1)


def width_of(cfg: CoconutConfig) -> int:
    from engine.coconut import build

    variant = Variant(name="width", coconut=True)
    width: int = build.make_model(cfg, variant, build.make_tokens(cfg.body)).body.width
    return width


def try_mode(cfg: CoconutConfig, variant: Variant) -> int:
    """Trainable parameters, or 0 where the step went wrong: a loss or a gradient that is no number, or no gradient at all."""
    from engine.coconut import build
    from engine.coconut.layout import collate, labels, training_row
    from engine.coconut.model import size_of
    from engine.coconut.tokens import encode_sample
    from engine.data.prosqa_generator import generate

    tokens = build.make_tokens(cfg.body)
    model = build.make_model(cfg, variant, tokens).to(cfg.device)
    rng = Random(0)
    rows = [training_row(encode_sample(tokens, s), tokens, variant, 3, rng) for s in generate(4, seed=0)]
    loss = model(collate(rows, tokens.eos, model.body.context).to(cfg.device)) / labels(rows)
    loss.backward()
    size, mode = size_of(model), variant.feedback_mode
    runlog.fact(f"smoke/{mode}_total", size.total)
    runlog.fact(f"smoke/{mode}_trainable", size.trainable)
    runlog.fact(f"smoke/{mode}_loss", loss.item())
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    sound = math.isfinite(loss.item()) and bool(grads) and all(bool(g.isfinite().all()) for g in grads)
    print(f"{mode}: {size.total / 1e6:.1f}M total, {size.trainable / 1e6:.1f}M trainable, loss {loss.item():.3f}")
    return size.trainable if sound else 0


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
