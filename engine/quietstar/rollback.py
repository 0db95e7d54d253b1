"""A model whose thoughts became theatre goes back to where it last was honest, learns slower, and ends after three times.

    rollback = Rollback(learner, limit=3)                # what it is now is what a failure goes back to
    rollback.judge(passed)                               # kept, or put back: weights, optimizer, averages

Guarantees: what is kept is a copy, so that learning on does not change it; what is put back is put back to the bit, the
optimizer's momentum and slow average with it; after each failure the weight of the reward and the rate are half of what they
were.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

from torch import Tensor

from engine.quietstar.learner import Learner

Outcome = Literal["passed", "rolled back", "theater"]


class Rollback:
    def __init__(self, learner: Learner, limit: int) -> None:
        self.learner, self.limit, self.count = learner, limit, 0
        self.kept_at = learner.done
        self._weights, self._optimizer = self._copied()

    def _copied(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        weights = {name: value.detach().clone() for name, value in self.learner.thinker.state_dict().items()}
        return weights, copy.deepcopy(self.learner.optimizer.state_dict())

    def judge(self, passed: bool) -> Outcome:
        if passed:
            self._weights, self._optimizer = self._copied()
            self.kept_at = self.learner.done
            return "passed"
        self.count += 1
        self._put_back()
        self.learner.policy_weight /= 2
        self.learner.rate_share /= 2
        return "theater" if self.count >= self.limit else "rolled back"

    def _put_back(self) -> None:
        self.learner.thinker.load_state_dict(self._weights)
        self.learner.optimizer.load_state_dict(copy.deepcopy(self._optimizer))

    def state(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "kept_at": self.kept_at,
            "weights": self._weights,
            "optimizer": self._optimizer,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.count, self.kept_at = state["count"], state["kept_at"]
        self._weights, self._optimizer = state["weights"], state["optimizer"]
