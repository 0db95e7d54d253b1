"""A phase file for a command of one's own repository: what `fractal-console init` writes. Decides; touches no file.

The file that comes out loads with `engine.config.phase.load_phase`; it is meant to be read and changed by a person.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from console.adoption.logscan import Metric, Scan
from console.errors import UserError
from console.words import number
from engine.config.errors import nearest
from engine.protocol.checks import CheckError, compile_check, steps_of

_RUNNERS = re.compile(
    r"(\S*/)?(python[\d.]*|torchrun|accelerate|deepspeed|uv|poetry|bash|sh|env|nice|time|nohup|srun)\Z"
)
_RUNNER_WORDS = ("run", "launch")
# What a result of a program depends on, by what its source looks like. Data and outputs lie in the same folder and must not
# count: a file that the command itself writes would make its own gate stale.
_SOURCES = ("py", "sh", "ipynb", "R", "jl", "c", "cc", "cpp", "cu", "h", "hpp", "rs", "go", "js", "ts", "lua", "m")
_FIXED = ("requirements.txt", "pyproject.toml", "uv.lock", "poetry.lock", "environment.yml")


@dataclass(frozen=True)
class Adoption:
    """What the phase file is made of."""

    name: str
    step: str
    command: str
    scan: Scan = field(default_factory=Scan)
    log: str | None = None
    """Which log the metrics were found in."""
    checks: Sequence[str] = ()
    outputs: Sequence[str] = ()
    code: Sequence[str] = ()


def step_name(command: str) -> str:
    """`train` of `python src/train.py --lr 1`, of `python -m pkg.train` and of `./train`."""
    words = _program_words(command)
    if not words:
        return "run"
    word = words[0]
    stem = word.rsplit(".", 1)[-1] if _is_module(command, word) else PurePath(word).stem
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")
    return safe.lower() or "run"


def _is_module(command: str, word: str) -> bool:
    return re.search(rf"-m\s+{re.escape(word)}(\s|\Z)", command) is not None


def _program_words(command: str) -> list[str]:
    """The words of the command from the program on: what runs it, its options and assignments are passed over."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"the command `{command}` can't be read: {error}") from None
    script = next((at for at, w in enumerate(words) if re.search(r"\.(py|sh|R|jl|js)\Z", w)), None)
    if script is not None:
        return words[script:]
    rest = [w for w in words if not re.match(r"[A-Za-z_]\w*=", w)]
    while rest and (_RUNNERS.match(rest[0]) or rest[0] in _RUNNER_WORDS or rest[0].startswith("-")):
        rest = rest[1:]
    return rest


def phase_id(name: str) -> str:
    """The name as an id, or why it can't be one."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name.strip()).strip("-._").lower()
    if not safe:
        raise UserError(f"{name!r} can't name a phase: use letters, digits, '-' and '_'")
    return safe


def code_globs(command: str, files: Iterable[str]) -> list[str]:
    """Which files the results depend on: the source of the kinds that are there, and what the command names."""
    there = set(files)
    kinds = {PurePath(f).suffix[1:] for f in there}
    globs = [f"*.{kind}" for kind in _SOURCES if kind in kinds]
    named = [w.removeprefix("./") for w in _words(command) if w.removeprefix("./") in there]
    fixed = [f for f in _FIXED if f in there]
    return globs + sorted({f for f in (*named, *fixed) if PurePath(f).suffix[1:] not in _SOURCES})


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def checked(checks: Sequence[str], step: str, scan: Scan) -> list[str]:
    """Warnings about checks that would never pass; an unreadable one is an error."""
    warnings = []
    for text in checks:
        try:
            check = compile_check(text, step)
        except CheckError as error:
            raise UserError(str(error)) from None
        for other in steps_of(check):
            if other != step:
                raise UserError(f"`{text}` asks step {other!r}; the only step here is {step!r}")
        warnings += _unknown_metric(text, check, scan)
    return warnings


def _unknown_metric(text: str, check: dict[str, object], scan: Scan) -> list[str]:
    name = str(check.get("name", ""))
    known = [m.name for m in scan.metrics]
    if check["kind"] != "compare" or check["what"] == "fact" or "*" in name or not known or name in known:
        return []
    return [f"`{text}`: no metric {name!r} was found in the sample{nearest(name, known)}"]


def suggestion(metric: Metric) -> str:
    """A check that this metric could be held to, from what the sample reached."""
    if not math.isfinite(metric.last):
        return f"metric {metric.name} < 1"
    falls = metric.last < metric.first or re.search(r"loss|err|ppl|perplex|nll|mse|mae|wer|cer|time", metric.name)
    return f"metric {metric.name} {'<' if falls else '>'} {number(metric.last)}"


def phase_text(a: Adoption, today: str) -> str:
    """The phase file."""
    lines = [
        f"# Made by `fractal-console init` on {today}. Everything here may be changed.",
        f"# Start it:  fractal-console run {a.name}          Its gate:  fractal-console gates {a.name}",
        f"phase: {_scalar(a.name)}",
        f"title: {_scalar(_title(a.command))}",
        "goal: |",
        "  Say here what this phase is to show. The gate below says when it has shown it.",
        "runs_in: project    # in this very folder; `snapshot` runs a copy that later edits can't reach",
        *_code_lines(a.code),
        "",
        "steps:",
        f"  - step: {_scalar(a.step)}",
        "    # {seed}, {preset} and each key of a preset stand for their values, such as: --lr {lr}",
        f"    run: {_scalar(a.command)}",
        *_output_lines(a.outputs),
        *_metric_lines(a),
        "",
        "gates:",
        "  - gate: result",
        f"    after: {_scalar(a.step)}",
        "    checks:",
        *[f"      - {_scalar(c)}" for c in _all_checks(a)],
        *_ideas(a),
    ]
    return "\n".join(lines) + "\n"


def _title(command: str) -> str:
    return command if len(command) <= 70 else command[:69] + "…"


def _all_checks(a: Adoption) -> list[str]:
    return list(dict.fromkeys([f"step {a.step} succeeded", *(" ".join(c.split()) for c in a.checks)]))


def _code_lines(code: Sequence[str]) -> list[str]:
    if not code:
        return []
    return [
        "# What a result depends on: when one of these changes, the gate becomes stale.",
        f"code: [{', '.join(_scalar(c) for c in code)}]",
    ]


def _output_lines(outputs: Sequence[str]) -> list[str]:
    if not outputs:
        return ["    # outputs: [model.pt]    files that it must make; they are hashed, and a gate can ask for them"]
    return [f"    outputs: [{', '.join(_scalar(o) for o in outputs)}]"]


def _metric_lines(a: Adoption) -> list[str]:
    """The patterns, each with what it read in the sample."""
    if not a.scan.patterns:
        return [
            "    # log_metrics:          # numbers to read off the log",
            "    #   - {name: loss, pattern: 'loss[ :=]+(?P<value>[-+.\\deE]+)'}",
        ]
    lines = [f"    # Read off the log, and tried on {a.log}. The pattern called `step` gives the others their place."]
    lines.append("    log_metrics:")
    for m in a.scan.patterns:
        times = f"{m.seen} time{'s' if m.seen != 1 else ''}: {number(m.first)} … {number(m.last)}"
        lines.append(f"      - name: {_scalar(m.name)}    # {times}")
        lines.append(f"        pattern: {_scalar(m.pattern)}")
    return lines


def _ideas(a: Adoption) -> list[str]:
    """Checks to take over by removing the `#`, where none was given."""
    if a.checks:
        return []
    ideas = [suggestion(m) for m in a.scan.metrics[:2]] or [f"artifact model.pt of {a.step} exists"]
    ideas.append("manual: the samples read well")
    return ["      # more, such as:", *[f"      # - {_scalar(idea)}" for idea in ideas]]


_PLAIN = re.compile(r"[A-Za-z][\w./ >=<-]*\Z")
_WORDS_OF_YAML = ("true", "false", "null", "yes", "no", "on", "off")


def _scalar(text: str) -> str:
    """The text as YAML reads it back: bare where that is safe, else in single quotes."""
    if _PLAIN.match(text) and text.lower() not in _WORDS_OF_YAML and text == text.strip():
        return text
    if any(ord(c) < 32 for c in text):
        raise UserError(f"{text!r} holds a line break or control character; put it in a script and run that")
    return "'" + text.replace("'", "''") + "'"
