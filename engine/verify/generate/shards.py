"""Several engines at once: one process each, on GPUs of its own, with a share of the units. Same interface, same rows.

Guarantees: each unit goes to one shard and comes back once; a shard that fails ends the step with its own line; no shard
outlives the step. Does not guarantee the order. A shard is `python -m engine.verify.generate.shard`.
"""

from __future__ import annotations

import os
import pickle
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.config.verify import Generate
from engine.verify.generate.contract import Completion, Unit
from engine.verify.sandbox import frames
from engine.verify.step import StepFailed

_PROJECT = Path(__file__).resolve().parents[3]
_MAX_MESSAGE = 1 << 30
_DAY_S = 86_400.0  # an engine may compile and load for as long as it likes: its death is noticed by its closed pipe


class Shards:
    """`data_parallel` engines of the config's backend."""

    def __init__(self, cfg: Generate) -> None:
        self.name = cfg.backend
        one = cfg.model_copy(update={"data_parallel": 1})
        shares = devices(os.environ.get("CUDA_VISIBLE_DEVICES"), _gpus(), cfg.data_parallel, cfg.tensor_parallel)
        self._shards = [_launch(one, share) for share in shares]

    def generate(self, units: list[Unit]) -> Iterator[tuple[Unit, list[Completion]]]:
        shares = [units[at :: len(self._shards)] for at in range(len(self._shards))]
        left = [len(share) for share in shares]
        with selectors.DefaultSelector() as selector:
            for at, (shard, share) in enumerate(zip(self._shards, shares, strict=True)):
                if share:
                    selector.register(shard.reader.fd, selectors.EVENT_READ, at)
                    shard.tell(share)
            while any(left):
                for key, _ in selector.select():
                    for place, completions in self._hear(key.data):
                        left[key.data] -= 1
                        yield shares[key.data][place], completions
                    if not left[key.data]:
                        selector.unregister(key.fd)

    def _hear(self, at: int) -> Iterator[tuple[int, list[Completion]]]:
        """Everything that a shard has said: a message may come along with the one that woke us."""
        while True:
            said = self._shards[at].next()
            if isinstance(said, StepFailed):
                self.close()
                raise said
            if said is None:
                self.close()
                raise StepFailed(
                    f"generating shard {at} died; its error stands above. What is done is on disk: start again"
                )
            yield said
            if not self._shards[at].reader.holds_one:
                return

    def close(self) -> None:
        for shard in self._shards:
            shard.close()


class _Shard:
    """One process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.reader = frames.Reader(process.stdout.fileno(), _MAX_MESSAGE)
        self._into = process.stdin.fileno()

    def tell(self, message: Any) -> None:
        try:
            frames.send(self._into, pickle.dumps(message))
        except frames.Closed:
            pass  # it is gone: reading says so

    def next(self) -> Any:
        """A message, or None when the process is gone."""
        try:
            return pickle.loads(self.reader.next(time.monotonic() + _DAY_S))
        except frames.Closed:
            return None

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _launch(cfg: Generate, share: str | None) -> _Shard:
    seen = {} if share is None else {"CUDA_VISIBLE_DEVICES": share}
    process = subprocess.Popen(
        [sys.executable, "-m", "engine.verify.generate.shard"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **seen, "PYTHONPATH": str(_PROJECT)},
    )
    shard = _Shard(process)
    shard.tell(cfg)
    return shard


def devices(visible: str | None, count: int, shards: int, tensor_parallel: int) -> list[str | None]:
    """The GPUs of each shard, as CUDA_VISIBLE_DEVICES; None for all on a machine without any."""
    names = [name for name in visible.split(",") if name] if visible is not None else [str(n) for n in range(count)]
    if not names:
        return [None] * shards
    need = shards * tensor_parallel
    if need > len(names):
        raise StepFailed(
            f"{shards} engines on {tensor_parallel} GPUs each need {need}; {len(names)} are there. "
            "Lower generate.data_parallel or generate.tensor_parallel"
        )
    return [",".join(names[at * tensor_parallel : (at + 1) * tensor_parallel]) for at in range(shards)]


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
