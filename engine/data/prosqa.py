"""ProsQA as its authors publish it: what a sample is, where its files come from, and how a wrong file is refused.

    FRACTAL_DATA=… python -m engine.coconut.verify_data --preset h100

Guarantees: `load` returns whole samples in the file's order or raises one DataError that names the file, the sample and the
key; `verify` says whether a file is the official one, byte for byte.
Does not guarantee that a sample's reasoning is sound: that is what `engine.data.prosqa_checker` proves.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PERSONS = "Alex Bob Carol Davis Eva Fae Gabriel Jack Max Oliver Polly Rex Sally Sam Stella Tom Wren"
_STEMS = """
bom boom brim chor dum fel fom ger gor grim gwom hil im jel jom ker lem lor num quim rem rom ror scrom shum ster stor ter tim
tum vum wor wum yer yim yum zhor zum
"""
PERSONS = tuple(_PERSONS.split())
SPECIES = tuple(f"{stem}pus" for stem in _STEMS.split())

SPLITS = ("train", "valid", "test")
OOD_SETS = ("7hop", "8hop", "dag", "dense")


class DataError(Exception):
    """A data file that can't be used. The message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Official:
    """What the published file is."""

    rows: int
    sha256: str


OFFICIAL = {
    "train": Official(17886, "99e40ce7e9107fd02e35bcd78a7a4479bd57f415bab0a6efd37cc11a72e594f6"),
    "valid": Official(300, "c74e0de24f1e90ec48b1a993e6458a7be4caeef3928f5104e3c2e45d689a5249"),
    "test": Official(500, "82ddc0afe6ee30eb31bb16fa208e293e55278a20fa987098d48519cae7e12680"),
}


@dataclass(frozen=True)
class Sample:
    """One problem: facts and a question with two options, the chain of facts that leads to the answer, the graph below."""

    question: str
    answer: str
    steps: tuple[str, ...]
    idx_to_symbol: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    root: int
    target: int
    neg_target: int

    @property
    def hops(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Verdict:
    """Whether a split is the official file."""

    split: str
    rows: int
    sha256: str
    hops: tuple[int, int]
    official: bool


def file_name(split: str) -> str:
    """The published name of a split, and the known one of an out-of-distribution set."""
    return f"ood_{split}.json" if split in OOD_SETS else f"prosqa_{split}.json"


def load(path: Path) -> list[Sample]:
    """Every sample of one file."""
    try:
        rows = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist. Put ProsQA's files into the folder that $FRACTAL_DATA names."
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is cut or damaged ({error}). Copy it again.") from None
    if not isinstance(rows, list):
        raise DataError(f"{path}: a list of samples is expected, found a {type(rows).__name__}")
    return [parse(row, f"{path}, sample {at}") for at, row in enumerate(rows)]


def parse(row: Any, where: str) -> Sample:
    """One sample from its JSON; keys beyond the published ones are let pass."""
    try:
        sample = Sample(
            question=str(row["question"]),
            answer=str(row["answer"]),
            steps=tuple(str(step) for step in row["steps"]),
            idx_to_symbol=tuple(str(name) for name in row["idx_to_symbol"]),
            edges=tuple((int(a), int(b)) for a, b in row["edges"]),
            root=int(row["root"]),
            target=int(row["target"]),
            neg_target=int(row["neg_target"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: {error!r}; a sample has question, answer, steps and its graph") from None
    refuse_foreign_answer(sample, where)
    return sample


def refuse_foreign_answer(sample: Sample, where: str) -> None:
    """An answer that the question does not offer makes every accuracy wrong."""
    options = sample.question.rpartition("Is ")[2].rstrip("?").split(" ")
    word = sample.answer.rstrip(".").rpartition(" ")[2]
    if word not in options[2:]:
        raise DataError(f"{where}: the answer {sample.answer!r} is not among the options of {' '.join(options)!r}")


def as_json(sample: Sample, **extra: Any) -> dict[str, Any]:
    """A sample in the published format."""
    return {
        "question": sample.question,
        "answer": sample.answer,
        "steps": list(sample.steps),
        "idx_to_symbol": list(sample.idx_to_symbol),
        "edges": [list(edge) for edge in sample.edges],
        "root": sample.root,
        "target": sample.target,
        "neg_target": sample.neg_target,
    } | extra


def save(path: Path, samples: list[Sample], **extra: Any) -> None:
    """Write a whole file or none; `extra` stands in every sample (such as synthetic=True)."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps([as_json(s, **extra) for s in samples]), encoding="utf-8")
    new.replace(path)


def verify(folder: Path, split: str) -> Verdict:
    """Read a split and hold it against the published one."""
    path = folder / file_name(split)
    samples = load(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    hops = [s.hops for s in samples] or [0]
    return Verdict(split, len(samples), digest, (min(hops), max(hops)), digest == OFFICIAL[split].sha256)


def refuse_unofficial(verdict: Verdict, folder: Path) -> None:
    """Raise with both hashes where a file that should be the published one is not."""
    if verdict.official:
        return
    good = OFFICIAL[verdict.split]
    raise DataError(
        f"{folder / file_name(verdict.split)} is not the published file: {verdict.rows} samples, sha256 "
        f"{verdict.sha256[:12]}…; expected {good.rows} and {good.sha256[:12]}…. Copy it again, or use generated data."
    )
