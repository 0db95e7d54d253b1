"""Memory that is too small, as one line that says what to lower."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from engine.verify.step import StepFailed


@contextlib.contextmanager
def fits_or_says(what: str, lower: str) -> Iterator[None]:
    """Torch's own out-of-memory errors, of a GPU and of the machine, become StepFailed; nothing else does."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's allocator raises the plain one
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        where = "the GPU" if isinstance(error, torch.OutOfMemoryError) else "the memory"
        raise StepFailed(f"{where} is too small for {what}: {lower}") from None
