"""The sandbox over several nodes: one Ray actor a core, each with a judge and a zygote of its own.

Same interface and same verdicts as the local pool. Ray starts actors on the nodes that have cores; an actor that dies takes
no label with it: its samples go to another, and a sample whose actor dies twice is `SandboxBroken`.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from typing import Any

from engine.verify.sandbox.verdict import Limits, Sample, SandboxBroken, Verdict

_CHUNK = 8


class _Node:
    """What runs inside an actor."""

    def __init__(self, limits: Limits, unsafe: bool) -> None:
        from engine.verify.sandbox.judge import Judge
        from engine.verify.sandbox.tier import open_zygote

        zygote, self.tier = open_zygote(limits, unsafe=unsafe)
        self.judge = Judge(zygote, limits, self.tier)

    def ready(self) -> str:
        return self.tier

    def judge_all(self, samples: list[Sample]) -> list[Verdict]:
        return [self.judge.judge(sample) for sample in samples]


class RayPool:
    """Actors of a Ray cluster that is already up (`ray.init` is called where nobody has)."""

    def __init__(self, workers: int | None, limits: Limits, unsafe: bool = False) -> None:
        try:
            import ray
        except ImportError:
            raise SandboxBroken(
                "sandbox.backend=ray needs Ray: pip install 'ray>=2.40', or sandbox.backend=local"
            ) from None
        self._ray: Any = ray
        if not ray.is_initialized():
            ray.init(logging_level="ERROR")
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        actor = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(_Node)
        self._make = lambda: actor.remote(limits, unsafe)
        self._actors = [self._make() for _ in range(count)]
        self.tier: str = max(self._get([a.ready.remote() for a in self._actors]))

    def _get(self, pending: Any) -> Any:
        try:
            return self._ray.get(pending)
        except self._ray.exceptions.RayTaskError as error:
            raise SandboxBroken(f"a sandbox on the cluster failed: {error.cause}") from None

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """A verdict for every sample; wall time-outs are run again at the end, one at a time."""
        late = []
        for sample, verdict in self._round(iter(samples), _CHUNK, len(self._actors)):
            if verdict.reason == "wall":
                late.append(sample)
            else:
                yield verdict
        for _, verdict in self._round(iter(late), 1, 1):
            yield verdict

    def _round(self, samples: Iterator[Sample], chunk: int, actors: int) -> Iterator[tuple[Sample, Verdict]]:
        free = collections.deque(range(actors))
        again: collections.deque[list[Sample]] = collections.deque()
        under_way: dict[Any, tuple[int, list[Sample], bool]] = {}
        while True:
            while free and (
                batch := again.popleft() if again else [s for _, s in zip(range(chunk), samples, strict=False)]
            ):
                at = free.popleft()
                retried = bool(again) or any(batch is b for b in again)
                under_way[self._actors[at].judge_all.remote(batch)] = (at, batch, retried)
            if not under_way:
                return
            (ready,), _ = self._ray.wait(list(under_way), num_returns=1)
            at, batch, retried = under_way.pop(ready)
            verdicts = self._verdicts(ready, at, batch, retried, again)
            free.append(at)
            yield from zip(batch, verdicts, strict=False)

    def _verdicts(self, ready: Any, at: int, batch: list[Sample], retried: bool, again: Any) -> list[Verdict]:
        try:
            found: list[Verdict] = self._get(ready)
            return found
        except self._ray.exceptions.RayActorError:
            if retried:
                raise SandboxBroken(
                    f"a cluster node died twice over {batch[0].key}; nothing was labelled by it"
                ) from None
            self._actors[at] = self._make()
            again.append(batch)
            return []

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
