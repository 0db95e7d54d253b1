from __future__ import annotations

import pytest
import torch

from engine.config.quietstar_rl import RlOptimizer
from engine.quietstar.body import Body
from tests.engine.quietstar import tiny


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def unsure() -> Body:
    """Knows what a thought is, and what follows from a right one; fewer than half of its thoughts are right."""
    torch.set_num_threads(1)
    return tiny.taught(right_thoughts=0.4, steps=260)


@pytest.fixture(scope="session")
def honest(unsure: Body) -> Body:
    """The same after it learned by reward: thinks rightly, and answers by its thoughts."""
    cfg = tiny.RL.model_copy(update={"episodes": 30, "batch": 48, "thoughts": 6})
    learner, _ = tiny.learner(unsure, cfg.model_copy(update={"optimizer": RlOptimizer(muon_lr=1e-3)}))
    texts = tiny.texts(cfg)
    for episode in range(cfg.episodes):
        learner.episode(texts.batch(episode), 4)
    made = Body(unsure.size)
    made.load_state_dict(learner.thinker.body.state_dict())
    return made
