"""The sandbox over several nodes: one Ray actor a core, each with a judge and a zygote of its own.

Same interface and same verdicts as the local pool. Ray starts actors on the nodes that have cores; an actor that dies takes
no label with it: its samples go to another, and a sample whose actor dies twice is `SandboxBroken`.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.verify.sandbox.verdict import Limits, Sample, SandboxBroken, Verdict

_CHUNK = 8
_ENGINE = Path(__file__).resolve().parents[2]  # sent along: a node need not have a checkout


class _Node:
    """What runs inside an actor."""

    def __init__(self, limits: Limits, unsafe: bool) -> None:
        from engine.verify.sandbox.judge import Judge
        from engine.verify.sandbox.tier import open_zygote

        zygote, self.tier = open_zygote(limits, unsafe=unsafe)
        self.judge = Judge(zygote, limits, self.tier)

    def ready(self) -> str:
        return self.tier

    def where(self) -> str:
        import ray

        return str(ray.get_runtime_context().get_node_id())

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
        if not ray.is_initialized():  # the cluster that $RAY_ADDRESS names, else one on this machine
            ray.init(logging_level="ERROR", runtime_env={"py_modules": [str(_ENGINE)]})
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
        again: collections.deque[list[Sample]] = collections.deque()  # were in the hands of an actor that died
        under_way: dict[Any, tuple[int, list[Sample], bool]] = {}
        while True:
            while free:
                retried = bool(again)
                batch = again.popleft() if again else [s for _, s in zip(range(chunk), samples, strict=False)]
                if not batch:
                    break
                at = free.popleft()
                under_way[self._actors[at].judge_all.remote(batch)] = (at, batch, retried)
            if not under_way:
                return
            (ready,), _ = self._ray.wait(list(under_way), num_returns=1)
            at, batch, retried = under_way.pop(ready)
            free.append(at)
            verdicts = self._verdicts(ready, batch)
            if verdicts is not None:
                yield from zip(batch, verdicts, strict=True)
            elif retried:
                raise SandboxBroken(f"a cluster node died twice over {batch[0].key}; nothing was labelled by it")
            else:
                self._actors[at] = self._make()
                again += [[sample] for sample in batch]  # alone, so that a second death names its sample

    def _verdicts(self, ready: Any, batch: list[Sample]) -> list[Verdict] | None:
        """None where the actor died over them."""
        try:
            found: list[Verdict] = self._get(ready)
        except self._ray.exceptions.RayActorError:
            return None
        return found

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []
