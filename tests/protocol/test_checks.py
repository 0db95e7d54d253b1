"""The grammar of a gate: every sentence with what it compiles to, every wrong one with what is said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.protocol.checks import CheckError, check_id, compile_check, is_manual, steps_of


def compare(name: str, **more: Any) -> dict[str, Any]:
    start = {"kind": "compare", "what": "any", "name": name, "step": "s", "take": "last", "which": None, "bound": None}
    return {**start, **more}


def than(what: str, name: str, step: str = "s", plus: float = 0, take: str = "last") -> dict[str, Any]:
    return {"what": what, "name": name, "step": step, "plus": plus, "take": take}


SENTENCES: dict[str, dict[str, Any]] = {
    "metric eval/loss of s < 0.2": compare("eval/loss", what="metric", op="<", value=0.2),
    "metric eval/loss of step s < 0.2": compare("eval/loss", what="metric", op="<", value=0.2),
    "metric eval/loss of s max >= 0.9": compare("eval/loss", what="metric", take="max", op=">=", value=0.9),
    "metric eval/loss of s min <= 1e-3": compare("eval/loss", what="metric", take="min", op="<=", value=1e-3),
    "metric eval/loss of s mean != 0": compare("eval/loss", what="metric", take="mean", op="!=", value=0),
    "metric eval/loss of s last > -.5": compare("eval/loss", what="metric", op=">", value=-0.5),
    "eval/loss of s < 0.2": compare("eval/loss", op="<", value=0.2),
    "manual_score of s >= 3": compare("manual_score", op=">=", value=3),
    "fact data/rows of s == 17_886": compare("data/rows", what="fact", op="==", value=17886),
    "fact data/rows of s ==17886": compare("data/rows", what="fact", op="==", value=17886),
    "fact x of s between 0.45 and 0.55": compare("x", what="fact", op="between", value=[0.45, 0.55]),
    "fact x of s between -1 and -1": compare("x", what="fact", op="between", value=[-1, -1]),
    "fact tier of s == A": compare("tier", what="fact", op="==", value="A"),
    "fact tier of s != 'B'": compare("tier", what="fact", op="!=", value="B"),
    "fact sound of s == true": compare("sound", what="fact", op="==", value=True),
    "fact sound of s != false": compare("sound", what="fact", op="!=", value=False),
    "fact sound of s == 'true'": compare("sound", what="fact", op="==", value="true"),
    "fact a of s > fact b": compare("a", what="fact", op=">", than=than("fact", "b")),
    "fact a of s > fact b of t + 0.05": compare("a", what="fact", op=">", than=than("fact", "b", "t", 0.05)),
    "metric a of s <= metric b of step t min - 2": compare(
        "a", what="metric", op="<=", than=than("metric", "b", "t", -2, "min")
    ),
    "lower bound of fact gain of s > 0": compare("gain", what="fact", bound="lower", op=">", value=0),
    "upper bound of gain of s < 1": compare("gain", bound="upper", op="<", value=1),
    "all acc/* of s >= 0.7": compare("acc/*", which="all", op=">=", value=0.7),
    "any metric acc/* of s >= 0.7": compare("acc/*", what="metric", which="any", op=">=", value=0.7),
    "metric acc of s >= 0.9 in 4 of 5 seeds": compare("acc", what="metric", op=">=", value=0.9, least=4, seeds=5),
    "fact a of s > fact b + 1 in 5 of 5 seeds": compare(
        "a", what="fact", op=">", than=than("fact", "b", plus=1), least=5, seeds=5
    ),
    "mean over 5 seeds of fact acc of s > 0.8": compare("acc", what="fact", op=">", value=0.8, mean_over=5),
    "lower bound of mean over 3 seeds of metric acc of s max > metric base": compare(
        "acc", what="metric", take="max", bound="lower", op=">", than=than("metric", "base"), mean_over=3
    ),
    "artifact a.npz of s exists": {"kind": "artifact", "path": "a.npz", "step": "s", "must": "exists"},
    "artifact out/*.pt of s has size < 2e9": {
        "kind": "artifact",
        "path": "out/*.pt",
        "step": "s",
        "must": "size",
        "op": "<",
        "value": 2_000_000_000,
    },
    "artifact a.npz of s has rows between 1 and 9": {
        "kind": "artifact",
        "path": "a.npz",
        "step": "s",
        "must": "rows",
        "op": "between",
        "value": [1, 9],
    },
    "artifact a.npz of s has rows == fact rows of t": {
        "kind": "artifact",
        "path": "a.npz",
        "step": "s",
        "must": "rows",
        "op": "==",
        "than": than("fact", "rows", "t"),
    },
    "artifact a.npz of s has sha256 AB12cd34": {
        "kind": "artifact",
        "path": "a.npz",
        "step": "s",
        "must": "sha256",
        "value": "ab12cd34",
    },
    "artifact a.npz of s has sha256 == ab12cd34": {
        "kind": "artifact",
        "path": "a.npz",
        "step": "s",
        "must": "sha256",
        "value": "ab12cd34",
    },
    "artifact a.jsonl of s is unique by task_id": {
        "kind": "artifact",
        "path": "a.jsonl",
        "step": "s",
        "must": "unique",
        "key": "task_id",
    },
    "step s succeeded": {"kind": "step", "step": "s"},
    "package Flash_Attn of s >= 2.8.0rc1": {
        "kind": "package",
        "name": "flash-attn",
        "step": "s",
        "op": ">=",
        "value": "2.8.0rc1",
    },
    "manual: the samples read well": {"kind": "manual", "question": "the samples read well"},
    "manual : step x succeeded": {"kind": "manual", "question": "step x succeeded"},
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_says_what_it_compiles_to(sentence: str) -> None:
    check = compile_check(sentence)
    assert {k: v for k, v in check.items() if k not in ("id", "text")} == SENTENCES[sentence]
    assert check["text"] == sentence


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_check_goes_through_json_unchanged(sentence: str) -> None:
    check = compile_check(sentence)
    assert json.loads(json.dumps(check, allow_nan=False)) == check


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("", "is no check"),
        ("loss is low", "is no check"),
        ("metrik loss of s < 1", "did you mean `metric …`?"),
        ("artefact x of s exists", "did you mean `artifact …`?"),
        ("manual", "is no check"),
        ("manual:", "says what to look at"),
        ("manually looked at", "is no check"),
        ("manual the samples read well", "is no check"),
        ("metric loss < 1", "say of which step"),
        ("artifact x exists", "say of which step"),
        ("package torch >= 2", "say of which step"),
        ("metric loss of s <", "is no condition"),
        ("metric loss of s < low", "'low' is neither a number nor"),
        ("metric loss of s < 1 2", "'1 2' is neither a number nor"),
        ("metric loss of s < nan", "'nan' is neither a number nor"),
        ("metric loss of s == two words", "is neither a number nor"),
        ("fact sound of s > true", "is neither a number nor"),
        ("metric loss of s between 1 or 2", "is no condition"),
        ("metric loss of s between 2 and 1", "holds no number"),
        ("metric acc/* of s > 1", "say `all acc/* …` or `any acc/* …`"),
        ("metric acc of s > 1 in 0 of 5 seeds", "`in 0 of 5 seeds` can't be"),
        ("metric acc of s > 1 in 6 of 5 seeds", "`in 6 of 5 seeds` can't be"),
        ("metric acc of s > 1 in 0 of 0 seeds", "can't be"),
        ("mean over 1 seeds of metric acc of s > 1", "a mean over 1 seeds is no mean"),
        ("mean over 0 seeds of metric acc of s > 1", "a mean over 0 seeds is no mean"),
        ("mean over 5 seeds of metric acc of s > 1 in 4 of 5 seeds", "not for both"),
        ("mean over 5 seeds of all acc/* of s > 1", "of one name, not of `all acc/*`"),
        ("artifact x of s has", "is no check"),
        ("artifact x of s has colour red", "an artifact `exists`, `has rows >= N`"),
        ("artifact x of s has rows", "is no condition"),
        ("artifact x of s has sha256", "give the hash"),
        ("artifact x of s has sha256 ab", "give the hash"),
        ("artifact x of s has sha256 != ab12cd34", "give the hash"),
        ("artifact x of s is unique by ", "is no check"),
        ("package torch of s >= new", "'new' is no version of torch"),
        ("package torch of s >= 2.x", "'2.x' is no version of torch"),
        ("step s failed", "is no check"),
    ],
)
def test_a_wrong_sentence_is_told_what_is_wrong(sentence: str, said: str) -> None:
    with pytest.raises(CheckError) as error:
        compile_check(sentence)
    assert said in str(error.value)


def test_a_gate_after_one_step_may_leave_its_name_out() -> None:
    assert compile_check("metric loss < 1", "train")["step"] == "train"
    assert compile_check("metric loss < metric base", "train")["than"]["step"] == "train"
    assert compile_check("metric loss of other < 1", "train")["step"] == "other"


@pytest.mark.parametrize(
    ("sentence", "steps"),
    [
        ("metric a of s < metric b of t", ["s", "t"]),
        ("metric a of s < metric b", ["s"]),
        ("step s succeeded", ["s"]),
        ("manual: look", []),
    ],
)
def test_every_step_whose_evidence_is_needed_is_named(sentence: str, steps: list[str]) -> None:
    assert steps_of(compile_check(sentence)) == steps


def test_the_id_is_of_the_words_and_the_steps_and_of_nothing_else() -> None:
    check = compile_check("metric  loss <  1", "s")
    assert check["text"] == "metric loss < 1"
    assert check["id"] == check_id("metric loss < 1", ["s"])
    others = [compile_check("metric loss < 2", "s"), compile_check("metric loss < 1", "t")]
    assert len({check["id"], *(c["id"] for c in others)}) == 3


@pytest.mark.parametrize(
    ("text", "manual"), [("manual: x", True), ("manual : x", True), ("manually", False), ("manual_x > 1", False)]
)
def test_what_a_person_ticks_is_told_by_its_text(text: str, manual: bool) -> None:
    assert is_manual(text) is manual
