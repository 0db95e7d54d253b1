"""The verdict on a gate. Pure: checks and evidence in, verdicts with their because out; the same on console and host.

    passed      the evidence meets the check
    failed      it does not, or what the check names was never measured, or the step did not succeed
    waiting     the step has not run, or still runs
    stale       it was met, but by a run of other code or another config than today's
    overridden  it is not met, and a person has said why that is accepted

A missing metric fails; it is never skipped. A tick never outlives the code and config that earned it.
"""

from __future__ import annotations

import fnmatch
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.protocol.checks import Check, steps_of
from engine.protocol.events import number
from engine.protocol.releases import release
from engine.protocol.seeds import first_seeds, mean_interval, run_of_seed, seed_of

if TYPE_CHECKING:
    from engine.protocol.evidence import Evidence

PASSED, FAILED, WAITING, STALE, OVERRIDDEN = "passed", "failed", "waiting", "stale", "overridden"


_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class Ground:
    """What today's code and config are, for one step: evidence from another ground is stale."""

    code: str
    config_hash: str
    family: str = ""


@dataclass(frozen=True)
class Word:
    """A person's tick of a manual check, or override of a failed one."""

    by: str
    reason: str
    when: float
    code: str = ""
    """The code that the person looked at."""


@dataclass(frozen=True)
class Verdict:
    """One check's verdict with its because."""

    check_id: str
    text: str
    state: str
    because: str
    value: Any = None
    threshold: float | None = None
    """What the value was held against, where that is a number; the nearer end of a range."""
    run_id: str | None = None
    tree: str = ""
    config_hash: str = ""
    when: float | None = None
    word: Word | None = None

    def to_json(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if v not in (None, "")}


@dataclass(frozen=True)
class Case:
    """Everything a verdict may lean on."""

    evidence: Mapping[str, Sequence[Evidence]] = field(default_factory=dict)
    """Per step: first the run that stands for it, then others of its family (other seeds)."""
    ground: Mapping[str, Ground] = field(default_factory=dict)
    """Per step; a step that is not in it is never stale (a host that executes a plan has one ground only)."""
    ticks: Mapping[str, Word] = field(default_factory=dict)
    overrides: Mapping[str, Word] = field(default_factory=dict)

    def of_seed(self, seed: int | None) -> Case:
        """The same with one seed's run in front of each step."""
        chosen = {step: run_of_seed(runs, seed) for step, runs in self.evidence.items() if runs}
        return replace(self, evidence={step: [run] for step, run in chosen.items() if run is not None})


@dataclass(frozen=True)
class _Finding:
    state: str
    because: str
    value: Any = None
    run: Evidence | None = None
    threshold: float | None = None


def judge_gate(checks: Sequence[Check], case: Case) -> list[Verdict]:
    """A verdict per check, in order."""
    return [judge(check, case) for check in checks]


def gate_state(verdicts: Sequence[Verdict]) -> str:
    """The gate's own state: it stands open only where every check passed or was overridden."""
    states = {v.state for v in verdicts}
    for state in (FAILED, STALE, WAITING):
        if state in states:
            return state
    return OVERRIDDEN if OVERRIDDEN in states else PASSED


def open_gate(state: str) -> bool:
    return state in (PASSED, OVERRIDDEN)


def judge(check: Check, case: Case) -> Verdict:
    """One check's verdict."""
    finding = _manual(check, case) if check["kind"] == "manual" else _measured(check, case)
    state, because, word = finding.state, finding.because, None
    if state == PASSED and finding.run is not None and (why := _staleness(check, case)):
        state, because = STALE, f"{because}; {why}"
    if check["kind"] == "manual":
        word = case.ticks.get(check["id"])
    if state in (FAILED, STALE) and check["id"] in case.overrides:
        word = case.overrides[check["id"]]
        state, because = OVERRIDDEN, f"{word.by}: {word.reason} (was {state}: {because})"
    run = finding.run
    return Verdict(
        check_id=check["id"],
        text=check["text"],
        state=state,
        because=because,
        value=_plain(finding.value),
        threshold=finding.threshold,
        run_id=run.run_id if run else None,
        tree=run.tree if run else "",
        config_hash=run.config_hash if run else "",
        when=word.when if word else (run.ended if run else None),
        word=word,
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _staleness(check: Check, case: Case) -> str:
    """Why evidence that met the check no longer counts; empty where it does."""
    for step in steps_of(check):
        ground = case.ground.get(step)
        for run in case.evidence.get(step, [])[:1]:
            if ground is None:
                continue
            if ground.code and run.code and run.code != ground.code:
                return f"the code of {step} has changed since that run"
            if run.config_hash != ground.config_hash:
                return f"the config of {step} has changed since that run"
    return ""


def _manual(check: Check, case: Case) -> _Finding:
    tick = case.ticks.get(check["id"])
    if tick is None:
        return _Finding(WAITING, "waits for a person")
    codes = {g.code for g in case.ground.values() if g.code}
    if tick.code and codes and tick.code not in codes:
        return _Finding(STALE, f"ticked by {tick.by} on other code")
    return _Finding(PASSED, f"ticked by {tick.by}" + (f": {tick.reason}" if tick.reason else ""))


def _measured(check: Check, case: Case) -> _Finding:
    """The verdict on a check over evidence."""
    runs = case.evidence.get(check["step"], [])
    if not runs:
        return _Finding(WAITING, f"{check['step']} has not run")
    if "seeds" in check:
        return _some_seeds(check, case, runs)
    if "mean_over" in check:
        return _mean_over_seeds(check, case, runs)
    run = runs[0]
    finding = _JUDGES[check["kind"]](check, run, case)
    if finding.state == FAILED and not run.over:
        return _Finding(WAITING, f"{finding.because}; {run.step} is {run.state}", finding.value, run)
    if run.over and not run.succeeded:
        return _Finding(FAILED, f"{run.step} {run.state}: {run.reason}", finding.value, run)
    return finding


def _step(check: Check, run: Evidence, case: Case) -> _Finding:
    if run.succeeded:
        return _Finding(PASSED, f"run {run.run_id} succeeded", None, run)
    return _Finding(FAILED, f"run {run.run_id} has not succeeded", None, run)


def _compare(check: Check, run: Evidence, case: Case) -> _Finding:
    if check["which"]:
        return _compare_many(check, run, case)
    return _compare_one(check, check["name"], run, case)


def _compare_many(check: Check, run: Evidence, case: Case) -> _Finding:
    """`all` or `any` of the names that match; none matching fails."""
    what = check["what"]
    names = [*(run.metrics if what != "fact" else ()), *(run.facts if what != "metric" else ())]
    matching = sorted(dict.fromkeys(n for n in names if fnmatch.fnmatchcase(n, check["name"])))
    if not matching:
        return _Finding(FAILED, f"nothing matches {check['name']}", None, run)
    findings = {n: _compare_one(check, n, run, case) for n in matching}
    bad = [n for n in matching if findings[n].state != PASSED]
    good = len(matching) - len(bad)
    value = {n: findings[n].value for n in matching}
    if check["which"] == "all" and not run.over:  # more may come
        return _Finding(FAILED, f"{good} of {len(matching)} meet it so far", value, run)
    if check["which"] == "all" and bad:
        return _Finding(FAILED, f"{len(bad)} of {len(matching)} short: {findings[bad[0]].because}", value, run)
    if check["which"] == "any" and not good:
        return _Finding(FAILED, f"none of {len(matching)}: {findings[bad[0]].because}", value, run)
    return _Finding(PASSED, f"{good} of {len(matching)} meet it", value, run)


def _compare_one(check: Check, name: str, run: Evidence, case: Case) -> _Finding:
    if not run.over and not _may_tick_early(check, name, run):
        value = run.value(check["what"], name, check["take"])
        shown = "nothing yet" if value is None else f"{_said(value)} so far"
        return _Finding(FAILED, f"{name} is {shown}, needs {_needs(check)}", value, run)
    value = _value(check, name, run)
    if value is None:
        return _Finding(FAILED, _missing(check, name), None, run)
    if isinstance(value, float) and math.isnan(value):
        return _Finding(FAILED, f"{name} is NaN", value, run)
    return _against(check, name, f"{_label(check)}{name}", value, run, case)


def _may_tick_early(check: Check, name: str, run: Evidence) -> bool:
    """While a run goes on only what can't be undone counts: facts, and an extreme that only moves further."""
    if "than" in check and check["than"]["what"] != "fact":
        return False
    if check["what"] == "fact" or (check["what"] == "any" and name in run.facts and name not in run.metrics):
        return True
    return (check["take"], check["op"][:1]) in (("max", ">"), ("min", "<")) and "than" not in check


def _value(check: Check, name: str, run: Evidence) -> float | str | None:
    if check["bound"]:
        return run.bound(name, check["bound"])
    return run.value(check["what"], name, check["take"])


def _missing(check: Check, name: str) -> str:
    if check["bound"]:
        return f"{name} carries no {check['bound']} bound (log it as a fact with low= and high=)"
    return f"{name} was never measured"


def _label(check: Check) -> str:
    if check.get("bound"):
        return f"{check['bound']} bound of "
    return f"{check['take']} of " if check.get("take", "last") != "last" else ""


def _against(check: Check, name: str, label: str, value: float | str, run: Evidence, case: Case) -> _Finding:
    """Hold a value against the check's number, word or other measurement."""
    if "than" not in check:
        met = _met(check["op"], value, check["value"])
        because = f"{label} is {_said(value)}, needs {_needs(check)}"
        return _Finding(PASSED if met else FAILED, because, value, run, _nearer(value, check["value"]))
    than = check["than"]
    base = _baseline(check, name, run, case)
    if isinstance(base, _Finding):
        return replace(base, value=value)
    threshold = base + than["plus"]
    met = _met(check["op"], value, threshold)
    plus = f" {'+' if than['plus'] > 0 else '-'} {_said(abs(than['plus']))}" if than["plus"] else ""
    because = (
        f"{label} is {_said(value)}, needs {check['op']} {_said(threshold)} ({than['name']} is {_said(base)}{plus})"
    )
    return _Finding(PASSED if met else FAILED, because, value, run, threshold)


def _nearer(value: Any, threshold: Any) -> float | None:
    """The number that a value is held against; the nearer one of a range."""
    if isinstance(threshold, (list, tuple)) and isinstance(value, (int, float)):
        return float(min(threshold, key=lambda end: abs(value - end)))
    return None if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) else threshold


def _baseline(check: Check, name: str, run: Evidence, case: Case) -> float | _Finding:
    """The number to hold against, or why there is none: only a run that succeeded gives one, besides the run itself."""
    than = check["than"]
    others = case.evidence.get(than["step"], [])
    if not others:
        return _Finding(WAITING, f"{than['step']} has not run", None, run)
    other = run if than["step"] == run.step else others[0]
    if other is not run and not other.over:
        return _Finding(
            WAITING, f"its baseline {than['name']} is not final: {than['step']} is {other.state}", None, run
        )
    if other is not run and not other.succeeded:
        said = f"its baseline {than['name']} has no run to stand on: {than['step']} {other.state}: {other.reason}"
        return _Finding(FAILED, said, None, run)
    base = other.value(than["what"], than["name"], than["take"])
    if base is None or isinstance(base, str):
        return _Finding(FAILED, f"its baseline {than['name']} was never measured by {than['step']}", None, run)
    if math.isnan(base):
        return _Finding(FAILED, f"its baseline {than['name']} is NaN", None, run)
    strangers = _other_pool(check, name, run, other)
    return _Finding(FAILED, strangers, None, run) if strangers else base


def _other_pool(check: Check, name: str, run: Evidence, other: Evidence) -> str:
    """A baseline counts only on the same pool: said by both, or the same run where neither says one."""
    than = check["than"]
    if check["kind"] != "compare":
        return ""
    mine, theirs = run.pool(name), other.pool(than["name"])
    if mine != theirs:
        return f"{name} was measured on pool {mine or 'unnamed'}, its baseline on {theirs or 'unnamed'}"
    if mine is None and run.run_id != other.run_id:
        return f"{name} and its baseline come from two runs that name no pool (log both with pool=)"
    return ""


def _met(op: str, value: Any, threshold: Any) -> bool:
    if isinstance(threshold, bool) and isinstance(value, str):  # a shell writes its booleans as words
        value = {"true": True, "false": False}.get(value.lower(), value)
    if isinstance(value, str) or isinstance(threshold, str):
        return _OPS[op](str(value), str(threshold)) if op in ("==", "!=") else False
    if not isinstance(value, (int, float)):
        return False
    return threshold[0] <= value <= threshold[1] if op == "between" else _OPS[op](value, threshold)


def _needs(check: Check) -> str:
    if check["op"] == "between":
        low, high = check["value"]
        return f"between {_said(low)} and {_said(high)}"
    return f"{check['op']} {_said(check['value'])}" if "value" in check else f"{check['op']} {check['than']['name']}"


def _said(value: Any) -> str:
    """A number as people write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    if isinstance(value, (int, float)) and math.isfinite(value):
        return f"{int(value):,}" if abs(value) >= 10_000 else f"{int(value)}"
    return str(value)


def _artifact(check: Check, run: Evidence, case: Case) -> _Finding:
    about = run.artifacts.get(check["path"]) or next(
        (run.artifacts[p] for p in sorted(run.artifacts) if fnmatch.fnmatchcase(p, check["path"])), None
    )
    if about is None:
        return _Finding(FAILED, f"{check['path']} was not made", None, run)
    must = check["must"]
    if must == "exists":
        return _Finding(PASSED, f"{about['path']}, {_bytes(number(about.get('size')) or 0.0)}", about.get("size"), run)
    if must == "unique":
        return _unique(check, about, run)
    if must not in about:
        return _Finding(FAILED, f"{about['path']} has no known {must}", None, run)
    if must == "sha256":
        same = str(about["sha256"]).startswith(check["value"])
        return _Finding(PASSED if same else FAILED, f"sha256 is {about['sha256'][:16]}…", about["sha256"], run)
    return _against(check, check["path"], f"{must} of {about['path']}", about[must], run, case)


def _unique(check: Check, about: dict[str, Any], run: Evidence) -> _Finding:
    unique = about.get("unique")
    counted = unique.get(check["key"]) if isinstance(unique, dict) else None
    if not isinstance(counted, (list, tuple)) or len(counted) != 2:
        return _Finding(FAILED, f"{about['path']} was not counted by {check['key']}", None, run)
    rows, different = counted
    because = f"{rows} rows, {different} different {check['key']}"
    return _Finding(PASSED if rows == different else FAILED, because, different, run)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _package(check: Check, run: Evidence, case: Case) -> _Finding:
    found = run.packages.get(check["name"])
    if found is None:
        known = "was not installed" if run.packages else "is unknown: the run recorded no packages"
        return _Finding(FAILED, f"{check['name']} {known}", None, run)
    have, wanted = release(found), release(check["value"])
    if have is None or wanted is None:
        return _Finding(FAILED, f"{check['name']} is {found!r}, which is no version", found, run)
    met = _OPS[check["op"]](have, wanted)
    return _Finding(PASSED if met else FAILED, f"{check['name']} is {found}", found, run)


_JUDGES: dict[str, Callable[[Check, Evidence, Case], _Finding]] = {
    "compare": _compare,
    "artifact": _artifact,
    "package": _package,
    "step": _step,
}


def _some_seeds(check: Check, case: Case, runs: Sequence[Evidence]) -> _Finding:
    """At least k of n seeds meet it; the runs of one experiment with other seeds stand beside the first."""
    seeds = first_seeds(runs, check["seeds"])
    findings = [_of_seed(check, run, case) for run in seeds.runs]
    good = sum(f.state == PASSED for f in findings)
    open_ = sum(f.state == WAITING for f in findings) + check["seeds"] - len(findings)
    because = f"{good} of {len(findings)} meet it ({seeds}), needs {check['least']} of {check['seeds']}"
    if short := [f.because for f in findings if f.state == FAILED]:
        because += f"; {short[0]}"
    if good >= check["least"]:
        return _Finding(PASSED, because, good, runs[0])
    return _Finding(WAITING if good + open_ >= check["least"] else FAILED, because, good, runs[0])


def _of_seed(check: Check, run: Evidence, case: Case) -> _Finding:
    """One seed's own finding, its baselines those of the same seed."""
    if unfit := _unfit(run):
        return unfit
    finding = _compare(check, run, case.of_seed(run.seed))
    return replace(finding, because=f"seed {seed_of(run)}: {finding.because}")


def _unfit(run: Evidence) -> _Finding | None:
    """Only a run that ended well speaks for its seed."""
    if not run.over:
        return _Finding(WAITING, f"seed {seed_of(run)} is {run.state}", None, run)
    if not run.succeeded:
        return _Finding(FAILED, f"seed {seed_of(run)} {run.state}: {run.reason}", None, run)
    return None


def _mean_over_seeds(check: Check, case: Case, runs: Sequence[Evidence]) -> _Finding:
    """The mean over n seeds, or the end of its 95 % interval (Student's t); against a baseline, of the differences."""
    needed = check["mean_over"]
    seeds = first_seeds(runs, needed)
    measured = [_number_of_seed(check, run, case) for run in seeds.runs]
    for state in (FAILED, WAITING):
        if bad := [f for f in measured if f.state == state]:
            return _Finding(state, bad[0].because, None, runs[0])
    if len(measured) < needed:
        return _Finding(WAITING, f"{len(measured)} of {needed} seeds have measured {check['name']}", None, runs[0])
    mean, half = mean_interval([f.value for f in measured])
    value = mean + {"lower": -half, "upper": half}.get(check["bound"] or "", 0.0)
    than = check.get("than")
    what, threshold = ("mean", check["value"]) if than is None else (f"mean above {than['name']}", than["plus"])
    needs = _needs(check) if than is None else f"{check['op']} {_said(threshold)}"
    because = f"{what} {_said(mean)} ± {_said(half)} over {seeds}, needs {_label(check)}it {needs}"
    return _Finding(PASSED if _met(check["op"], value, threshold) else FAILED, because, value, runs[0])


def _number_of_seed(check: Check, run: Evidence, case: Case) -> _Finding:
    """One seed's number for the mean, less its baseline; where there is none, which seed it is that spoils the mean."""
    if unfit := _unfit(run):
        return unfit
    value = run.value(check["what"], check["name"], check["take"])
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        is_ = "was never measured" if value is None else f"is {_said(value)}"
        return _Finding(FAILED, f"{check['name']} {is_} at seed {seed_of(run)}", None, run)
    base = _baseline(check, check["name"], run, case.of_seed(run.seed)) if "than" in check else 0.0
    if isinstance(base, _Finding):
        return replace(base, because=f"seed {seed_of(run)}: {base.because}")
    if math.isinf(base):
        return _Finding(
            FAILED, f"its baseline {check['than']['name']} is {_said(base)} at seed {seed_of(run)}", None, run
        )
    return _Finding(PASSED, "", value - base, run)
