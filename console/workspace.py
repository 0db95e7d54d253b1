"""One project, its hosts and the console's memory, as both the screen and the headless verbs use them.

What is known and concluded here, and what is said to a run or about a check. It blocks; the screen calls it from a worker.
Starting runs and plans stands in `console.launch.starting`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.checked import Checked
from console.errors import UserError
from console.hosts.far import Far
from console.hosts.reached import Reached
from console.launch.resolved import Resolved, all_presets, default_preset, missing_code, resolve_config, whoami
from console.standing import GateStanding, PhaseStanding, judge_phase
from console.store import RunRow, Store
from engine.config.errors import nearest
from engine.protocol.events import read_events
from engine.protocol.layout import Root, RunPaths, default_root
from engine.protocol.status import observe
from remote.host import LOCAL, HostError
from remote.tree import Tree, TreeReader

if TYPE_CHECKING:
    from console.project import Project
    from console.runs.spending import Spent
    from engine.config.phase import Phase
    from engine.protocol.status import Status
    from engine.registry.registry import Registry
    from remote.host import Host
    from remote.local_host import LocalHost
    from remote.ssh.host import SshHost


_SPENT_QUIET_S = 60.0  # while nothing is written only the clock of live runs moves
_SPENT_S = 5.0


class Workspace:
    """The console's world. Threads: one store connection, used by one thread at a time (the caller sees to that)."""

    def __init__(self, project: Project, root: Root | None = None, *, readonly: bool = False) -> None:
        """`readonly`: a glance at a root that may be a colleague's; nothing in it is written."""
        self.root = Root(default_root()) if root is None else root
        self.project = replace(project, checked=Checked(self.root.path / "cache" / "checked", writes=not readonly))
        self.readonly = readonly
        self.store = Store(self.root.path / "console.db", readonly=readonly)
        self._registry: Registry | None = None
        self._glance: Path | None = None
        self._trees = TreeReader(self.root.path / "cache" / "trees", writes=not readonly)
        self._spent: dict[str, Spent] = {}
        self._spent_at, self._spent_seen = 0.0, -1
        self._phase_marks = self._marks()
        self._models_told = False
        self.hosts = Reached(self.project.configs, self.root)
        self.far = Far(self.root, self.store, self.host)
        self.tell: Callable[[str], None] = lambda line: None
        """Where the lines of something long (an installation on a host) go."""

    def close(self) -> None:
        self.far.close()
        self.hosts.close()
        self.store.close()
        if self._registry is not None:
            self._registry.close()
        if self._glance is not None:
            import shutil

            shutil.rmtree(self._glance, ignore_errors=True)

    # Looking

    @property
    def registry(self) -> Registry:
        """Opened by the thread that first needs it, for the connection is that thread's."""
        if self._registry is None:
            from engine.registry.registry import Registry

            self._registry = Registry(self._copied_registry() if self.readonly else self.root.path / "registry.db")
        return self._registry

    def _copied_registry(self) -> Path:
        """Read-only looks at a copy: opening the registry may bring its file to this version."""
        import shutil
        import tempfile

        folder = Path(tempfile.mkdtemp(prefix="fractal-glance-"))
        self._glance = folder
        for file in self.root.path.glob("registry.db*"):
            shutil.copy(file, folder)
        return folder / "registry.db"

    def phase(self, name: str) -> Phase:
        return self.project.phases.named(name)

    def refresh(self) -> list[str]:
        """Look at run folders that are new or not final; models of runs that have ended go to the registry."""
        changed = self.store.refresh(self.root)
        if not self.readonly and (changed or not self._models_told):
            self._tell_registry()
        self._price(changed)
        return changed

    def _price(self, run_ids: list[str]) -> None:
        """What runs on rented machines cost by the hour, for whoever asks what was spent."""
        rows = [row for run_id in run_ids if (row := self.store.run(run_id)) is not None and row.host != "local"]
        if rows:
            from console.runs.prices import usd_per_h
            from remote.cloud.cloud_paths import CloudPaths

            for row in rows:
                price = usd_per_h(CloudPaths(self.root.path / "cloud"), row.host, row.created)
                if price is not None:
                    self.store.money.set_price(row.run_id, price)

    def _tell_registry(self) -> None:
        self._models_told = True
        for row in self.store.unregistered():
            self._register_models(row)
            self.store.set_registered(
                row.run_id
            )  # after it: a crash between the two tells the registry again, harmlessly

    def _register_models(self, row: RunRow) -> None:
        evidence = self.store.evidence(self.root, row)
        if evidence is None or not evidence.models:
            return
        events, offset, more = [], 0, True
        while more:
            batch = read_events(self.root.run(row.run_id).events, offset)
            events += batch.events
            offset, more = batch.offset, batch.more
        self.registry.take_events(self.local.spec(row.run_id), events)
        self.registry.end_run(row.run_id, row.state, row.reason, row.ended)

    def reload_if_edited(self) -> None:
        """Read the phase files again when one was edited: a gate mended in the editor is judged at the next look."""
        marks = self._marks()
        if marks != self._phase_marks:
            self.project, self._phase_marks = replace(self.project), marks

    def _marks(self) -> list[tuple[str, int]]:
        folder = self.project.configs / "phases"
        return sorted((f.name, f.stat().st_mtime_ns) for f in folder.glob("*.yaml"))

    def tree(self, *, with_git: bool = True) -> Tree:
        """The project's source as it is now. `with_git`: also the commit it is at, which only what is started must know."""
        return self._trees.read(self.project.folder, with_git=with_git)

    def choose(self, phase: Phase, preset: str | None = None, overrides: dict[str, Any] | None = None) -> Resolved:
        """A phase at a preset: the one named, else the one that was used last, else its default."""
        return resolve_config(self.project, phase, preset or self.last_preset(phase), overrides)

    def last_preset(self, phase: Phase) -> str:
        used = self.store.runs(self.project.name, phase.phase, limit=1)
        names = all_presets(self.project, phase)
        return used[0].preset if used and used[0].preset in names else default_preset(self.project, phase)

    def standing(
        self, phase: Phase, resolved: Resolved, tree: Tree | None = None, host: str = "local"
    ) -> PhaseStanding:
        """How the phase stands at this preset, from what is here; on another host, from what ran there alone."""
        key = (self.project.name, phase.phase, resolved.preset)
        rows = self.store.deciding_runs(*key, resolved.variant, resolved.family)
        standing = judge_phase(
            phase,
            resolved,
            tree,
            rows if host == LOCAL else [row for row in rows if row.host == host],
            lambda row: self.store.evidence(self.root, row),
            self.store.words("tick", *key),
            self.store.words("override", *key),
            self._needs_shut(phase, tree),
            self.unwritten(phase),
        )
        return self._priced(standing)

    def _priced(self, standing: PhaseStanding) -> PhaseStanding:
        """With what the machines cost that its runs are on."""
        away = [s.run.run_id for s in standing.steps if s.run is not None and s.run.host != LOCAL]
        prices = self.store.money.prices(away) if away else {}
        if not prices:
            return standing
        steps = [replace(s, usd_per_h=prices.get(s.run.run_id, 0.0)) if s.run else s for s in standing.steps]
        return replace(standing, steps=steps)

    def spent(self) -> dict[str, Spent]:
        """What each phase has taken so far; it goes over every run, so only where the index has news, and not too often."""
        now, seen = time.time(), self.store.version()
        is_old = now - self._spent_at > (_SPENT_S if seen != self._spent_seen else _SPENT_QUIET_S)
        if is_old:
            self._spent_at, self._spent_seen = now, seen
            self._spent = self.store.money.spent(self.project.name, now)
        return self._spent

    def unwritten(self, phase: Phase) -> dict[str, str]:
        """Steps whose code the project does not have."""
        found = {s.step: missing_code(s, self.project.folder) for s in phase.steps}
        return {step: file for step, file in found.items() if file}

    def _needs_shut(self, phase: Phase, tree: Tree | None) -> list[str]:
        """Earlier phases that are not passed at any of their presets."""
        shut = []
        for name in phase.needs:
            need = self.project.phases.phases.get(name)
            if need is not None and not self._passed_anywhere(need, tree):
                shut.append(name)
        return shut

    def _passed_anywhere(self, phase: Phase, tree: Tree | None) -> bool:
        used = self.store.presets_used(self.project.name, phase.phase)
        presets = [p for p in all_presets(self.project, phase) if p in used]
        return any(self.standing(phase, self.choose(phase, p), tree).state == "passed" for p in presets)

    def find_run(self, word: str, phase: str | None = None) -> RunRow:
        """A run by its id, a unique part of it, or `last`."""
        rows, found = self._named(word, phase)
        if (word == "last" or not found) and self.far.open_plans():
            self.catch_up()  # a plan on another host may have begun it since
            rows, found = self._named(word, phase)
        if len(found) == 1:
            if found[0].unreadable:
                raise UserError(found[0].reason)
            return found[0]
        if found:
            shown = ", ".join(r.run_id for r in found[:4])
            raise UserError(
                f"{word!r} names {len(found)} runs: {shown}{' …' if len(found) > 4 else ''}. Give more of the id"
            )
        hint = nearest(word, [r.run_id for r in rows[:200]])
        raise UserError(f"there is no run {word!r}{hint}. Type: fractal-console runs")

    def _named(self, word: str, phase: str | None) -> tuple[list[RunRow], list[RunRow]]:
        """Every run that could be meant, and those that the word names."""
        self.refresh()
        rows = self.store.runs(self.project.name if word == "last" else None, phase)
        if word == "last":
            return rows, rows[:1]
        return rows, [r for r in rows if r.run_id == word] or [r for r in rows if word in r.run_id]

    def catch_up(self) -> None:
        """Hear other hosts of what was left open there; one that can't be reached is told, not waited for."""
        if not self.readonly:  # what is heard is written here
            for line in self.far.catch_up():
                self.tell(line)
        self.refresh()

    def paths(self, run_id: str) -> RunPaths:
        return self.root.run(run_id)

    @property
    def local(self) -> LocalHost:
        return self.hosts.local

    def host(self, name: str) -> Host:
        return self.hosts.named(name)

    def ssh(self, name: str) -> SshHost:
        return self.hosts.beyond(name)

    def attach(self, run_id: str) -> None:
        """Have a copy of a remote run grow here; nothing to do for one of this machine."""
        if not self.readonly:
            self.far.attach(run_id)

    def queue(self) -> list[dict[str, Any]]:
        """Who holds a slot of this machine and who waits."""
        from engine.supervisor.slots import queue

        return queue(self.root, tidies=not self.readonly)

    # Ending

    def stop(self, run_id: str, why: str = "", grace_s: float | None = None) -> Status:
        return self._host_of(run_id).stop(run_id, whoami(), why, grace_s)

    def checkpoint(self, run_id: str) -> Status:
        return self._host_of(run_id).checkpoint(run_id, whoami())

    def state(self, run_id: str) -> Status:
        """As concluded where it runs, or, where that host does not answer, as it was last heard."""
        try:
            return self._host_of(run_id).observe(run_id)
        except HostError:
            return observe(self.root.run(run_id))

    def is_whole(self, run_id: str) -> bool:
        """Has it ended, and is everything of it here?"""
        return observe(self.root.run(run_id)).final

    def _host_of(self, run_id: str) -> Host:
        row = self.store.run(run_id)
        return self.local if row is None else self.host(row.host)

    # Judging

    def check_named(self, gates: Iterable[GateStanding], word: str) -> tuple[GateStanding, str, str]:
        """A check by its id or a unique part of its sentence: its gate, id and text."""
        found = [(g, v.check_id, v.text) for g in gates for v in g.verdicts if v.check_id == word]
        found = found or [(g, v.check_id, v.text) for g in gates for v in g.verdicts if word.lower() in v.text.lower()]
        if len(found) == 1:
            return found[0]
        if found:
            listed = "; ".join(text for _, _, text in found[:4])
            raise UserError(f"{word!r} fits {len(found)} checks: {listed}. Give more of it, or the check's id")
        raise UserError(f"no check reads like {word!r}. Type: fractal-console gates PHASE")

    def say(self, kind: str, phase: Phase, resolved: Resolved, check_id: str, said: bool, reason: str) -> None:
        """Tick or override a check in the user's name, or take that back."""
        code = self.tree().code_hash(tuple(phase.code))
        self.store.say(kind, self.project.name, phase.phase, resolved.preset, check_id, said, whoami(), reason, code)
