"""The machine we stand on, as a host: real processes, the same supervisor, the same folders as everywhere."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json
from engine.protocol.layout import Root, default_root, safe_id
from engine.protocol.plan import Plan
from engine.protocol.plan_status import status_on_host
from engine.protocol.spec import RunSpec
from engine.protocol.status import Status
from engine.supervisor import execute, ops
from engine.supervisor.ops import Chunk
from engine.supervisor.slots import count_gpus, queue
from remote.host import LOCAL, LaunchError, UnknownRun
from remote.ship import ship_locally
from remote.tree import Tree, TreeChanged, snapshot


class LocalHost:
    """See `remote.host.Host`."""

    name = LOCAL

    def __init__(self, root: Root | None = None) -> None:
        self.root = Root(default_root()) if root is None else root

    def root_path(self) -> str:
        return str(self.root.path)

    def facts(self) -> dict[str, Any]:
        self.root.path.mkdir(parents=True, exist_ok=True)
        return {
            "system": f"{platform.system()} {platform.release()}",
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "gpus": count_gpus(self.root),
            "free_bytes": shutil.disk_usage(self.root.path).free,
            "python": sys.version.split()[0],
        }

    def put_tree(self, tree: Tree) -> str:
        try:
            return str(snapshot(tree, self.root))
        except (OSError, TreeChanged) as error:
            raise LaunchError(_said(error, self.root)) from error

    def launch(self, spec: RunSpec) -> Status:
        try:
            return ops.launch(self.root, spec, ship_locally(self.root))
        except (OSError, ValueError, ops.LaunchError) as error:
            raise LaunchError(_said(error, self.root)) from error

    def launch_plan(self, plan: Plan) -> str:
        try:
            return ops.launch_plan(self.root, plan, ship_locally(self.root))
        except (OSError, ValueError, ops.LaunchError) as error:
            raise LaunchError(_said(error, self.root)) from error

    def run_ids(self) -> list[str]:
        return self.root.run_ids()

    def spec(self, run_id: str) -> RunSpec:
        spec = ops.spec_of(self.root, self._known_form(run_id))
        if spec is None:
            raise UnknownRun(f"there is no run {run_id} on {self.name}")
        return spec

    def _known_form(self, run_id: str) -> str:
        try:
            return safe_id(run_id)
        except ValueError as error:
            raise UnknownRun(f"there is no run {run_id!r} on {self.name}: {error}") from None

    def observe(self, run_id: str) -> Status:
        self.spec(run_id)
        return ops.status_of(self.root, run_id)

    def read(self, run_id: str, file: str, offset: int = 0, limit: int = 1 << 20) -> Chunk:
        return ops.read(self._file(run_id, file), offset, limit)

    def _file(self, run_id: str, file: str) -> Path:
        folder = self.root.run(self._known_form(run_id)).folder
        path = folder / file
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UnknownRun(f"{file} is no file of run {run_id}")
        return path

    def read_plan(self, plan_id: str, file: str) -> dict[str, Any] | None:
        return read_json(self.root.plan(plan_id).folder / file)

    def plan_status(self, plan_id: str) -> dict[str, Any] | None:
        return status_on_host(self.root.plan(plan_id))

    def stop(self, run_id: str, by: str, why: str = "", grace_s: float | None = None) -> Status:
        self.spec(run_id)
        return ops.stop(self.root, run_id, by, why, ship_locally(self.root), grace_s)

    def checkpoint(self, run_id: str, by: str) -> Status:
        self.spec(run_id)
        return ops.checkpoint(self.root, run_id, by)

    def stop_plan(self, plan_id: str, by: str, why: str = "") -> None:
        execute.ask_stop(self.root, plan_id, by, why)

    def queue(self) -> list[dict[str, Any]]:
        return queue(self.root)

    def close(self) -> None:
        pass


def _said(error: Exception, root: Root) -> str:
    if isinstance(error, OSError) and error.errno == 28:
        return f"the disk that holds {root.path} is full; free some space and launch again"
    return str(error)
