"""The problems of a preset: the authors' files from $FRACTAL_DATA, or ours, made once into the work folder and labelled.

Guarantees: published files are checked by hash before anything is trained on them; no problem of the training set stands in
the validation or test set; generated files say in every sample that they are synthetic.
"""

from __future__ import annotations

from pathlib import Path

from engine.coconut.build import data_folder
from engine.config.coconut import Data
from engine.data.prosqa import SPLITS, DataError, Sample, file_name, load, refuse_unofficial, save, verify
from engine.data.prosqa_checker import content
from engine.data.prosqa_generator import generate


def is_generated(data: Data, split: str) -> bool:
    return data.source == "generated" or (data.source == "mixed" and split == "train")


def folder_of(data: Data, split: str, out: Path) -> Path:
    """Where a split's file lies."""
    if is_generated(data, split):
        return out
    folder = data_folder()
    fetched = out / "reference" / "data"
    if folder is None and fetched.exists():
        return fetched
    if folder is None:
        raise DataError(
            f"$FRACTAL_DATA is not set: it names the folder that holds {file_name(split)}. Or fetch it with "
            f"python -m engine.coconut.reference --data-only, or use data.source=generated."
        )
    return folder


def make(data: Data, out: Path) -> list[Path]:
    """Generate what the config wants generated; the training set last, without the problems of the others."""
    rows = {"train": data.train_rows, "valid": data.valid_rows, "test": data.test_rows}
    made, seen = [], set[frozenset[str]]()
    for at, split in enumerate(("valid", "test", "train")):
        if is_generated(data, split):
            samples = [s for s in generate(rows[split], data.seed + at) if split != "train" or content(s) not in seen]
            save(out / file_name(split), samples, synthetic=True)
            made.append(out / file_name(split))
        else:
            samples = load(folder_of(data, split, out) / file_name(split))
        seen |= {content(s) for s in samples} if split != "train" else set()
    return made


def make_missing(data: Data, out: Path) -> None:
    """Generate where a step is run by hand before `verify_data`."""
    if not all((out / file_name(split)).exists() for split in SPLITS if is_generated(data, split)):
        make(data, out)


def read(data: Data, split: str, out: Path) -> list[Sample]:
    """A split's problems; published ones only if they are the published ones."""
    folder = folder_of(data, split, out)
    if split in SPLITS and not is_generated(data, split):
        refuse_unofficial(verify(folder, split), folder)
    elif not (folder / file_name(split)).exists():
        step = "ood_data" if split not in SPLITS else "verify_data"
        raise DataError(f"{folder / file_name(split)} does not exist; run python -m engine.coconut.{step} first")
    return load(folder / file_name(split))
