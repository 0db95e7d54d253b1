"""The edge of every step of this phase: what is the user's to mend becomes one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable

from engine.config.errors import ConfigError
from engine.data.gsm8k import BadAnnotation
from engine.ouroboros.errors import OuroborosError


def run(main: Callable[[list[str]], int], argv: list[str]) -> int:
    try:
        return main(argv)
    except (OuroborosError, ConfigError, BadAnnotation) as error:
        print(error, file=sys.stderr)
        return 2
