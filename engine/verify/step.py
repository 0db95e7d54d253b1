"""What the programs of both phases begin with: which half of the data, which config, which folder; and how they fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.config.errors import ConfigError
from engine.config.load import load_config, work_dir
from engine.config.verify import VerifyConfig
from engine.verify.problems import files, source
from engine.verify.problems.problem import BadData, Problem
from engine.verify.sandbox.verdict import SandboxBroken

DEFAULT_PHASE = "phase14-best-of-n"


class StepFailed(Exception):
    """A step that can't go on. One line: what happened to which thing, what to do."""


@dataclass(frozen=True)
class Step:
    """A program's situation."""

    cfg: VerifyConfig
    work: Path
    part: str
    """`train`, `test`, or empty."""

    @property
    def generations(self) -> Path:
        return self.work / (self.cfg.files.train if self.part == "train" else self.cfg.files.test)

    @property
    def labeled(self) -> Path:
        return self.work / (self.cfg.files.train_labeled if self.part == "train" else self.cfg.files.test_labeled)

    @property
    def greedy(self) -> Path:
        """One most probable answer a test problem."""
        return self.work / self.cfg.files.greedy

    @property
    def greedy_labeled(self) -> Path:
        return self.work / self.cfg.files.greedy_labeled

    @property
    def asks_greedy(self) -> bool:
        """Whether this part has greedy answers: not training, and not without a model."""
        return self.part == "test" and self.cfg.generate.greedy and self.cfg.generate.backend != "offline"

    @property
    def n(self) -> int:
        return self.cfg.generate.n_train if self.part == "train" else self.cfg.generate.n_test

    def problems(self) -> list[Problem]:
        """The problems of this part: from the run's own file where an earlier step kept one."""
        kept = self.work / self.cfg.files.problems
        name = self.cfg.problems.source_of(self.part)
        everything = source.read(kept) if kept.exists() else source.load(name, files.data_folder())
        return chosen(everything, self.cfg, self.part)


def chosen(problems: list[Problem], cfg: VerifyConfig, part: str) -> list[Problem]:
    """Those of a part's set and splits, at most `limit`."""
    splits = cfg.problems.train_splits if part == "train" else cfg.problems.test_splits
    name = cfg.problems.source_of(part)
    found = [p for p in problems if p.split in splits and p.source == name]
    if not found:
        raise StepFailed(f"{name} has no problems in {', '.join(splits)}; change problems.{part}_splits")
    return found[: cfg.problems.limit]


def begin(argv: list[str], parts: tuple[str, ...] = ()) -> Step:
    """From the command line: `[part] [--phase ID] [--preset NAME] [--unsafe] [key=value …]`."""
    words = list(argv)
    part = ""
    if parts:
        if not words or words[0] not in parts:
            raise ConfigError(f"say which part first: {' or '.join(parts)}")
        part = words.pop(0)
    words = ["sandbox.unsafe=true" if word == "--unsafe" else word for word in words]
    phase = DEFAULT_PHASE
    if "--phase" in words:
        at = words.index("--phase")
        if at + 1 >= len(words):
            raise ConfigError("--phase needs an id, such as: --phase phase14-best-of-n")
        phase = words[at + 1]
        del words[at : at + 2]
    cfg = load_config(VerifyConfig, phase=phase, argv=words)
    return Step(cfg, work_dir(phase, cfg), part)


def run(main: Callable[[list[str]], None]) -> None:
    """The outer edge of a program: an error that we know is one line and exit code 2."""
    try:
        main(sys.argv[1:])
    except (ConfigError, StepFailed, BadData, SandboxBroken) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped as asked; what is done is on disk, start again to go on", file=sys.stderr)
        sys.exit(130)
