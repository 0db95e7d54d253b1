"""What a step of this phase can't mend itself. Each ends as one line and exit code 2 (`edge`).

QuietstarError
├── ThoughtError      a thought that can't be had from this model on this text
├── ModelFileError    a model file is missing, broken, or of another kind than the step needs
├── ExamplesError     reasoning examples are missing, broken, or leave a strategy out
├── PromptError       a prompt or a text that the model has no room for, or no tokens to say
├── ResumeError       a checkpoint is of other settings, or broken
└── NotANumber        the loss is none; the batch that made it so was saved
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from engine.config.errors import ConfigError


class QuietstarError(Exception):
    """The message says what happened to which thing, and what to do."""


class ThoughtError(QuietstarError):
    pass


class ModelFileError(QuietstarError):
    pass


class ExamplesError(QuietstarError):
    pass


class PromptError(QuietstarError):
    pass


class ResumeError(QuietstarError):
    pass


class NotANumber(QuietstarError):
    pass


def edge(main: Callable[[list[str]], int], argv: list[str]) -> int:
    """The edge of every step: bugs fly, what a person can mend is one line."""
    try:
        return main(argv)
    except (QuietstarError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
