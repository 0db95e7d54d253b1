"""Where learning by reward stands, as one file: going on from it ends with the bits of a run that was never stopped (CPU).

Guarantees: a file is whole or absent; a checkpoint of other settings, another seed or another baked model is refused, naming
every setting that differs. Batches and draws follow from the seed and the episode's number, so no random state is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.quietstar import QuietstarConfig
from engine.quietstar import marks
from engine.quietstar.learner import Learner
from engine.quietstar.rl_setup import Setup

# what may differ between the two parts of a run, since no result depends on it
_FREE = ("rl.log_every", "rl.checkpoint_every", "rl.threads")


def here(cfg: QuietstarConfig, baked_sha: str) -> dict[str, Any]:
    """What must be the same, by name."""
    found = {"seed": cfg.seed, "baked model": baked_sha}
    for part in ("rl", "antitheater"):
        found |= marks.flat(getattr(cfg, part).model_dump(mode="json"), part)
    return {name: value for name, value in found.items() if name not in _FREE}


def save(path: Path, setup: Setup, cfg: QuietstarConfig, rewards: list[float]) -> None:
    state = {
        "learner": _state(setup.learner),
        "rollback": setup.rollback.state(),
        "rewards": rewards,
    }
    marks.save(path, here(cfg, setup.baked_sha), state)


def _state(learner: Learner) -> dict[str, Any]:
    return {
        "thinker": learner.thinker.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "policy_weight": learner.policy_weight,
        "rate_share": learner.rate_share,
        "done": learner.done,
    }


def resume(path: Path, setup: Setup, cfg: QuietstarConfig) -> list[float] | None:
    """Go on where the file stands, and say so; the rewards so far. None where there is no file."""
    state = marks.read(path, here(cfg, setup.baked_sha))
    if state is None:
        return None
    learner, saved = setup.learner, state["learner"]
    learner.thinker.load_state_dict(saved["thinker"])
    learner.optimizer.load_state_dict(saved["optimizer"])
    for name in ("policy_weight", "rate_share", "done"):
        setattr(learner, name, saved[name])
    setup.rollback.load(state["rollback"])
    print(f"goes on from episode {learner.done} ({path.name})", flush=True)
    rewards: list[float] = state["rewards"]
    return rewards
