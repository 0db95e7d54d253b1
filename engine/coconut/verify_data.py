"""Check ProsQA's files, or generate ours, and write the facts of Gate 0.

python -m engine.coconut.verify_data --preset cpu
FRACTAL_DATA=… python -m engine.coconut.verify_data --preset h100
"""

from __future__ import annotations

import sys
from pathlib import Path

from engine import runlog
from engine.coconut import corpus
from engine.coconut.errors import said_once
from engine.config.coconut import PHASE, CoconutConfig
from engine.config.load import load_config, work_dir
from engine.data.prosqa import (
    OFFICIAL,
    PERSONS,
    SPECIES,
    SPLITS,
    DataError,
    Verdict,
    file_name,
    load,
    refuse_unofficial,
    verify,
)
from engine.data.prosqa_checker import prove


def main(argv: list[str]) -> None:
    cfg = load_config(CoconutConfig, PHASE, argv)
    out = work_dir(PHASE, cfg)
    for path in corpus.make(cfg.data, out):
        runlog.artifact(path, synthetic=True)
    for split in SPLITS:
        check_split(cfg, split, out)


def check_split(cfg: CoconutConfig, split: str, out: Path) -> None:
    """One split: its rows, hash, hops, every sample proved; and the words in it."""
    folder = corpus.folder_of(cfg.data, split, out)
    generated = corpus.is_generated(cfg.data, split)
    verdict = verify(folder, split)
    if not generated:
        refuse_unofficial(verdict, folder)
    samples = load(folder / file_name(split))
    proof = prove(samples)
    if not proof.passed:
        raise DataError(
            f"{folder / file_name(split)}: {proof.samples - proof.sound} unsound samples; {proof.complaints[0]}"
        )
    names = {name for sample in samples for name in sample.idx_to_symbol}
    tell(split, verdict, generated, names <= {*PERSONS, *SPECIES})


def tell(split: str, verdict: Verdict, generated: bool, known_words: bool) -> None:
    runlog.fact(f"data/{split}_rows", verdict.rows)
    runlog.fact(f"data/{split}_sha256", verdict.sha256)
    runlog.fact(f"data/{split}_official", verdict.official)
    runlog.fact(f"data/{split}_synthetic", generated)
    runlog.fact(f"data/{split}_hops_min", verdict.hops[0])
    runlog.fact(f"data/{split}_hops_max", verdict.hops[1])
    runlog.fact(f"data/{split}_vocabulary_exact", known_words)
    kind = "generated (synthetic)" if generated else "the published file"
    expected = OFFICIAL[split].rows
    print(
        f"{split}: {verdict.rows} samples, hops {verdict.hops[0]}-{verdict.hops[1]}, {kind}; published has {expected}"
    )


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
