"""Where learning by reward stands, as one file: going on from it ends with the bits of a run that was never stopped (CPU).

Guarantees: a file is whole or absent; a checkpoint of other settings, another seed or another baked model is refused, naming
every setting that differs. Batches and draws follow from the seed and the episode's number, so no random state is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.quietstar import QuietstarConfig
from engine.quietstar import model_file
from engine.quietstar.errors import ModelFileError, ResumeError
from engine.quietstar.learner import Learner
from engine.quietstar.rl_setup import Setup

# what may differ between the two parts of a run, since no result depends on it
_FREE = ("rl.log_every", "rl.checkpoint_every", "rl.threads")


def marks(cfg: QuietstarConfig, baked_sha: str) -> dict[str, Any]:
    """What must be the same, by name."""
    found = {"seed": cfg.seed, "baked model": baked_sha}
    for part in ("rl", "antitheater"):
        found |= _flat(getattr(cfg, part).model_dump(mode="json"), part)
    return {name: value for name, value in found.items() if name not in _FREE}


def _flat(value: dict[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, inner in value.items():
        name = f"{prefix}.{key}"
        found |= _flat(inner, name) if isinstance(inner, dict) else {name: inner}
    return found


def save(path: Path, setup: Setup, cfg: QuietstarConfig, rewards: list[float], ended: str) -> None:
    """`ended`: empty while it goes on, else how it ended."""
    state = {
        "marks": marks(cfg, setup.baked_sha),
        "learner": _state(setup.learner),
        "rollback": setup.rollback.state(),
        "rewards": rewards,
        "ended": ended,
    }
    model_file.write(path, state)


def _state(learner: Learner) -> dict[str, Any]:
    return {
        "thinker": learner.thinker.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "policy_weight": learner.policy_weight,
        "rate_share": learner.rate_share,
        "done": learner.done,
    }


def resume(path: Path, setup: Setup, cfg: QuietstarConfig) -> list[float] | None:
    """Go on where the file stands, and say so; the rewards so far. None where there is no file, or a finished one."""
    if not path.exists():
        return None
    try:
        state = model_file.read(path, "delete it to begin anew")
    except ModelFileError as error:
        raise ResumeError(str(error)) from None
    refuse_other(path, state, marks(cfg, setup.baked_sha))
    if state["ended"]:
        print(f"{path.name} is of a run that ended ({state['ended']}): it begins anew and will replace it", flush=True)
        return None
    learner, saved = setup.learner, state["learner"]
    learner.thinker.load_state_dict(saved["thinker"])
    learner.optimizer.load_state_dict(saved["optimizer"])
    learner.policy_weight, learner.rate_share, learner.done = (
        saved[name] for name in ("policy_weight", "rate_share", "done")
    )
    setup.rollback.load(state["rollback"])
    print(f"goes on from episode {learner.done} ({path.name})", flush=True)
    rewards: list[float] = state["rewards"]
    return rewards


def refuse_other(path: Path, state: Any, here: dict[str, Any]) -> None:
    if not isinstance(state, dict) or "marks" not in state:
        raise ResumeError(f"{path} is no checkpoint of this step: delete it to begin anew")
    there = state["marks"]
    differ = [
        f"{name} was {there.get(name)!r}, is {here.get(name)!r}"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]
    if differ:
        raise ResumeError(f"{path} is of other settings: {'; '.join(differ)}. Use those, or delete it to begin anew")
