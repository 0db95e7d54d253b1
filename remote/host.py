"""What every host can do, whatever stands behind it. `tests/contracts/host.py` holds the suite that all of them pass.

Errors are named by what the caller does next:

    HostError
    ├── Unreachable      wait and try again; the run goes on without us
    ├── LaunchError      mend what the message names; nothing was started
    └── UnknownRun       look at `fractal-console runs`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from engine.protocol.plan import Plan
    from engine.protocol.spec import RunSpec
    from engine.protocol.status import Status
    from engine.supervisor.ops import Chunk
    from remote.tree import Tree

LOCAL = "local"
"""The name of the machine we stand on."""


class HostError(Exception):
    """A host could not do what was asked."""


class Unreachable(HostError):
    """No answer for now; the state of its runs is unknown, not lost."""


class LaunchError(HostError):
    """Nothing was started."""


class UnknownRun(HostError):
    """There is no such run on this host."""


class Host(Protocol):
    """One place where runs execute. Calls block; a screen makes them in a worker."""

    name: str

    def root_path(self) -> str:
        """The folder on the host under which everything of ours lives."""

    def facts(self) -> dict[str, Any]:
        """What the machine is: system, cores, memory, GPUs, free disk, python."""

    def put_tree(self, tree: Tree) -> str:
        """Have the tree's snapshot there; its path on the host."""

    def launch(self, spec: RunSpec) -> Status:
        """Start a run, once: again with the same id changes nothing."""

    def launch_plan(self, plan: Plan) -> str:
        """Start executing a plan, or go on with one whose executor was killed."""

    def run_ids(self) -> list[str]:
        """Every run on the host, oldest first."""

    def spec(self, run_id: str) -> RunSpec:
        """What a run is."""

    def observe(self, run_id: str) -> Status:
        """What state a run is in, concluded where it runs."""

    def read(self, run_id: str, file: str, offset: int = 0, limit: int = 1 << 20) -> Chunk:
        """Bytes of one of the run's files; a negative offset counts from the end."""

    def read_plan(self, plan_id: str, file: str) -> dict[str, Any] | None:
        """`plan.json` or `status.json` of a plan."""

    def plan_status(self, plan_id: str) -> dict[str, Any] | None:
        """The executor's last word on a plan, and under `executing` whether it still is; None where there is no such plan."""

    def stop(self, run_id: str, by: str, why: str = "", grace_s: float | None = None) -> Status:
        """Ask for the stop ladder; asking twice is harmless."""

    def checkpoint(self, run_id: str, by: str) -> Status:
        """Ask for a checkpoint."""

    def stop_plan(self, plan_id: str, by: str, why: str = "") -> None:
        """Ask a plan to stop: what runs is checkpointed, stopped and saved."""

    def queue(self) -> list[dict[str, Any]]:
        """Who holds a slot and who waits."""

    def close(self) -> None:
        """Let go of connections; runs go on."""
