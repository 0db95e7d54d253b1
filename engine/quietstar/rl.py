"""Step 2: thoughts are learned by reward, tested for theatre, and put back where they became it.

    python -m engine.quietstar.rl --preset smoke
    python -m engine.quietstar.rl --preset cpu

Needs what `champion` and `bake` left. Leaves phase3_reasoning_enhanced_model.pt and rl.json; rl-checkpoint.pt while unfinished.
Guarantees: an interrupted run goes on from its checkpoint and ends with the same bits (CPU, one thread); SIGUSR2 writes one,
SIGINT and SIGTERM write one and end with 130; a loss that is no number ends the run with its batch saved. A run that ends as
`theater` leaves its model under another name, tells no registry of it, and ends with 1.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.quietstar import QuietstarConfig
from engine.quietstar import distil, model_file, names, rl_checkpoint, rl_report, rl_setup, theater
from engine.quietstar.errors import NotANumber, edge
from engine.quietstar.learner import LossIsNone
from engine.quietstar.logger import WandBLogger
from engine.quietstar.rl_setup import Setup, thought_tokens
from engine.training.asked import Asked


@dataclass
class Session:
    """One run of this step: what it was built from and what it has seen."""

    cfg: QuietstarConfig
    work: Path
    setup: Setup
    asked: Asked
    logger: WandBLogger
    rewards: list[float] = field(default_factory=list)
    begun: float = field(default_factory=time.process_time)

    def learn(self) -> str:
        """Every episode that is left; how it ended: `succeeded`, `theater` or `stopped`."""
        rl, learner = self.cfg.rl, self.setup.learner
        while learner.done < rl.episodes:
            self._episode()
            done = learner.done
            if done % rl.eval_every == 0 or done == rl.episodes:
                self._evaluate()
            if done % self.cfg.antitheater.every == 0 and self._became_theater():
                return "theater"
            if self.asked.stop or self.asked.checkpoint or (rl.checkpoint_every and done % rl.checkpoint_every == 0):
                self.checkpoint()
                self.asked.checkpoint = False
            if self.asked.stop and done < rl.episodes:
                return "stopped"
        return "succeeded"

    def _episode(self) -> None:
        rl, learner = self.cfg.rl, self.setup.learner
        number = learner.done
        logged = (number + 1) % rl.log_every == 0 or number + 1 == rl.episodes
        try:
            seen = learner.episode(self.setup.texts.batch(number), thought_tokens(rl, number), look=logged)
        except LossIsNone as error:
            path = self.work / names.BAD_BATCH
            model_file.write(path, error.batch | {"episode": number})
            raise NotANumber(
                f"the loss of episode {number} is {error.value}; its batch is in {path}, the weights are those before it."
                " Lower rl.optimizer.muon_lr, or look at the batch"
            ) from None
        self.rewards.append(seen["reward"])
        if logged:
            recent = self.rewards[-rl.window :]
            seen |= {"episode": learner.done, "avg_reward": sum(recent) / len(recent)}
            seen |= {"thought_weight": 1 - seen["plain_share"], "rollback": self.setup.rollback.count}
            self.logger.log({f"rl/{name}": value for name, value in seen.items()}, learner.done)
            runlog.progress(learner.done, rl.episodes, "episodes")

    def _evaluate(self) -> None:
        seen = rl_report.evaluation(self.setup, self.cfg)
        done = self.setup.learner.done
        self.logger.log({f"rl/{name}": value for name, value in seen.items()}, done)
        told = "  ".join(f"{name} {value:.3f}" for name, value in seen.items())
        print(f"episode {done:5}  {told}  {time.process_time() - self.begun:.0f} CPU-s", flush=True)

    def _became_theater(self) -> bool:
        """Test, keep or put back; true where it was put back once too often."""
        cfg, setup = self.cfg, self.setup
        trial = setup.trial(cfg.antitheater.items, cfg.rl)
        finding = theater.examine(setup.thinker, setup.baked.talk, trial, cfg.antitheater, cfg.seed)
        outcome = setup.rollback.judge(finding.passed)
        done = setup.learner.done
        values = {f"rl/anti_theater_{verdict.name}": verdict.estimate.value for verdict in finding.tests}
        self.logger.log(values | {"rl/rollback": setup.rollback.count}, done)
        told = ", ".join(f"{v.name} {v.estimate}{'' if v.passed else ' FAILED'}" for v in finding.tests)
        print(f"episode {done:5}  theatre? {outcome}: {told}", flush=True)
        if outcome != "passed":
            kept, learner = setup.rollback.kept_at, setup.learner
            said = (
                f"episode {done}: {', '.join(finding.failed)} failed; weights, optimizer and averages are those of episode"
                f" {kept} again, beta is {learner.policy_weight:g} and the rate {learner.rate_share:g} of the configured"
            )
            runlog.note(said)
            print(said, flush=True)
        return outcome == "theater"

    def checkpoint(self) -> None:
        path = self.work / names.CHECKPOINT
        rl_checkpoint.save(path, self.setup, self.cfg, self.rewards)
        runlog.checkpoint(path, self.setup.learner.done)

    def distil(self) -> None:
        """The last stage: what thinking taught goes into the answers at once."""
        rl, setup = self.cfg.rl, self.setup
        length = thought_tokens(rl, rl.episodes)
        batch_of = lambda step: setup.texts.batch(rl.episodes + step)  # noqa: E731
        seen = distil.distil(setup.thinker, batch_of, setup.learner.optimizer, rl.distil_steps, length, rl.ahead)
        runlog.fact("rl/distil_kl_first", seen[0])
        runlog.fact("rl/distil_kl_last", seen[-1])
        print(f"distilled in {rl.distil_steps} steps: KL {seen[0]:.3f} → {seen[-1]:.3f}", flush=True)


def run(cfg: QuietstarConfig, work: Path) -> int:
    setup = rl_setup.build(cfg, work)
    rewards = rl_checkpoint.resume(work / names.CHECKPOINT, setup, cfg)
    session = Session(cfg, work, setup, Asked(), logger_of(cfg), rewards or [])
    ended = session.learn()
    if ended == "stopped":
        print(f"stopped at episode {setup.learner.done} as asked; {names.CHECKPOINT} holds it", file=sys.stderr)
        return 130
    if ended == "succeeded" and cfg.rl.distil_steps:
        session.distil()
    cpu_s = time.process_time() - session.begun
    code = rl_report.finish(setup, cfg, work, ended, session.rewards, session.logger, cpu_s)
    (work / names.CHECKPOINT).unlink(missing_ok=True)  # it has done its work: a later run begins anew
    session.logger.finish()
    return code


def logger_of(cfg: QuietstarConfig) -> WandBLogger:
    """Inside a run the console's sink carries W&B; by hand the config says whether."""
    told = cfg.model_dump(mode="json")
    return WandBLogger(name="phase3-step2-rl", config=told, tags=["phase3", "step2", "rl"], mode=cfg.wandb.mode)


def main(argv: list[str]) -> int:
    cfg = load_config(QuietstarConfig, phase=names.PHASE, argv=argv)
    if cfg.rl.threads is not None:
        torch.set_num_threads(cfg.rl.threads)
    return run(cfg, work_dir(names.PHASE, cfg))


if __name__ == "__main__":
    sys.exit(edge(main, sys.argv[1:]))
