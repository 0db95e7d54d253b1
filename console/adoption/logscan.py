"""From a sample of a log to the regular expressions that read its metrics: `scan(lines)`. Pure.

Knows `loss 0.41`, `loss: 0.41`, `loss=0.41`, JSON and Python dicts, `train loss 1.9, val loss 2.0`, `step 10/100`, progress
bars, percentages, scientific notation, nan and inf, `tensor(0.41)` and `np.float64(0.41)`.

Guarantees: every pattern was tried, with the code that a host uses, on the lines that it came from, and gave the numbers
that stand there. Does not guarantee: to know what a number means. A person reads the proposal before it counts.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from engine.supervisor.logmetrics import match

_NUMBER = r"[-+]?(?:[\d,]*\.?\d+(?:[eE][-+]?\d+)?|(?i:nan|inf(?:inity)?)\b)"
_VALUE = rf"(?P<value>{_NUMBER})"
_BEFORE = r"(?<![\w./@-])"  # the name begins here: `loss` is not found inside `val_loss`
_QUALIFIERS = "train|training|val|valid|validation|eval|test|dev|avg|average|mean|best|final"
_UNITS = r"(?:%|[kKMGT]?i?B|[numµ]?s|secs?|min|[kKMGhx]|(?:it|tok|tokens|samples|ex|steps)/s)"

_MENTION = re.compile(
    rf"{_BEFORE}(?P<key>(?:(?i:{_QUALIFIERS})\ )?[A-Za-z_][\w./@-]*)(?P<quote>[\"']?)(?P<gap>\s*[:=]\s*|\s+)"
    rf"(?P<open>[\"']|[A-Za-z_][\w.]*\()?{_VALUE}(?P<of>/\d+)?(?P<unit>{_UNITS})?(?![\w%])(?![.:-]\d)"
    rf"(?:\ \((?P<percent>{_NUMBER})%\))?"
)

_STEPS = ("step", "global_step", "_step", "iter", "iteration", "it", "update", "batch")
_EPOCHS = ("epoch", "ep")
# Steps that have no name: a progress bar's `45/100 [`, and the `[10]` that boosting libraries begin a line with.
_NAMELESS = (rf"\|\s*{_VALUE.replace(_NUMBER, '[0-9]+')}/\d+ \[", r"^\s*\[(?P<value>\d+)\]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_METRIC_WORDS = _words(
    "loss logloss nll bce ce mse mae rmse acc accuracy top1 top5 f1 auc auroc precision recall ppl perplexity error err "
    "wer cer bleu rouge iou miou map dice psnr ssim fid reward return score r2 kl entropy energy bpb bpc bpd"
)
_NEVER = _words(
    "gpu cuda rank local_rank seed port pid line version localhost device v_num node world_size in of at to for by with "
    "than from is was took after about over under and or python torch attempt no num number "
    "train training val valid validation eval test dev"
)
_MOST = 24  # more charts than that, nobody looks at


@dataclass(frozen=True)
class Metric:
    """A name, the pattern that reads it, and what it read in the sample."""

    name: str
    pattern: str
    seen: int
    first: float
    last: float
    example: str


@dataclass(frozen=True)
class Scan:
    """What was found in a sample of a log."""

    metrics: list[Metric] = field(default_factory=list)
    step: Metric | None = None

    @property
    def patterns(self) -> list[Metric]:
        """The step first, as they are written down."""
        return ([self.step] if self.step else []) + self.metrics


@dataclass
class _Found:
    """Everything seen under one name."""

    keys: list[str] = field(default_factory=list)
    quotes: set[str] = field(default_factory=set)
    opens: set[str] = field(default_factory=set)
    spaced: bool = False
    """Somewhere only a space stands between name and number."""
    percent: bool = False
    """The number is the percentage behind a count, as in `Accuracy: 98/100 (98%)`."""
    values: dict[int, float] = field(default_factory=dict)
    """Line by line, the first number under this name."""


def split_lines(text: str) -> list[str]:
    """Lines as a host splits them: a carriage return, as of a progress bar, ends one too."""
    return [line for line in re.split(r"[\r\n]", text) if line.strip()]


def scan(lines: Sequence[str]) -> Scan:
    """The metrics of these lines and the step that they are plotted over."""
    found = _collect(lines)
    bases = _qualified(found)
    metrics = [_metric(name, f, lines, bases.get(name, [])) for name, f in _worthy(found)]
    sound = [m for m in metrics if m is not None][:_MOST]
    return Scan(sound, _choose_step(found, lines, sound))


def _collect(lines: Sequence[str]) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for at, line in enumerate(lines):
        for mention in _MENTION.finditer(line):
            _take(found.setdefault(_name_of(mention["key"]), _Found()), mention, at)
    return {name: f for name, f in found.items() if f.values and name}


def _take(found: _Found, mention: re.Match[str], at: int) -> None:
    counted = mention["of"] is not None and _name_of(mention["key"]) not in _STEPS + _EPOCHS
    if counted and mention["percent"] is None:  # `samples: 10/100` says how far, not how good
        return
    prose = (mention["open"] or "").endswith("(") and not mention["gap"].strip()  # `loss fn(0.1)`
    if at in found.values or prose:
        return
    if mention["key"] not in found.keys:
        found.keys.append(mention["key"])
    found.quotes.add(mention["quote"])
    found.opens.add(mention["open"] or "")
    found.spaced = found.spaced or not mention["gap"].strip()
    found.percent = found.percent or counted
    found.values[at] = float(mention["percent" if counted else "value"].replace(",", ""))


def _name_of(key: str) -> str:
    """`Train Loss` is `train/loss`: a name that a gate's sentence can hold."""
    return key.lower().strip("./@-").replace(" ", "/")


def _qualified(found: dict[str, _Found]) -> dict[str, list[str]]:
    """Which words stand before a name with a space in this log: `loss` must then not be read out of `val loss`."""
    words: dict[str, list[str]] = {}
    for f in found.values():
        for key in f.keys:
            qualifier, space, base = key.rpartition(" ")
            if space and qualifier not in words.setdefault(_name_of(base), []):
                words[_name_of(base)].append(qualifier)
    return words


def _worthy(found: dict[str, _Found]) -> list[tuple[str, _Found]]:
    """What looks like a metric: known words first, then what changes from line to line."""
    known = {name: f for name, f in found.items() if _is_known(name)}
    beside = {at for f in known.values() for at in f.values}
    others = {
        name: f
        for name, f in found.items()
        if name not in known and name.rsplit("/", 1)[-1] not in (*_NEVER, *_STEPS, *_EPOCHS) and _moves(f, beside)
    }
    return [*known.items(), *others.items()]


def _is_known(name: str) -> bool:
    last = re.split(r"[_/.-]", name)[-1]
    return re.sub(r"@?\d*$", "", last) in _METRIC_WORDS or last in _METRIC_WORDS


def _moves(found: _Found, beside: set[int]) -> bool:
    """Does it change, often enough, or stand beside a known metric? A printed config does neither."""
    distinct = len({_same_nan(v) for v in found.values.values()})
    if beside.intersection(found.values):
        return distinct > 1 or len(found.values) < 3
    return distinct > 1 and len(found.values) >= (3 if found.spaced else 2)


def _same_nan(value: float) -> float | str:
    return "nan" if math.isnan(value) else value


def _metric(name: str, found: _Found, lines: Sequence[str], qualifiers: Iterable[str]) -> Metric | None:
    """The metric with its pattern, or None where the pattern does not read back what stands there."""
    before = _BEFORE + "".join(f"(?<!{q} )" for q in qualifiers)
    count = r"\d+/\d+ \(" if found.percent else ""
    pattern = f"{before}{_any_of(found.keys)}{_quote(found.quotes)}[\\s:=]+{_open(found.opens)}{count}{_VALUE}"
    return _proved(name, pattern, found.values, lines)


def _any_of(keys: Sequence[str]) -> str:
    plain = [re.escape(k).replace(r"\ ", " ").replace(r"\-", "-") for k in keys]
    return plain[0] if len(plain) == 1 else f"(?:{'|'.join(plain)})"


def _quote(seen: set[str]) -> str:
    marks = "".join(sorted(seen - {""}))
    mark = f"[{marks}]" if len(marks) > 1 else marks
    return f"{mark}?" if mark and "" in seen else mark


def _open(seen: set[str]) -> str:
    """What may stand between name and number: a quote, or a call such as `tensor(`."""
    quote = _quote({o for o in seen if not o.endswith("(")})
    call = r"(?:[\w.]+\()?" if any(o.endswith("(") for o in seen) else ""
    return quote + call


def _proved(name: str, pattern: str, values: dict[int, float], lines: Sequence[str]) -> Metric | None:
    compiled = [(re.compile(pattern), "value")]
    for at, value in values.items():
        read = match(compiled, lines[at], None)[0].get("value")
        if read is None or _same_nan(read) != _same_nan(value):
            return None
    order = sorted(values)
    example = lines[order[-1]].strip()
    return Metric(name, pattern, len(values), values[order[0]], values[order[-1]], example)


def _choose_step(found: dict[str, _Found], lines: Sequence[str], metrics: Sequence[Metric]) -> Metric | None:
    """The first candidate that never goes back and does not stand still under the metrics."""
    if not metrics:
        return None
    most = _read(max(metrics, key=lambda m: m.seen).pattern, lines)
    for candidate in _step_candidates(found, lines):
        if _is_axis(_read(candidate.pattern, lines), list(most)):
            return candidate
    return None


def _step_candidates(found: dict[str, _Found], lines: Sequence[str]) -> list[Metric]:
    named = [n for n in found if n.rsplit("/", 1)[-1] in _STEPS]
    together = [_step(found, named, lines)] if len(named) > 1 else []
    single = [_step(found, [n], lines) for n in sorted(named, key=lambda n: -len(found[n].values))]
    nameless = [_nameless(pattern, lines) for pattern in _NAMELESS]
    epochs = [_step(found, [n], lines) for n in found if n.rsplit("/", 1)[-1] in _EPOCHS]
    return [m for m in (*together, *single, *nameless, *epochs) if m is not None]


def _step(found: dict[str, _Found], names: Sequence[str], lines: Sequence[str]) -> Metric | None:
    """One pattern over several names: nanoGPT says `step 500` and `iter 510`."""
    parts = [found[n] for n in names]
    merged = _Found(
        keys=list(dict.fromkeys(k for f in parts for k in f.keys)),
        quotes={q for f in parts for q in f.quotes},
        opens={o for f in parts for o in f.opens},
    )
    for f in parts:
        merged.values.update({at: v for at, v in f.values.items() if at not in merged.values})
    return _metric("step", merged, lines, ())


def _nameless(pattern: str, lines: Sequence[str]) -> Metric | None:
    values = _read(pattern, lines)
    return _proved("step", pattern, values, lines) if values else None


def _read(pattern: str, lines: Sequence[str]) -> dict[int, float]:
    compiled = [(re.compile(pattern), "value")]
    read = ((at, match(compiled, line, None)[0]) for at, line in enumerate(lines))
    return {at: values["value"] for at, values in read if "value" in values}


def _is_axis(steps: dict[int, float], metric_lines: Sequence[int]) -> bool:
    """Never back, and at least every other point of the metric has a step of its own."""
    lines = sorted(steps)
    if any(steps[later] < steps[earlier] for earlier, later in pairwise(lines)):
        return False
    under = [bisect_right(lines, line) for line in metric_lines]
    places = {steps[lines[n - 1]] if n else None for n in under}
    return len(places) * 2 >= len(under)
