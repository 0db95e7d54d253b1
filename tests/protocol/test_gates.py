"""The verdicts of gates, as tables: every kind of check in every state, and what must never open a gate."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from engine.protocol.case import Case, Ground, Word
from engine.protocol.checks import compile_check
from engine.protocol.evidence import Evidence
from engine.protocol.gates import Verdict, gate_state, judge, judge_gate, open_gate
from engine.protocol.seeds import mean_interval

GROUND = Ground("code", "config", "family")


def run(state: str = "succeeded", seed: int | None = 0, step: str = "s", **shown: Any) -> Evidence:
    """A run on today's ground; `metrics={"loss": [0.5, 0.4]}`, `facts={"rows": 5}` or `{"rows": {"value": 5, "low": 4}}`."""
    metrics, facts = shown.pop("metrics", {}), shown.pop("facts", {})
    given = {"reason": f"why {state}", "tree": "tree", "code": "code", "config_hash": "config", "family": "family"}
    evidence = Evidence(f"run-{step}-{seed}", step, state, seed=seed, ended=7.0, **{**given, **shown})
    for name, values in metrics.items():
        for value in values:
            evidence.feed({"kind": "metric", "values": {name: value}})
    for name, value in facts.items():
        evidence.feed({"kind": "fact", "name": name, **(value if isinstance(value, dict) else {"value": value})})
    return evidence


def verdict(sentence: str, *runs: Evidence, ground: Ground | None = GROUND, **words: dict[str, Word]) -> Verdict:
    """The verdict on a sentence, from these runs, the one that stands for its step first."""
    by_step: dict[str, list[Evidence]] = {}
    for each in runs:
        by_step.setdefault(each.step, []).append(each)
    grounds = dict.fromkeys(("s", "t"), ground) if ground is not None else {}
    return judge(compile_check(sentence), Case(by_step, grounds, **words))


GOOD: dict[str, Any] = {
    "metrics": {"loss": [0.9, 0.1, 0.3], "acc/a": [0.8], "acc/b": [0.9]},
    "facts": {"rows": 5, "gain": {"value": 0.05, "low": 0.01, "high": 0.09}, "tier": "A", "sound": True},
    "packages": {"torch": "2.13.0+cpu"},
    "artifacts": {
        "out.jsonl": {"path": "out.jsonl", "size": 100, "sha256": "ab12cd34ef", "rows": 5, "unique": {"id": [5, 5]}},
    },
}
# One sentence of every kind that GOOD meets, and one that it does not, with a word of its because.
KINDS = [
    ("metric loss of s < 0.5", "metric loss of s < 0.2", "loss is 0.3, needs < 0.2"),
    ("metric loss of s min <= 0.1", "metric loss of s min < 0.1", "min of loss is 0.1"),
    ("metric loss of s max == 0.9", "metric loss of s max > 0.9", "max of loss is 0.9"),
    ("metric loss of s mean < 0.44", "metric loss of s mean < 0.4", "mean of loss is 0.4333"),
    ("metric loss of s between 0.3 and 0.4", "metric loss of s between 0.4 and 0.5", "needs between 0.4 and 0.5"),
    ("fact rows of s == 5", "fact rows of s != 5", "rows is 5, needs != 5"),
    ("fact tier of s == A", "fact tier of s == B", "tier is A, needs == B"),
    ("fact tier of s != B", "fact tier of s > 1", "tier is A"),
    ("fact sound of s == true", "fact sound of s == false", "sound is true, needs == false"),
    ("fact sound of s != false", "fact sound of s != true", "sound is true"),
    ("loss of s < 0.5", "rows of s < 5", "rows is 5"),
    ("lower bound of fact gain of s > 0", "lower bound of fact gain of s > 0.02", "lower bound of gain is 0.01"),
    ("upper bound of fact gain of s < 0.1", "upper bound of fact gain of s < 0.09", "upper bound of gain is 0.09"),
    ("all acc/* of s >= 0.8", "all acc/* of s >= 0.85", "1 of 2 short: acc/a is 0.8"),
    ("any acc/* of s >= 0.9", "any acc/* of s > 0.9", "none of 2: acc/a is 0.8"),
    ("metric acc/b of s > metric acc/a", "metric acc/a of s > metric acc/b", "needs > 0.9 (acc/b is 0.9)"),
    ("metric acc/b of s > metric acc/a + 0.05", "metric acc/b of s > metric acc/a + 0.2", "(acc/a is 0.8 + 0.2)"),
    ("artifact out.jsonl of s exists", "artifact other.jsonl of s exists", "other.jsonl was not made"),
    ("artifact *.jsonl of s has rows >= 5", "artifact out.jsonl of s has rows >= 6", "rows of out.jsonl is 5"),
    ("artifact out.jsonl of s has size < 2e9", "artifact out.jsonl of s has size > 1e3", "size of out.jsonl is 100"),
    ("artifact out.jsonl of s has sha256 ab12cd34", "artifact out.jsonl of s has sha256 ff12cd34", "sha256 is ab12"),
    ("artifact out.jsonl of s is unique by id", "artifact out.jsonl of s is unique by x", "was not counted by x"),
    ("artifact out.jsonl of s has rows == fact rows", "artifact out.jsonl of s has rows > fact rows", "(rows is 5)"),
    ("step s succeeded", "", ""),
    ("package torch of s == 2.13.0", "package torch of s == 2.13.1", "torch is 2.13.0+cpu"),
    ("package torch of s >= 2.13.0rc1", "package torch of s > 2.13", "torch is 2.13.0+cpu"),
    ("metric loss of s < 0.5 in 1 of 1 seeds", "metric loss of s < 0.1 in 1 of 1 seeds", "0 of 1 meet it (seeds 0)"),
]
MET = [met for met, _, _ in KINDS]
MISSED = [(missed, because) for _, missed, because in KINDS if missed]


@pytest.mark.parametrize("sentence", MET)
def test_what_is_met_passes_and_names_its_run(sentence: str) -> None:
    given = verdict(sentence, run(**GOOD))
    assert (given.state, given.run_id, given.tree, given.config_hash) == ("passed", "run-s-0", "tree", "config")
    assert given.when == 7.0
    assert given.because


@pytest.mark.parametrize(("sentence", "because"), MISSED)
def test_what_is_not_met_fails_and_says_the_number(sentence: str, because: str) -> None:
    given = verdict(sentence, run(**GOOD))
    assert given.state == "failed"
    assert because in given.because


@pytest.mark.parametrize("sentence", MET)
def test_a_step_that_has_not_run_is_waited_for(sentence: str) -> None:
    given = verdict(sentence)
    assert (given.state, given.because) == ("waiting", "s has not run")


@pytest.mark.parametrize(("sentence", "_"), MISSED)
@pytest.mark.parametrize("state", ["queued", "starting", "running", "stalled", "orphaned"])
def test_while_its_run_goes_on_nothing_fails(sentence: str, _: str, state: str) -> None:
    assert verdict(sentence, run(state, **GOOD)).state == "waiting"


@pytest.mark.parametrize("sentence", MET)
@pytest.mark.parametrize("state", ["failed", "stopped", "lost"])
def test_a_run_that_did_not_succeed_opens_no_gate(sentence: str, state: str) -> None:
    given = verdict(sentence, run(state, **GOOD))
    assert given.state == "failed"
    assert state in given.because


@pytest.mark.parametrize("sentence", MET)
def test_what_was_never_measured_fails(sentence: str) -> None:
    assert verdict(sentence, run()).state == ("passed" if sentence.startswith("step") else "failed")


@pytest.mark.parametrize("sentence", MET)
@pytest.mark.parametrize(
    ("other", "because"),
    [({"code": "older"}, "the code of s has changed"), ({"config_hash": "older"}, "the config of s has changed")],
)
def test_what_other_code_or_config_met_is_stale(sentence: str, other: dict[str, str], because: str) -> None:
    given = verdict(sentence, run(**GOOD, **other))
    assert given.state == "stale"
    assert because in given.because


@pytest.mark.parametrize("sentence", MET)
def test_where_no_ground_is_known_nothing_is_stale(sentence: str) -> None:
    assert verdict(sentence, run(**GOOD, code="older", config_hash="older"), ground=None).state == "passed"


def override(sentence: str) -> dict[str, Word]:
    return {compile_check(sentence)["id"]: Word("ann", "known, see LOG", 3.0)}


@pytest.mark.parametrize(("sentence", "because"), MISSED)
def test_a_failed_check_is_overridden_and_stays_visible(sentence: str, because: str) -> None:
    given = verdict(sentence, run(**GOOD), overrides=override(sentence))
    assert (given.state, given.when, given.word) == ("overridden", 3.0, Word("ann", "known, see LOG", 3.0))
    assert given.because.startswith("ann: known, see LOG (was failed: ")
    assert because in given.because


@pytest.mark.parametrize("sentence", MET)
def test_a_stale_check_is_overridden(sentence: str) -> None:
    given = verdict(sentence, run(**GOOD, code="older"), overrides=override(sentence))
    assert given.state == "overridden"
    assert "(was stale: " in given.because


@pytest.mark.parametrize("sentence", MET)
def test_what_passes_needs_no_override_and_what_waits_takes_none(sentence: str) -> None:
    assert verdict(sentence, run(**GOOD), overrides=override(sentence)).state == "passed"
    assert verdict(sentence, overrides=override(sentence)).state == "waiting"


def test_an_override_never_carries_over_to_another_threshold() -> None:
    easier = override("metric loss of s < 0.2")
    assert verdict("metric loss of s < 0.1", run(**GOOD), overrides=easier).state == "failed"


# What a person ticks.

LOOK = "manual: the samples read well"


def tick(code: str = "code", reason: str = "") -> dict[str, Word]:
    return {compile_check(LOOK)["id"]: Word("ann", reason, 3.0, code)}


@pytest.mark.parametrize(
    ("ticks", "state", "because"),
    [
        ({}, "waiting", "waits for a person"),
        (tick(), "passed", "ticked by ann"),
        (tick(reason="twice"), "passed", "ticked by ann: twice"),
        (tick(code=""), "passed", "ticked by ann"),
        (tick(code="older"), "stale", "ticked by ann on other code"),
    ],
)
def test_a_tick_is_a_persons_and_ages_with_the_code(ticks: dict[str, Word], state: str, because: str) -> None:
    given = verdict(LOOK, ticks=ticks)
    assert (given.state, given.because) == (state, because)
    assert given.word == next(iter(ticks.values()), None)


def test_a_stale_tick_can_be_overridden_and_a_missing_one_can_not() -> None:
    assert verdict(LOOK, ticks=tick(code="older"), overrides=override(LOOK)).state == "overridden"
    assert verdict(LOOK, overrides=override(LOOK)).state == "waiting"


def test_a_tick_does_not_tick_what_is_measured() -> None:
    sentence = "metric loss of s < 0.1"
    assert verdict(sentence, run(**GOOD), ticks=override(sentence)).state == "failed"


# While a run goes on, only what can't be undone counts.


@pytest.mark.parametrize(
    ("sentence", "state"),
    [
        ("metric loss of s < 0.5", "waiting"),
        ("metric loss of s mean < 0.5", "waiting"),
        ("metric loss of s min < 0.5", "passed"),
        ("metric loss of s max > 0.5", "passed"),
        ("metric loss of s min > 0.01", "waiting"),
        ("metric loss of s max < 2", "waiting"),
        ("fact rows of s == 5", "passed"),
        ("rows of s == 5", "passed"),
        ("loss of s < 0.5", "waiting"),
        ("all acc/* of s >= 0.8", "waiting"),
        ("all acc/* of s max >= 0.8", "waiting"),
        ("any acc/* of s max >= 0.8", "passed"),
        ("fact rows of s > fact gain", "passed"),
        ("fact rows of s > metric loss", "waiting"),
        ("metric loss of s max > fact gain", "waiting"),
        ("step s succeeded", "waiting"),
        ("metric loss of s min < 0.5 in 1 of 1 seeds", "waiting"),
    ],
)
def test_a_live_run_ticks_only_what_stays_so(sentence: str, state: str) -> None:
    facts = {"rows": {"value": 5, "pool": "p"}, "gain": {"value": 1, "pool": "p"}}
    assert verdict(sentence, run("running", metrics=GOOD["metrics"], facts=facts)).state == state


# NaN and the infinities are news.


@pytest.mark.parametrize("op", ["< 1", "> 1", "!= 1", "== 1", "between 0 and 1"])
@pytest.mark.parametrize("what", ["metric loss", "fact rows"])
def test_nan_meets_nothing(what: str, op: str) -> None:
    given = verdict(f"{what} of s {op}", run(metrics={"loss": [0.5, math.nan]}, facts={"rows": "NaN"}))
    assert given.state == "failed"
    assert "is NaN" in given.because


@pytest.mark.parametrize("op", ["<", ">", "!=", "=="])
def test_a_baseline_that_is_nan_is_met_by_nothing(op: str) -> None:
    given = verdict(f"metric loss of s {op} metric base", run(metrics={"loss": [0.5], "base": [math.nan]}))
    assert given.state == "failed"
    assert "its baseline base is NaN" in given.because


def test_infinity_is_a_number_and_can_be_told_in_json() -> None:
    given = verdict("metric loss of s > 1", run(metrics={"loss": [math.inf]}))
    assert given.state == "passed"
    json.dumps(given.to_json(), allow_nan=False)


# Baselines.

MINE = {"facts": {"acc": {"value": 0.9, "pool": "mbpp"}}}
BASE = {"facts": {"base": {"value": 0.5, "pool": "mbpp"}}, "step": "t"}
AGAINST = "fact acc of s > fact base of t + 0.1"


def test_a_baseline_of_another_step_counts_on_the_same_pool() -> None:
    given = verdict(AGAINST, run(**MINE), run(**BASE))
    assert given.state == "passed"
    assert given.because == "acc is 0.9, needs > 0.6 (base is 0.5 + 0.1)"


@pytest.mark.parametrize(
    ("baseline", "state", "because"),
    [
        (None, "waiting", "t has not run"),
        (run(**BASE | {"state": "running"}), "waiting", "its baseline base is not final: t is running"),
        (run(**BASE | {"state": "queued"}), "waiting", "t is queued"),
        (run(**BASE | {"state": "failed"}), "failed", "t failed: why failed"),
        (run(**BASE | {"state": "lost"}), "failed", "t lost: why lost"),
        (run(step="t"), "failed", "its baseline base was never measured by t"),
        (run(step="t", facts={"base": {"value": "high", "pool": "mbpp"}}), "failed", "was never measured by t"),
        (run(step="t", facts={"base": {"value": 0.5, "pool": "apps"}}), "failed", "on pool mbpp, its baseline on apps"),
        (run(step="t", facts={"base": 0.5}), "failed", "its baseline on unnamed"),
        (run(**BASE | {"code": "older"}), "stale", "the code of t has changed"),
        (run(**BASE | {"config_hash": "older"}), "stale", "the config of t has changed"),
    ],
)
def test_what_is_no_baseline_opens_no_gate(baseline: Evidence | None, state: str, because: str) -> None:
    given = verdict(AGAINST, run(**MINE), *([baseline] if baseline else []))
    assert given.state == state
    assert because in given.because


def test_two_runs_that_name_no_pool_are_not_compared() -> None:
    given = verdict("fact acc of s > fact base of t", run(facts={"acc": 0.9}), run(step="t", facts={"base": 0.5}))
    assert given.state == "failed"
    assert "name no pool" in given.because


@pytest.mark.parametrize(
    ("pools", "state", "because"),
    [
        (("p", "p", "p"), "passed", "2 of 2 meet it"),
        (("p", "q", "p"), "failed", "acc/b was measured on pool q, its baseline on p"),
        (("p", "p", None), "failed", "acc/a was measured on pool p, its baseline on unnamed"),
        ((None, None, None), "passed", "2 of 2 meet it"),
    ],
)
def test_of_many_names_each_is_held_against_a_baseline_of_its_own_pool(
    pools: tuple[str | None, ...], state: str, because: str
) -> None:
    facts = {name: {"value": v} for name, v in (("acc/a", 0.9), ("acc/b", 0.8), ("base", 0.5))}
    for fact, pool in zip(facts.values(), pools, strict=True):
        if pool is not None:
            fact["pool"] = pool  # type: ignore[assignment]
    given = verdict("all fact acc/* of s > fact base", run(facts=facts))
    assert given.state == state
    assert because in given.because


# Names.


def test_no_name_that_matches_fails() -> None:
    for which in ("all", "any"):
        given = verdict(f"{which} nothing/* of s > 0", run(**GOOD))
        assert (given.state, given.because) == ("failed", "nothing matches nothing/*")


def test_a_metric_does_not_pass_for_a_fact() -> None:
    assert verdict("fact loss of s < 0.5", run(**GOOD)).state == "failed"
    assert verdict("metric rows of s == 5", run(**GOOD)).state == "failed"


def test_a_metric_has_no_interval() -> None:
    given = verdict("lower bound of metric loss of s > 0", run(**GOOD))
    assert given.state == "failed"
    assert "log it as a fact with low= and high=" in given.because


@pytest.mark.parametrize("said", [True, "true", "True", 1, 1.0])
def test_a_boolean_is_one_in_every_language(said: Any) -> None:
    assert verdict("fact ok of s == true", run(facts={"ok": said})).state == "passed"


@pytest.mark.parametrize("said", [False, "false", 0, "yes", None, [True], "NaN"])
def test_what_is_not_true_is_not_true(said: Any) -> None:
    assert verdict("fact ok of s == true", run(facts={"ok": said})).state == "failed"


@pytest.mark.parametrize(
    ("found", "asked", "met"),
    [
        ("2.13.0rc1", ">= 2.13.0", False),
        ("2.13.0rc1", "== 2.13.1", False),
        ("2.13.0+cpu", "== 2.13", True),
        ("2.9", "< 2.13", True),
        ("unknown", ">= 0", False),
        ("unknown", "!= 2", False),
    ],
)
def test_versions_are_compared_as_versions(found: str, asked: str, met: bool) -> None:
    given = verdict(f"package torch of s {asked}", run(packages={"torch": found}))
    assert given.state == ("passed" if met else "failed")


@pytest.mark.parametrize(
    "about", [{"size": None}, {"size": "big"}, {"rows": None}, {"unique": 3}, {"unique": {"id": 5}}, {"unique": None}]
)
@pytest.mark.parametrize("asked", ["exists", "has size < 10", "has rows < 10", "is unique by id"])
def test_an_artifact_with_strange_words_breaks_no_judge(about: dict[str, Any], asked: str) -> None:
    artifact = {"path": "x", **about}
    given = verdict(f"artifact x of s {asked}", run(artifacts={"x": artifact}))
    assert given.state == ("passed" if asked == "exists" else "failed")


# Several seeds.


def seeds(*values: float | None, **more: Any) -> list[Evidence]:
    """A run per value, seeds 0, 1, 2 …; None: that seed was never measured."""
    return [run(seed=n, metrics={} if v is None else {"acc": [v]}, **more) for n, v in enumerate(values)]


FOUR = "metric acc of s >= 0.9 in 4 of 5 seeds"


@pytest.mark.parametrize(
    ("runs", "state", "because"),
    [
        (seeds(0.9, 0.9, 0.9, 0.9, 0.9), "passed", "5 of 5 meet it (seeds 0, 1, 2, 3, 4), needs 4 of 5"),
        (seeds(0.9, 0.9, 0.9, 0.9, 0.1), "passed", "4 of 5"),
        (seeds(0.9, 0.9, 0.9, 0.9), "passed", "4 of 4 meet it (seeds 0, 1, 2, 3)"),
        (seeds(0.9, 0.9, 0.9), "waiting", "3 of 3 meet it"),
        (seeds(0.9), "waiting", "1 of 1 meet it"),
        (seeds(0.9, 0.1, 0.9), "waiting", "2 of 3 meet it"),
        (seeds(0.1, 0.1), "failed", "0 of 2 meet it (seeds 0, 1), needs 4 of 5; seed 0: acc is 0.1, needs >= 0.9"),
        (seeds(0.9, 0.9, 0.9, 0.1, 0.1), "failed", "3 of 5"),
        (seeds(0.9, 0.9, 0.9, None, math.nan), "failed", "seed 3: acc was never measured"),
    ],
)
def test_at_least_four_of_five_seeds(runs: list[Evidence], state: str, because: str) -> None:
    given = verdict(FOUR, *runs)
    assert given.state == state
    assert because in given.because


def test_of_ten_seeds_the_first_five_by_their_number_count() -> None:
    runs = seeds(0.1, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    for order in (runs, runs[::-1]):
        given = verdict(FOUR, *order)
        assert given.state == "failed"
        assert "3 of 5 meet it (seeds 0, 1, 2, 3, 4, the first 5 of 10)" in given.because


def test_a_lucky_seed_repeated_proves_nothing() -> None:
    assert verdict(FOUR, *[run(seed=3, metrics={"acc": [0.9]}) for _ in range(9)]).state == "waiting"


def test_a_seed_that_crashed_and_was_run_again_counts_once_by_its_success() -> None:
    crashed = [run("failed", seed=n) for n in range(5)]
    assert verdict(FOUR, *crashed, *seeds(0.9, 0.9, 0.9, 0.9, 0.9)).state == "passed"


@pytest.mark.parametrize("state", ["failed", "stopped", "lost"])
def test_a_seed_that_did_not_end_well_is_not_met(state: str) -> None:
    runs = [*seeds(0.9, 0.9, 0.9), *(run(state, seed=n, metrics={"acc": [0.9]}) for n in (3, 4))]
    given = verdict(FOUR, *runs)
    assert given.state == "failed"
    assert f"seed 3 {state}: why {state}" in given.because


def test_a_seed_that_still_runs_is_waited_for() -> None:
    runs = [*seeds(0.9, 0.9, 0.9, 0.1), run("running", seed=4, facts={"acc": 0.9})]
    assert verdict(FOUR, *runs).state == "waiting"


@pytest.mark.parametrize("other", [{"code": "older"}, {"family": "other"}])
@pytest.mark.parametrize("sentence", [FOUR, "mean over 5 seeds of metric acc of s > 0.5"])
def test_a_seed_on_another_ground_than_the_standing_run_does_not_count(sentence: str, other: dict[str, str]) -> None:
    sound, strange = seeds(0.9, 0.9, 0.9), seeds(0.9, 0.9, 0.9, 0.9, 0.9, **other)[3:]
    given = verdict(sentence, *sound, *strange)
    assert given.state == "waiting"
    assert "3 of " in given.because


MEAN = "mean over 3 seeds of metric acc of s > 0.5"
LOWER = "lower bound of mean over 3 seeds of metric acc of s > 0.5"


@pytest.mark.parametrize(
    ("sentence", "runs", "state", "because"),
    [
        (MEAN, seeds(0.6, 0.5, 0.7), "passed", "mean 0.6 ± 0.2484 over seeds 0, 1, 2, needs it > 0.5"),
        (MEAN, seeds(0.6, 0.2, 0.7), "failed", "mean 0.5 ±"),
        (LOWER, seeds(0.6, 0.5, 0.7), "failed", "needs lower bound of it > 0.5"),
        (LOWER, seeds(0.6, 0.61, 0.59), "passed", "mean 0.6 ± 0.02484"),
        (MEAN, seeds(0.6, 0.6), "waiting", "2 of 3 seeds have measured acc"),
        (MEAN, seeds(0.6, math.nan, 0.9), "failed", "acc is nan at seed 1"),
        (MEAN, seeds(0.6, math.inf, 0.9), "failed", "acc is inf at seed 1"),
        (MEAN, seeds(0.6, math.nan), "failed", "acc is nan at seed 1"),
        (MEAN, seeds(0.6, 0.9, None), "failed", "acc was never measured at seed 2"),
        (MEAN, [*seeds(0.6, 0.9), run("failed", seed=2)], "failed", "seed 2 failed: why failed"),
        (MEAN, [*seeds(0.6, 0.9), run("running", seed=2)], "waiting", "seed 2 is running"),
        (MEAN, seeds(0.1, 0.1, 0.1, 0.9, 0.9), "failed", "seeds 0, 1, 2, the first 3 of 5"),
    ],
)
def test_the_mean_over_seeds(sentence: str, runs: list[Evidence], state: str, because: str) -> None:
    given = verdict(sentence, *runs)
    assert given.state == state
    assert because in given.because


def paired(differences: list[float]) -> list[Evidence]:
    """Seeds that differ far more among each other than from their baselines."""
    return [run(seed=n, metrics={"acc": [n * 0.1 + d], "base": [n * 0.1]}) for n, d in enumerate(differences)]


def test_against_a_baseline_the_differences_are_averaged_seed_by_seed() -> None:
    sentence = "lower bound of mean over 4 seeds of metric acc of s > metric base + 0.01"
    given = verdict(sentence, *paired([0.02, 0.021, 0.019, 0.02]))
    assert given.state == "passed"
    assert "mean above base 0.02 ±" in given.because
    assert verdict(sentence, *paired([0.02, 0.05, -0.01, 0.02])).state == "failed"


def test_each_seed_is_held_against_the_baseline_of_its_own_seed() -> None:
    sentence = "metric acc of s > metric base in 3 of 3 seeds"
    assert verdict(sentence, *paired([0.01, 0.01, 0.01])).state == "passed"
    given = verdict(sentence, *paired([0.01, -0.01, 0.01]))
    assert given.state == "failed"
    assert "seed 1: acc is 0.09" in given.because


def test_a_baseline_of_another_step_is_that_of_the_same_seed() -> None:
    def measured(step: str, name: str, seed: int, value: float) -> Evidence:
        return run(step=step, seed=seed, facts={name: {"value": value, "pool": "p"}})

    mine = [measured("s", "acc", n, 0.5 + n * 0.1) for n in range(3)]
    theirs = [measured("t", "base", n, 0.45 + n * 0.1) for n in range(3)]
    mean = "mean over 3 seeds of fact acc of s > fact base of t"
    assert verdict(mean, *mine, *theirs[::-1]).state == "passed"
    assert verdict("fact acc of s > fact base of t in 3 of 3 seeds", *mine, *theirs[::-1]).state == "passed"
    given = verdict(mean, *mine, *theirs[:2])
    assert given.state == "waiting"
    assert "seed 2: t has not run" in given.because
    given = verdict(mean, *mine, *theirs[:2], replace(theirs[2], facts={"base": {"value": "NaN", "pool": "p"}}))
    assert given.state == "failed"
    assert "seed 2: its baseline base is NaN" in given.because


@pytest.mark.parametrize(
    ("values", "mean", "half"),
    [
        ([1.0, 2.0, 3.0], 2.0, 4.303 / math.sqrt(3)),
        ([5.0] * 4, 5.0, 0.0),
        ([1.0], 1.0, math.inf),
        ([0.0, 1.0] * 16, 0.5, 2.0395 * math.sqrt(8 / 31) / math.sqrt(32)),
        ([0.0, 1.0] * 60, 0.5, 1.9801 * math.sqrt(30 / 119) / math.sqrt(120)),
    ],
)
def test_the_interval_of_a_mean_is_that_of_the_textbook(values: list[float], mean: float, half: float) -> None:
    assert mean_interval(values) == pytest.approx((mean, half), rel=1e-4)


# The gate itself.


@pytest.mark.parametrize(
    ("states", "state", "opens"),
    [
        (["passed"], "passed", True),
        (["passed", "overridden"], "overridden", True),
        (["passed", "waiting"], "waiting", False),
        (["waiting", "stale", "passed"], "stale", False),
        (["stale", "failed", "waiting", "overridden"], "failed", False),
    ],
)
def test_a_gate_stands_open_only_where_each_check_does(states: list[str], state: str, opens: bool) -> None:
    found = gate_state([Verdict("id", "text", s, "because") for s in states])
    assert (found, open_gate(found)) == (state, opens)


def test_verdicts_come_in_the_order_of_the_checks() -> None:
    checks = [compile_check(sentence) for sentence in MET]
    given = judge_gate(checks, Case({"s": [run(**GOOD)]}, {"s": GROUND}))
    assert [v.text for v in given] == MET
