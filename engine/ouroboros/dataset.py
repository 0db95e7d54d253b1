"""The files that `prepare` leaves and the later steps read: problems, items of T1, choices of T2, meta.json.

Guarantees: meta.json is written last and holds the hash of every other file, so a preparation that was interrupted or
files that were mixed are refused with one line; so is an empty class.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.ouroboros.choices import Choices
from engine.ouroboros.errors import DatasetError
from engine.ouroboros.pairs import Items
from engine.ouroboros.texts import Texts

_STORED = {
    "op": np.int8,
    "a": np.int32,
    "b": np.int32,
    "claimed": np.int32,
    "wrong": np.bool_,
    "kind": np.int8,
    "group": np.int32,
    "problem": np.int32,
}
SPLITS = ("train", "val", "test")
CHOICES = (*SPLITS, "steps")
"""`steps`: every training step, correct only, for the generative energy."""
FILES = ("problems.jsonl", *(f"{s}.npz" for s in SPLITS), *(f"choices_{s}.npz" for s in CHOICES))
TOKENIZER = "tokenizer.json"
_TEXT = ("starts", "ids", "values", "places")


@dataclass(frozen=True)
class Dataset:
    """One prepared folder."""

    folder: Path
    meta: dict[str, Any]

    def items(self, split: str) -> Items:
        return read_items(self.folder / f"{split}.npz")

    def choices(self, split: str) -> StoredChoices:
        return read_choices(self.folder / f"choices_{split}.npz")

    @property
    def fingerprint(self) -> str:
        """Names the data: what a probe passed and a model was trained on."""
        return hashlib.sha256(json.dumps(self.meta["sha256"], sort_keys=True).encode()).hexdigest()[:16]


def write_items(path: Path, items: Items) -> None:
    """Narrow integers: a third of the size."""
    with open(_beside(path), "wb") as file:
        np.savez(file, **{name: getattr(items, name).astype(dtype) for name, dtype in _STORED.items()})
    os.replace(_beside(path), path)


def read_items(path: Path) -> Items:
    with np.load(path) as file:
        return Items(**{n: file[n] if n == "wrong" else file[n].astype(np.int64) for n in _STORED})


@dataclass(frozen=True)
class StoredChoices:
    """The choices of a split; `texts` None where they were prepared without contexts."""

    choices: Choices
    texts: Texts | None


def write_choices(path: Path, choices: Choices, texts: Texts | None) -> None:
    arrays: dict[str, Any] = dict(vars(choices))
    if texts is not None:
        arrays |= {f"text_{name}": getattr(texts, name).astype(np.int32) for name in _TEXT}
    with open(_beside(path), "wb") as file:
        np.savez(file, **{n: v if v.dtype == bool else v.astype(np.int32) for n, v in arrays.items()})
    os.replace(_beside(path), path)


def read_choices(path: Path) -> StoredChoices:
    with np.load(path) as file:
        arrays = {n: file[n] if file[n].dtype == bool else file[n].astype(np.int64) for n in file.files}
    texts = Texts(*(arrays[f"text_{n}"] for n in _TEXT)) if "text_ids" in arrays else None
    return StoredChoices(Choices(**{n: v for n, v in arrays.items() if not n.startswith("text_")}), texts)


def write_text(path: Path, text: str) -> None:
    """Whole or not at all."""
    _beside(path).write_text(text, encoding="utf-8")
    os.replace(_beside(path), path)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_dataset(folder: Path) -> Dataset:
    """The prepared data of a folder, its hashes checked."""
    path = folder / "meta.json"
    again = "run the step `prepare` again (python -m engine.ouroboros.prepare)"
    if not path.exists():
        raise DatasetError(f"{path} is not there: nothing was prepared, or the preparation was interrupted; {again}")
    meta = json.loads(path.read_text(encoding="utf-8"))
    for name, expected in meta["sha256"].items():
        if not (folder / name).exists():
            raise DatasetError(f"{folder / name} is not there; {again}")
        if sha256(folder / name) != expected:
            raise DatasetError(f"{folder / name} is not the file that meta.json describes; {again}")
    return Dataset(folder, meta)


def check_classes(items: Items, name: str, kinds: tuple[str, ...]) -> None:
    """Both classes, half and half, and every declared kind present."""
    wrong = int(items.wrong.sum())
    if wrong == 0 or wrong == len(items):
        raise DatasetError(f"{name}: the class {'wrong' if wrong == 0 else 'correct'!r} is empty")
    if 2 * wrong != len(items):
        raise DatasetError(f"{name}: {wrong} of {len(items)} items are wrong, half of them should be")
    for index, kind in enumerate(kinds):
        if not (items.kind == index).any():
            raise DatasetError(f"{name}: no item of the declared kind {kind!r}")
