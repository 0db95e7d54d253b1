"""What evidence says of one check: met or not, and why. Pure.

A missing metric fails, it is never skipped; while a run goes on only what can't be undone counts. Whether a finding is still
today's, and what people said of it, is `engine.protocol.gates`.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.protocol.case import FAILED, PASSED, WAITING, Case
from engine.protocol.checks import Check
from engine.protocol.events import number
from engine.protocol.evidence import Evidence
from engine.protocol.operators import OPERATORS
from engine.protocol.releases import release
from engine.protocol.seeds import first_seeds, mean_interval, seed_of


@dataclass(frozen=True)
class Finding:
    """On one check, by its evidence alone."""

    state: str
    because: str
    value: Any = None
    run: Evidence | None = None
    threshold: float | None = None


def measured(check: Check, case: Case) -> Finding:
    """The verdict on a check over evidence."""
    runs = case.evidence.get(check["step"], [])
    if not runs:
        return Finding(WAITING, f"{check['step']} has not run")
    if "seeds" in check:
        return _some_seeds(check, case, runs)
    if "mean_over" in check:
        return _mean_over_seeds(check, case, runs)
    run = runs[0]
    finding = _JUDGES[check["kind"]](check, run, case)
    if finding.state == FAILED and not run.over:
        return Finding(WAITING, f"{finding.because}; {run.step} is {run.state}", finding.value, run)
    if run.over and not run.succeeded:
        return Finding(FAILED, f"{run.step} {run.state}: {run.reason}", finding.value, run)
    return finding


def _step(check: Check, run: Evidence, case: Case) -> Finding:
    if run.succeeded:
        return Finding(PASSED, f"run {run.run_id} succeeded", None, run)
    return Finding(FAILED, f"run {run.run_id} has not succeeded", None, run)


def _compare(check: Check, run: Evidence, case: Case) -> Finding:
    if check["which"]:
        return _compare_many(check, run, case)
    return _compare_one(check, check["name"], run, case)


def _compare_many(check: Check, run: Evidence, case: Case) -> Finding:
    """`all` or `any` of the names that match; none matching fails."""
    what = check["what"]
    names = [*(run.metrics if what != "fact" else ()), *(run.facts if what != "metric" else ())]
    matching = sorted(dict.fromkeys(n for n in names if fnmatch.fnmatchcase(n, check["name"])))
    if not matching:
        return Finding(FAILED, f"nothing matches {check['name']}", None, run)
    findings = {n: _compare_one(check, n, run, case) for n in matching}
    bad = [n for n in matching if findings[n].state != PASSED]
    good = len(matching) - len(bad)
    value = {n: findings[n].value for n in matching}
    if check["which"] == "all" and not run.over:  # more may come
        return Finding(FAILED, f"{good} of {len(matching)} meet it so far", value, run)
    if check["which"] == "all" and bad:
        return Finding(FAILED, f"{len(bad)} of {len(matching)} short: {findings[bad[0]].because}", value, run)
    if check["which"] == "any" and not good:
        return Finding(FAILED, f"none of {len(matching)}: {findings[bad[0]].because}", value, run)
    return Finding(PASSED, f"{good} of {len(matching)} meet it", value, run)


def _compare_one(check: Check, name: str, run: Evidence, case: Case) -> Finding:
    if not run.over and not _may_tick_early(check, name, run):
        value = run.value(check["what"], name, check["take"])
        shown = "nothing yet" if value is None else f"{_said(value)} so far"
        return Finding(FAILED, f"{name} is {shown}, needs {_needs(check)}", value, run)
    value = _value(check, name, run)
    if value is None:
        return Finding(FAILED, _missing(check, name), None, run)
    if isinstance(value, float) and math.isnan(value):
        return Finding(FAILED, f"{name} is NaN", value, run)
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


def _against(check: Check, name: str, label: str, value: float | str, run: Evidence, case: Case) -> Finding:
    """Hold a value against the check's number, word or other measurement."""
    if "than" not in check:
        met = _met(check["op"], value, check["value"])
        because = f"{label} is {_said(value)}, needs {_needs(check)}"
        return Finding(PASSED if met else FAILED, because, value, run, _nearer(value, check["value"]))
    than = check["than"]
    base = _baseline(check, name, run, case)
    if isinstance(base, Finding):
        return replace(base, value=value)
    threshold = base + than["plus"]
    met = _met(check["op"], value, threshold)
    plus = f" {'+' if than['plus'] > 0 else '-'} {_said(abs(than['plus']))}" if than["plus"] else ""
    because = (
        f"{label} is {_said(value)}, needs {check['op']} {_said(threshold)} ({than['name']} is {_said(base)}{plus})"
    )
    return Finding(PASSED if met else FAILED, because, value, run, threshold)


def _nearer(value: Any, threshold: Any) -> float | None:
    """The number that a value is held against; the nearer one of a range."""
    if isinstance(threshold, (list, tuple)) and isinstance(value, (int, float)):
        return float(min(threshold, key=lambda end: abs(value - end)))
    return None if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) else threshold


def _baseline(check: Check, name: str, run: Evidence, case: Case) -> float | Finding:
    """The number to hold against, or why there is none: only a run that succeeded gives one, besides the run itself."""
    than = check["than"]
    others = case.evidence.get(than["step"], [])
    if not others:
        return Finding(WAITING, f"{than['step']} has not run", None, run)
    other = run if than["step"] == run.step else others[0]
    if other is not run and not other.over:
        return Finding(WAITING, f"its baseline {than['name']} is not final: {than['step']} is {other.state}", None, run)
    if other is not run and not other.succeeded:
        said = f"its baseline {than['name']} has no run to stand on: {than['step']} {other.state}: {other.reason}"
        return Finding(FAILED, said, None, run)
    base = other.value(than["what"], than["name"], than["take"])
    if base is None or isinstance(base, str):
        return Finding(FAILED, f"its baseline {than['name']} was never measured by {than['step']}", None, run)
    if math.isnan(base):
        return Finding(FAILED, f"its baseline {than['name']} is NaN", None, run)
    strangers = _other_pool(check, name, run, other)
    return Finding(FAILED, strangers, None, run) if strangers else base


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
        return OPERATORS[op](str(value), str(threshold)) if op in ("==", "!=") else False
    if not isinstance(value, (int, float)):
        return False
    return threshold[0] <= value <= threshold[1] if op == "between" else OPERATORS[op](value, threshold)


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


def _artifact(check: Check, run: Evidence, case: Case) -> Finding:
    about = run.artifacts.get(check["path"]) or next(
        (run.artifacts[p] for p in sorted(run.artifacts) if fnmatch.fnmatchcase(p, check["path"])), None
    )
    if about is None:
        return Finding(FAILED, f"{check['path']} was not made", None, run)
    must = check["must"]
    if must == "exists":
        return Finding(PASSED, f"{about['path']}, {_bytes(number(about.get('size')) or 0.0)}", about.get("size"), run)
    if must == "unique":
        return _unique(check, about, run)
    if must not in about:
        return Finding(FAILED, f"{about['path']} has no known {must}", None, run)
    if must == "sha256":
        same = str(about["sha256"]).startswith(check["value"])
        return Finding(PASSED if same else FAILED, f"sha256 is {about['sha256'][:16]}…", about["sha256"], run)
    return _against(check, check["path"], f"{must} of {about['path']}", about[must], run, case)


def _unique(check: Check, about: dict[str, Any], run: Evidence) -> Finding:
    unique = about.get("unique")
    counted = unique.get(check["key"]) if isinstance(unique, dict) else None
    if not isinstance(counted, (list, tuple)) or len(counted) != 2:
        return Finding(FAILED, f"{about['path']} was not counted by {check['key']}", None, run)
    rows, different = counted
    because = f"{rows} rows, {different} different {check['key']}"
    return Finding(PASSED if rows == different else FAILED, because, different, run)


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _package(check: Check, run: Evidence, case: Case) -> Finding:
    found = run.packages.get(check["name"])
    if found is None:
        known = "was not installed" if run.packages else "is unknown: the run recorded no packages"
        return Finding(FAILED, f"{check['name']} {known}", None, run)
    have, wanted = release(found), release(check["value"])
    if have is None or wanted is None:
        return Finding(FAILED, f"{check['name']} is {found!r}, which is no version", found, run)
    met = OPERATORS[check["op"]](have, wanted)
    return Finding(PASSED if met else FAILED, f"{check['name']} is {found}", found, run)


_JUDGES: dict[str, Callable[[Check, Evidence, Case], Finding]] = {
    "compare": _compare,
    "artifact": _artifact,
    "package": _package,
    "step": _step,
}


def _some_seeds(check: Check, case: Case, runs: Sequence[Evidence]) -> Finding:
    """At least k of n seeds meet it; the runs of one experiment with other seeds stand beside the first."""
    seeds = first_seeds(runs, check["seeds"])
    findings = [_of_seed(check, run, case) for run in seeds.runs]
    good = sum(f.state == PASSED for f in findings)
    open_ = sum(f.state == WAITING for f in findings) + check["seeds"] - len(findings)
    because = f"{good} of {len(findings)} meet it ({seeds}), needs {check['least']} of {check['seeds']}"
    if short := [f.because for f in findings if f.state == FAILED]:
        because += f"; {short[0]}"
    if good >= check["least"]:
        return Finding(PASSED, because, good, runs[0])
    return Finding(WAITING if good + open_ >= check["least"] else FAILED, because, good, runs[0])


def _of_seed(check: Check, run: Evidence, case: Case) -> Finding:
    """One seed's own finding, its baselines those of the same seed."""
    if unfit := _unfit(run):
        return unfit
    finding = _compare(check, run, case.of_seed(run.seed))
    return replace(finding, because=f"seed {seed_of(run)}: {finding.because}")


def _unfit(run: Evidence) -> Finding | None:
    """Only a run that ended well speaks for its seed."""
    if not run.over:
        return Finding(WAITING, f"seed {seed_of(run)} is {run.state}", None, run)
    if not run.succeeded:
        return Finding(FAILED, f"seed {seed_of(run)} {run.state}: {run.reason}", None, run)
    return None


def _mean_over_seeds(check: Check, case: Case, runs: Sequence[Evidence]) -> Finding:
    """The mean over n seeds, or the end of its 95 % interval (Student's t); against a baseline, of the differences."""
    needed = check["mean_over"]
    seeds = first_seeds(runs, needed)
    numbers = [_number_of_seed(check, run, case) for run in seeds.runs]
    for state in (FAILED, WAITING):
        if bad := [f for f in numbers if f.state == state]:
            return Finding(state, bad[0].because, None, runs[0])
    if len(numbers) < needed:
        return Finding(WAITING, f"{len(numbers)} of {needed} seeds have measured {check['name']}", None, runs[0])
    mean, half = mean_interval([f.value for f in numbers])
    value = mean + {"lower": -half, "upper": half}.get(check["bound"] or "", 0.0)
    than = check.get("than")
    what, threshold = ("mean", check["value"]) if than is None else (f"mean above {than['name']}", than["plus"])
    needs = _needs(check) if than is None else f"{check['op']} {_said(threshold)}"
    because = f"{what} {_said(mean)} ± {_said(half)} over {seeds}, needs {_label(check)}it {needs}"
    return Finding(PASSED if _met(check["op"], value, threshold) else FAILED, because, value, runs[0])


def _number_of_seed(check: Check, run: Evidence, case: Case) -> Finding:
    """One seed's number for the mean, less its baseline; where there is none, which seed it is that spoils the mean."""
    if unfit := _unfit(run):
        return unfit
    value = run.value(check["what"], check["name"], check["take"])
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        is_ = "was never measured" if value is None else f"is {_said(value)}"
        return Finding(FAILED, f"{check['name']} {is_} at seed {seed_of(run)}", None, run)
    base = _baseline(check, check["name"], run, case.of_seed(run.seed)) if "than" in check else 0.0
    if isinstance(base, Finding):
        return replace(base, because=f"seed {seed_of(run)}: {base.because}")
    if math.isinf(base):
        return Finding(
            FAILED, f"its baseline {check['than']['name']} is {_said(base)} at seed {seed_of(run)}", None, run
        )
    return Finding(PASSED, "", value - base, run)
