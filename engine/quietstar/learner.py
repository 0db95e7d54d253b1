"""One episode of learning by reward: sample, read packed, reward, step. The thinker, its frozen reference, its optimizer.

    learner = Learner(thinker, reference, optimizer, cfg, kl_weight, generator, seed)
    seen = learner.episode(batch, thought_tokens=4)          # LossIsNone, with the batch, where the loss is none

Guarantees: the reference is the baked model and never moves; the loss holds the log-probabilities of the thoughts' own tokens;
a step whose loss is no number is not taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.config.quietstar_rl import Rl
from engine.quietstar import reward
from engine.quietstar.coherence import coherence
from engine.quietstar.thinker import Talk, TalkOf, Thinker, truth


class LossIsNone(Exception):
    """The loss is no number; the step was not taken. The batch that made it so is here."""

    def __init__(self, value: float, batch: dict[str, Tensor]) -> None:
        super().__init__(f"the loss is {value}")
        self.value, self.batch = value, batch


@dataclass(frozen=True)
class Batch:
    """Some texts and the places in them where to think."""

    ids_BL: Tensor
    at_BJ: Tensor


class Learner:
    def __init__(
        self,
        thinker: Thinker,
        reference: TalkOf,
        optimizer: torch.optim.Optimizer,
        cfg: Rl,
        kl_weight: float,
        generator: torch.Generator,
        seed: int,
    ) -> None:
        self.thinker, self.reference, self.optimizer = thinker, reference, optimizer
        self.cfg, self.kl_weight, self.generator, self.seed = cfg, kl_weight, generator, seed
        self.policy_weight, self.rate_share, self.done = cfg.policy_weight, 1.0, 0
        self.base_rates = [group["lr"] for group in optimizer.param_groups]

    def episode(self, batch: Batch, thought_tokens: int, look: bool = True) -> dict[str, float]:
        """One step; what was seen in it. `look`: coherence too, which costs a forward of the reference."""
        cfg = self.cfg
        self.generator.manual_seed(self.seed * 1_000_003 + self.done)  # of the episode alone: going on draws the same
        at_BN = batch.at_BJ.repeat_interleave(cfg.thoughts, dim=1)
        thoughts = self.thinker.think(batch.ids_BL, at_BN, thought_tokens, cfg.temperature, self.generator)
        true = truth(batch.ids_BL, at_BN, cfg.ahead)
        baked = self.reference(batch.ids_BL, at_BN, thoughts, cfg.ahead)
        talk = self.thinker.talk(batch.ids_BL, at_BN, thoughts, cfg.ahead)
        loss = reward.loss_of(
            talk.thought_logits_BNTV,
            thoughts,
            talk.logits_BNAV,
            true,
            baked.thought_logits_BNTV.float().log_softmax(dim=-1),
            cfg.thoughts,
            reward.Weights(self.policy_weight, self.kl_weight, self._entropy_weight()),
        )
        if not torch.isfinite(loss.total):
            raise LossIsNone(float(loss.total.detach()), {"ids": batch.ids_BL, "at": batch.at_BJ, "thoughts": thoughts})
        self._step(loss.total)
        seen = self._seen(loss, talk, thoughts, true)
        if look:
            found = coherence(self.reference, batch.ids_BL, at_BN, thoughts, cfg.ahead, baked)
            seen |= {f"coherence_{name}": value for name, value in found.means().items()}
        return seen

    def _entropy_weight(self) -> float:
        return max(self.cfg.entropy_floor, self.cfg.entropy_weight * self.cfg.entropy_decay**self.done)

    def _step(self, total: Tensor) -> None:
        total.backward()
        learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(learning, self.cfg.clip)
        share = rate_share(self.done, self.cfg.episodes, self.cfg.warmup) * self.rate_share
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * share
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1

    def _seen(self, loss: reward.Loss, talk: Talk, thoughts: Tensor, true: Tensor) -> dict[str, float]:
        said, plain = (x[:, :, 0].argmax(dim=-1) for x in (talk.logits_BNAV, talk.plain_logits_BNAV))
        return {
            "reward": float(loss.reward_BN.mean()),
            "thought_length": float(tokens_before_end(thoughts, self.thinker.end_id).float().mean()),
            "thought_diversity": reward.diversity(thoughts, self.cfg.thoughts),
            "kl_divergence": float(loss.kl.detach()),
            "policy_loss": float(loss.policy.detach()),
            "prediction_loss": float(loss.prediction.detach()),
            "entropy": float(loss.entropy.detach()),
            "plain_share": float(talk.plain_share_BNA.detach().mean()),
            "next_token_accuracy": float((said == true[:, :, 0]).float().mean()),
            "next_token_accuracy_without_thought": float((plain == true[:, :, 0]).float().mean()),
            "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
        }


def tokens_before_end(thoughts_BNT: Tensor, end_id: int) -> Tensor:
    """How long each thought really is: its tokens before it says that it ends, (B, N)."""
    return ((thoughts_BNT == end_id).int().cumsum(dim=-1) == 0).sum(dim=-1)


def rate_share(done: int, episodes: int, warmup: int) -> float:
    """Of the rate: a line up, then half a cosine down to a tenth."""
    rising = min(1.0, (done + 1) / max(1, warmup))
    falling = 0.55 + 0.45 * float(torch.cos(torch.tensor(torch.pi * min(1.0, done / episodes))))
    return rising * falling
