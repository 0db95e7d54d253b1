"""The models that were trained: who made them, from what, how good they are, and which of them stands for its phase. SQLite.

    registry = Registry(Path("registry.db"))
    registry.register_model(phase=3, step=1, model_type="baked_reasoning", model_path=path, metadata={"final_accuracy": 0.86})
    registry.take_events(spec, events)              # the same from the `model` events of a pulled run; again is harmless
    registry.promote("phase3-quietstar_baked_…", gates, by="ada@desk")        # or Refused, with the reason
    registry.hand_off("phase3-quietstar_baked_…", "phase4", gates)            # likewise, and the refusal is kept

Guarantees (with `engine.registry.file`): two processes may write at once; a `kill -9` at any point never leaves half a
registration; a champion is a file that was whole, whose run succeeded, whose gates stood open; what was promoted or refused
is never overwritten.
Does not guarantee: that a file is still what it was. `verify` reads it again and says.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from engine.protocol.events import Event, number
from engine.protocol.files import describe
from engine.protocol.spec import RunSpec, new_id, read_spec
from engine.protocol.status import SUCCEEDED
from engine.registry.file import RegistryFile
from engine.registry.model import (
    Ancestor,
    Difference,
    GateFinding,
    HandOff,
    Model,
    Promotion,
    Refused,
    RegistryError,
    Verification,
    hand_off_of,
    model_of,
    unfit,
    verify_file,
)
from engine.registry.said import announces_model, located, measured, parents_said, progress, words

_MODEL = """
SELECT m.model_id, m.session_id, m.phase_name, m.model_name, m.model_path, m.parameters, m.created_at, m.metadata_json,
       m.tags, m.step, m.model_type, m.size_bytes, m.sha256, s.status, s.reason, s.preset, s.seed, s.config_hash, s.measured_json,
       s.variant
FROM models m JOIN sessions s ON s.session_id = m.session_id
"""


class Registry:
    """One thread's view of the registry; opening another costs a millisecond."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._file = RegistryFile(path)

    def close(self) -> None:
        self._file.close()

    # Registering

    def register_model(
        self,
        phase: int | str,
        step: int | str,
        model_type: str,
        model_path: str | os.PathLike[str],
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        session: str | None = None,
    ) -> str:
        """Register a file that lies here, hashed now; the model's id. The session is this run, or a new one by hand."""
        path = Path(model_path).resolve()
        if not path.exists():
            raise RegistryError(f"{model_path} does not exist: save the model before it is registered")
        about = {**describe(path), "name": name or path.stem, "model_type": model_type, "metadata": metadata or {}}
        session = session or os.environ.get("FRACTAL_RUN") or new_id("by-hand", now=self._clock())
        phase_name = _phase_name(phase)
        with self._file.writing():
            self._file.run(
                "INSERT OR IGNORE INTO sessions (session_id, start_time, current_phase, step) VALUES (?,?,?,?)",
                (session, self._clock(), phase_name, str(step)),
            )
            return self._put_model(session, phase_name, str(step), about, str(path), self._clock())

    def take_events(self, spec: RunSpec, events: Iterable[Event], files: Path | None = None) -> list[str]:
        """The models that a run's events announce, and what the run measured; their ids. Harmless to repeat.

        `files` is where the work folder lies on this machine, for a run that was pulled from another one.
        """
        taken = list(events)
        folder = str(files) if files is not None else spec.work
        newest = {e["name"]: located(e, folder) for e in taken if announces_model(e)}
        with self._file.writing():
            self._put_session(spec, taken)
            return [
                self._put_model(
                    spec.run_id, spec.phase, spec.step, event, event["path"], number(event.get("time")) or self._clock()
                )
                for event in newest.values()
            ]

    def end_run(self, run_id: str, state: str, reason: str = "", at: float | None = None) -> None:
        """How the run of some models ended; a run that the registry does not know is passed over."""
        done = 100.0 if state == SUCCEEDED else None
        with self._file.writing():
            self._file.run(
                "UPDATE sessions SET status = ?, reason = ?, end_time = ?,"
                " progress_percent = COALESCE(?, progress_percent) WHERE session_id = ?",
                (state, reason, self._clock() if at is None else at, done, run_id),
            )

    def _put_session(self, spec: RunSpec, events: Sequence[Event]) -> None:
        columns = {
            "session_id": spec.run_id,
            "pipeline_config_json": json.dumps(spec.config),
            "start_time": spec.created,
            "current_phase": spec.phase,
            "step": spec.step,
            "preset": spec.preset,
            "variant": spec.variant,
            "seed": spec.seed,
            "host": spec.host,
            "plan": spec.plan,
            "tree": spec.tree,
            "code": spec.code,
            "config_hash": spec.config_hash,
        }
        self._file.upsert("sessions", columns, keep=("session_id",))
        before = self._file.one("SELECT measured_json FROM sessions WHERE session_id = ?", spec.run_id)[0]
        all_measured = {**json.loads(before), **measured(events)}
        self._file.run(
            "UPDATE sessions SET measured_json = ?, progress_percent = MAX(progress_percent, ?) WHERE session_id = ?",
            (json.dumps(all_measured), progress(events), spec.run_id),
        )

    def _put_model(self, session: str, phase: str, step: str, about: Event, path: str, at: float) -> str:
        model_id = f"{phase}_{about['name']}_{session}"
        metadata: dict[str, Any] = about["metadata"] if isinstance(about.get("metadata"), dict) else {}
        size = number(about.get("size"))
        columns = {
            "model_id": model_id,
            "session_id": session,
            "phase_name": phase,
            "model_name": about["name"],
            "model_path": path,
            "size_mb": None if size is None else size / 1e6,
            "created_at": at,
            "step": step,
            "parameters": metadata.get("parameters"),
            "metadata_json": json.dumps(metadata),
            "tags": " ".join(words(metadata.get("tags"))),
            "model_type": str(about.get("model_type", "")),
            "size_bytes": None if size is None else int(size),
            "sha256": about.get("sha256"),
        }
        self._file.upsert("models", columns, keep=("model_id", "session_id", "phase_name", "model_name", "created_at"))
        self._file.run("DELETE FROM model_parents WHERE model_id = ?", (model_id,))
        for said in parents_said(metadata):
            self._file.run("INSERT OR IGNORE INTO model_parents VALUES (?, ?)", (model_id, said))
        self._complete_hand_offs(model_id, phase)
        return model_id

    def _complete_hand_offs(self, model_id: str, phase: str) -> None:
        """The accepted hand-offs to this phase of which this model was made now know their target."""
        waiting = self._file.run(
            "SELECT handoff_id, source_model_id FROM phase_handoffs"
            " WHERE target_model_id IS NULL AND target_phase = ? AND validation_status = 'accepted'",
            (phase,),
        ).fetchall()
        if not waiting:
            return
        made_of = {a.model.model_id for a in self._ancestors(self._by_id(model_id), 1) if a.model is not None}
        for handoff_id, source in waiting:
            if source in made_of:
                self._file.run(
                    "UPDATE phase_handoffs SET target_model_id = ? WHERE handoff_id = ?", (model_id, handoff_id)
                )

    # Asking

    def models(self, phase: str | None = None, model_type: str | None = None) -> list[Model]:
        """Models, newest first."""
        where, values = ["1"], []
        for column, value in (("m.phase_name", phase), ("m.model_type", model_type)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        query = f"{_MODEL} WHERE {' AND '.join(where)} ORDER BY m.created_at DESC, m.model_id DESC"
        return [model_of(row) for row in self._file.run(query, values)]

    def model(self, word: str) -> Model:
        """The model with this id; or the only one whose id or hash begins so, whose name it is, or whose id holds it."""
        exact = self._file.run(f"{_MODEL} WHERE m.model_id = ?", (word,)).fetchone()
        if exact:
            return model_of(exact)
        begins = (
            "m.model_name = ?1 OR substr(m.model_id, 1, length(?1)) = ?1"
            " OR (length(?1) >= 6 AND substr(m.sha256, 1, length(?1)) = ?1)"
        )
        found: list[Model] = []
        for fits in (begins, "length(?1) >= 4 AND instr(m.model_id, ?1) > 0"):
            if not found:
                rows = self._file.run(f"{_MODEL} WHERE {fits} ORDER BY m.created_at DESC", (word,))
                found = [model_of(row) for row in rows]
        if len(found) == 1:
            return found[0]
        if not found:
            raise RegistryError(f"there is no model {word!r}. Type: fractal-console models")
        shown = "\n".join(f"  {m.model_id}" for m in found[:10])
        raise RegistryError(f"{word!r} may be any of {len(found)} models; say which:\n{shown}")

    def config(self, word: str) -> dict[str, Any]:
        """The resolved config of the run that made a model; empty for one registered by hand."""
        row = self._file.one(
            "SELECT pipeline_config_json FROM sessions WHERE session_id = ?", self.model(word).session_id
        )
        config: dict[str, Any] = json.loads(row[0])
        return config

    def lineage(self, word: str) -> list[Ancestor]:
        """Where a model came from: parents, their parents and so on, nearest first."""
        return self._ancestors(self.model(word), 1)

    def children(self, word: str) -> list[Model]:
        """The models that name this one as a parent."""
        mine = self.model(word)
        rows = self._file.run(
            f"{_MODEL} WHERE m.model_id != ?1 AND m.model_id IN (SELECT model_id FROM model_parents WHERE said IN (?1, ?2, ?3))"
            " ORDER BY m.created_at, m.model_id",
            (mine.model_id, mine.sha256, mine.name),
        )
        # a name may mean a newer model than this one, so the child is asked whom it means
        return [m for m in map(model_of, rows.fetchall()) if self._names(m, mine.model_id)]

    def _names(self, child: Model, parent_id: str) -> bool:
        return any(a.model is not None and a.model.model_id == parent_id for a in self._parents(child, 1))

    def _by_id(self, model_id: str) -> Model:
        return model_of(self._file.one(f"{_MODEL} WHERE m.model_id = ?", model_id))

    def _parents(self, child: Model, depth: int) -> list[Ancestor]:
        said = self._file.run("SELECT said FROM model_parents WHERE model_id = ? ORDER BY rowid", (child.model_id,))
        return [Ancestor(word, self._parent_meant(word, child), depth) for (word,) in said.fetchall()]

    def _ancestors(self, child: Model, depth: int, seen: frozenset[str] = frozenset()) -> list[Ancestor]:
        found = []
        for parent in self._parents(child, depth):
            found.append(parent)
            if parent.model is not None and parent.model.model_id not in seen:
                found += self._ancestors(parent.model, depth + 1, seen | {child.model_id, parent.model.model_id})
        return found

    def _parent_meant(self, said: str, child: Model) -> Model | None:
        """Looked up when asked, since a parent may be pulled after its child: by id, by hash, else the newest by name."""
        row = self._file.one(
            f"{_MODEL} WHERE m.model_id != ?1 AND (m.model_id = ?2 OR m.sha256 = ?2"
            " OR (m.model_name = ?2 AND m.created_at <= ?3)) ORDER BY m.model_name = ?2, m.created_at DESC LIMIT 1",
            child.model_id,
            said,
            child.created_at,
        )
        return None if row is None else model_of(row)

    def compare(self, first: str, second: str) -> list[Difference]:
        """Every metric that either of two models has, in the order of their names."""
        one, two = self.model(first).metrics, self.model(second).metrics
        return [Difference(name, one.get(name), two.get(name)) for name in sorted({*one, *two})]

    def verify(self, word: str) -> Verification:
        """Read the file again: present, of the same size, with the same hash?"""
        return verify_file(self.model(word))

    # Judging

    def gates(self, word: str) -> list[GateFinding]:
        """The gates of its phase as they stood when they were last judged for this model."""
        rows = self._file.run(
            "SELECT gate, state, because FROM model_gates WHERE model_id = ? ORDER BY rowid",
            (self.model(word).model_id,),
        )
        return [GateFinding(*row) for row in rows]

    def record_gates(self, word: str, gates: Sequence[GateFinding]) -> None:
        """Keep how gates stand for a model."""
        model_id = self.model(word).model_id
        with self._file.writing():
            for gate in gates:
                self._file.run(
                    "INSERT OR REPLACE INTO model_gates VALUES (?,?,?,?,?)",
                    (model_id, gate.gate, gate.state, gate.because, self._clock()),
                )

    def promote(self, word: str, gates: Sequence[GateFinding], by: str, reason: str = "") -> Promotion:
        """Make a model its phase's champion, or Refused. `gates`: every gate of its phase, judged now; empty if it has none."""
        model = self.model(word)
        self.record_gates(model.model_id, gates)
        verified = verify_file(model)
        if problems := unfit(model, verified, gates):
            raise Refused(f"{model.model_id} can't be the champion of {model.phase}: {'; '.join(problems)}")
        promotion = Promotion(model.phase, model.model_id, model.sha256 or "", self._clock(), by, reason)
        with self._file.writing():
            self._file.run(
                "INSERT INTO promotions (phase_name, model_id, sha256, promoted_at, promoted_by, reason)"
                " VALUES (?,?,?,?,?,?)",
                tuple(promotion.__dict__.values()),
            )
        return promotion

    def promotions(self, phase: str) -> list[Promotion]:
        """Every champion that a phase has had, the present one first."""
        rows = self._file.run(
            "SELECT phase_name, model_id, sha256, promoted_at, promoted_by, reason FROM promotions"
            " WHERE phase_name = ? ORDER BY n DESC",
            (phase,),
        )
        return [Promotion(*row) for row in rows]

    def champion(self, phase: str) -> Model | None:
        """The model that stands for a phase; Refused where its file was registered anew since it was promoted."""
        newest = next(iter(self.promotions(phase)), None)
        if newest is None:
            return None
        model = self._by_id(newest.model_id)
        if model.sha256 != newest.sha256:
            raise Refused(
                f"the champion of {phase}, {model.model_id}, was registered with another file after it was promoted:"
                " promote it again"
            )
        return model

    def hand_off(self, word: str, target_phase: str, gates: Sequence[GateFinding]) -> HandOff:
        """Validate a model for another phase and keep the result; Refused with the reasons where it does not hold."""
        model = self.model(word)
        self.record_gates(model.model_id, gates)
        verified = verify_file(model)
        missing = [a.said for a in self._ancestors(model, 1) if a.model is None]
        problems = unfit(model, verified, gates) + [f"its parent {said} is not in the registry" for said in missing]
        if model.phase == target_phase:
            problems.append(f"it is a model of {target_phase} itself")
        validation = {
            "problems": problems,
            "file": verified.because,
            "gates": {g.gate: g.state for g in gates},
            "metrics": model.metrics,
        }
        made = HandOff(
            new_id("handoff", now=self._clock()),
            model.phase,
            target_phase,
            model.model_id,
            None,
            self._clock(),
            "refused" if problems else "accepted",
            validation,
        )
        with self._file.writing():
            row = (*list(made.__dict__.values())[:-1], json.dumps(validation))
            self._file.run("INSERT INTO phase_handoffs VALUES (?,?,?,?,?,?,?,?)", row)
        if problems:
            raise Refused(f"{model.model_id} can't be handed to {target_phase}: {'; '.join(problems)}")
        return made

    def hand_offs(self, target_phase: str | None = None) -> list[HandOff]:
        """Every hand-off, refused ones too, newest first."""
        rows = self._file.run(
            "SELECT * FROM phase_handoffs WHERE ?1 IS NULL OR target_phase = ?1 ORDER BY handoff_timestamp DESC, rowid DESC",
            (target_phase,),
        )
        return [hand_off_of(row) for row in rows]


def _phase_name(phase: int | str) -> str:
    """`3` is the phase of this run where that begins so, else `phase3`."""
    if isinstance(phase, str):
        return phase
    spec_file = os.environ.get("FRACTAL_SPEC")
    spec = read_spec(Path(spec_file)) if spec_file else None
    short = f"phase{phase}"
    return spec.phase if spec is not None and spec.phase.split("-")[0] == short else short
