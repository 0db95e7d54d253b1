"""The sandbox that a config names: workers on this machine, or the same over Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from engine.config.verify import Sandbox as SandboxConfig
from engine.verify.sandbox.pool import Pool, Sandbox
from engine.verify.sandbox.verdict import Limits


@contextlib.contextmanager
def open_sandbox(cfg: SandboxConfig) -> Iterator[Sandbox]:
    """Ready to judge; closed at the end, whatever happens."""
    limits = Limits(memory_bytes=cfg.memory_mib << 20)
    if cfg.backend == "ray":
        from engine.verify.sandbox.ray_pool import RayPool

        sandbox: Sandbox = RayPool(cfg.workers, limits, unsafe=cfg.unsafe)
    else:
        sandbox = Pool(cfg.workers, limits, unsafe=cfg.unsafe)
    try:
        yield sandbox
    finally:
        sandbox.close()
