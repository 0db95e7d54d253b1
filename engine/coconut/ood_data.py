"""Generate the four out-of-distribution sets, prove every sample, and write the facts of Gate 0.

python -m engine.coconut.ood_data --preset cpu
"""

from __future__ import annotations

import sys
from pathlib import Path

from engine import runlog
from engine.coconut import build, corpus
from engine.coconut.errors import said_once
from engine.coconut.tokens import Tokens, encode_sample
from engine.config.coconut import PHASE, CoconutConfig
from engine.config.load import load_config, work_dir
from engine.data.prosqa import OOD_SETS, PERSONS, SPECIES, DataError, Sample, file_name, load, save
from engine.data.prosqa_checker import RULES, content, prove
from engine.data.prosqa_ood import generate_set


def main(argv: list[str]) -> None:
    cfg = load_config(CoconutConfig, PHASE, argv)
    out = work_dir(PHASE, cfg)
    seen = {content(s) for s in corpus.read(cfg.data, "train", out)}
    tokens = build.make_tokens(cfg.body) if cfg.task == "prosqa" else None
    for name in OOD_SETS:
        make_set(name, cfg, out, seen, tokens)


def make_set(name: str, cfg: CoconutConfig, out: Path, seen: set[frozenset[str]], tokens: Tokens | None) -> None:
    """Make a set, write it, read it back, prove what was read."""
    path = out / file_name(name)
    save(path, generate_set(name, cfg.data.ood_rows, cfg.data.seed), synthetic=True)
    samples = load(path)
    proof = prove(samples, RULES[name], seen)
    for line in proof.complaints:
        print(f"{path}: {line}")
    words = {word for s in samples for word in s.idx_to_symbol}
    runlog.fact(f"ood/{name}_rows", proof.samples)
    runlog.fact(f"ood/{name}_sound", proof.sound)
    runlog.fact(f"ood/{name}_overlap", proof.overlap)
    runlog.fact(f"ood/{name}_with_steps", sum(bool(s.steps) for s in samples))
    runlog.fact(f"ood/{name}_hops_min", min(s.hops for s in samples))
    runlog.fact(f"ood/{name}_hops_max", max(s.hops for s in samples))
    runlog.fact(f"ood/{name}_vocabulary_exact", words <= {*PERSONS, *SPECIES})
    runlog.artifact(path, synthetic=True)
    if tokens is not None:
        check_length(name, samples, tokens, cfg)
    print(f"{name}: {proof.samples} samples, {proof.sound} proved sound, {proof.overlap} in the training set")
    if not proof.passed:
        raise DataError(
            f"{path}: {proof.samples - proof.sound} unsound samples, {proof.overlap} also in the training set"
        )


def check_length(name: str, samples: list[Sample], tokens: Tokens, cfg: CoconutConfig) -> None:
    """The longest sample with its whole chain, which must fit the body's context with room for thoughts."""
    encoded = (encode_sample(tokens, s) for s in samples)
    longest = max(len(e.question) + sum(map(len, e.steps)) + len(e.answer) for e in encoded) + 2
    runlog.fact(f"ood/{name}_tokens_max", longest)
    if longest > cfg.body.context:
        raise DataError(f"{file_name(name)}: a sample of {longest} tokens does not fit a context of {cfg.body.context}")


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
