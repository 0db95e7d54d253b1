"""The language of a gate: one check is one sentence, compiled to plain JSON so that a host needs the standard library only.

    metric eval/energy_correct of evaluate < 0.2          last value; also: `max >= 0.9`, `min`, `mean`
    fact data/train_rows of verify-data == 17886          also: between 0.45 and 0.55
    fact rank/critic of rank > fact rank/random + 0.05    against a baseline of the same pool
    lower bound of fact rank/gain of rank > 0             of the interval that the fact carries
    all baking/accuracy/* of bake >= 0.765                `all` or `any` of the names that match (at least one must)
    artifact train.npz of prepare exists                  also: has rows >= 50000, has size < 2e9, has sha256 ab12…,
                                                          is unique by task_id
    step evaluate succeeded
    fact sandbox/sound of probe == true                   also a word, and `!=`
    package transformers of evaluate == 5.19.0            also: >=, <
    metric eval/accuracy of evaluate >= 0.9 in 4 of 5 seeds            of the first five seeds by their number
    lower bound of mean over 5 seeds of fact eval/accuracy of evaluate > 0.85
    lower bound of mean over 5 seeds of fact acc/ours > fact acc/base  of the difference, seed by seed
    manual: the energies look separated on the histogram

`of STEP` may be left out where the gate stands after one step. Pure: text in, dict out, or `CheckError`.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from typing import Any

from engine.protocol.releases import release

Check = dict[str, Any]

_NUMBER = r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_OP = r"<=|>=|==|!=|<|>"
_STEP = r"(?: of (?:step )?(?P<step>[\w.-]+))?"

_COMPARE = re.compile(
    r"(?:(?P<bound>lower|upper) bound of )?(?:mean over (?P<over>\d+) seeds of )?(?:(?P<which>all|any) )?"
    rf"(?:(?P<what>metric|fact) )?(?P<name>[^\s<>=!]+){_STEP}(?: (?P<take>last|min|max|mean))? ?(?P<rest>(?:{_OP}|between ).*)\Z"
)
_MANUAL = re.compile(r"manual ?:")
_SHA256 = re.compile(r"[0-9a-f]{8,64}\Z")
_SEEDS = re.compile(r"(?P<rest>.*) in (?P<least>\d+) of (?P<seeds>\d+) seeds\Z")
_BETWEEN = re.compile(rf"between (?P<low>{_NUMBER}) and (?P<high>{_NUMBER})\Z")
_AGAINST = re.compile(rf"(?P<op>{_OP}) ?(?P<value>.+)\Z")
_OTHER = re.compile(
    rf"(?P<what>metric|fact) (?P<name>[^\s<>=!]+){_STEP}(?: (?P<take>last|min|max|mean))?"
    rf"(?: (?P<sign>[-+]) (?P<plus>{_NUMBER}))?\Z"
)
_ARTIFACT = re.compile(rf"artifact (?P<path>\S+){_STEP} (?P<rest>exists|has .+|is unique by .+)\Z")
_HAS = re.compile(r"has (?P<what>rows|size|sha256) ?(?P<rest>.*)\Z")
_PACKAGE = re.compile(rf"package (?P<name>[\w.-]+){_STEP} (?P<op>{_OP}) ?(?P<version>[\w.+!-]+)\Z")
_STEP_DONE = re.compile(r"step (?P<step>[\w.-]+) succeeded\Z")

_FIRST_WORDS = ["metric", "fact", "all", "any", "lower", "upper", "mean", "artifact", "package", "step", "manual"]


class CheckError(ValueError):
    """A sentence that is no check; the message says what was expected."""


def compile_check(text: str, default_step: str | None = None) -> Check:
    """The check that a sentence states, with `id` and `text`."""
    words = " ".join(text.split())
    check = _compile(words, default_step)
    return {"id": check_id(words, steps_of(check)), "text": words, **check}


def check_id(text: str, steps: list[str]) -> str:
    """Of the sentence and the steps it means: an override or tick never carries over to a changed threshold, nor to the same
    words behind another step."""
    return hashlib.sha256("\n".join([text, *steps]).encode()).hexdigest()[:10]


def _compile(words: str, default_step: str | None) -> Check:
    if is_manual(words):
        return _manual(words)
    for pattern, build in ((_STEP_DONE, _step), (_ARTIFACT, _artifact), (_PACKAGE, _package), (_COMPARE, _compare)):
        found = pattern.match(words)
        if found:
            return build(found.groupdict(), default_step)
    raise CheckError(_not_understood(words))


def is_manual(text: str) -> bool:
    """Is it for a person to tick?"""
    return _MANUAL.match(text) is not None


def _manual(words: str) -> Check:
    question = words.partition(":")[2].strip()
    if not question:
        raise CheckError("a manual check says what to look at: `manual: the samples read well`")
    return {"kind": "manual", "question": question}


def _step(g: dict[str, Any], _: str | None) -> Check:
    return {"kind": "step", "step": g["step"]}


def _artifact(g: dict[str, Any], default_step: str | None) -> Check:
    check: Check = {"kind": "artifact", "path": g["path"], "step": _need_step(g, default_step)}
    rest = g["rest"]
    if rest == "exists":
        return {**check, "must": "exists"}
    if rest.startswith("is unique by "):
        return {**check, "must": "unique", "key": rest.removeprefix("is unique by ")}
    has = _HAS.match(rest)
    if has is None:
        raise CheckError(
            f"`artifact … {rest}`: an artifact `exists`, `has rows >= N`, `has size < N` or `has sha256 HEX`"
        )
    if has["what"] == "sha256":
        return {**check, "must": "sha256", "value": _sha256(has["rest"])}
    return {**check, "must": has["what"], **_condition(has["rest"], check["step"])}


def _sha256(text: str) -> str:
    value = text.removeprefix("==").strip().lower()
    if not _SHA256.match(value):
        raise CheckError(f"`has sha256 {text}`: give the hash, or its first eight digits or more")
    return value


def _package(g: dict[str, Any], default_step: str | None) -> Check:
    step = _need_step(g, default_step)
    if release(g["version"]) is None:
        raise CheckError(f"{g['version']!r} is no version of {g['name']}; write it like 2.13.0 or 2.13.0rc1")
    return {
        "kind": "package",
        "name": g["name"].lower().replace("_", "-"),
        "step": step,
        "op": g["op"],
        "value": g["version"],
    }


def _compare(g: dict[str, Any], default_step: str | None) -> Check:
    found = _SEEDS.match(g["rest"])
    rest = found["rest"] if found else g["rest"]
    seeds = {**(_some_seeds(found) if found else {}), **(_mean_over(g) if g["over"] else {})}
    if len(seeds) == 3:
        raise CheckError(
            "a check asks for the mean over seeds or for `in k of n seeds`, not for both; write two checks"
        )
    step = _need_step(g, default_step)
    if "*" in g["name"] and not g["which"]:
        raise CheckError(f"{g['name']} names many: say `all {g['name']} …` or `any {g['name']} …`")
    return {
        "kind": "compare",
        "what": g["what"] or "any",
        "name": g["name"],
        "step": step,
        "take": g["take"] or "last",
        "which": g["which"],
        "bound": g["bound"],
        **_condition(rest, step),
        **seeds,
    }


def _some_seeds(found: re.Match[str]) -> Check:
    least, seeds = int(found["least"]), int(found["seeds"])
    if not 1 <= least <= seeds:
        raise CheckError(f"`in {least} of {seeds} seeds` can't be: write at least 1, at most all of them")
    return {"least": least, "seeds": seeds}


def _mean_over(g: dict[str, Any]) -> Check:
    if g["which"]:
        raise CheckError(
            f"the mean over seeds is of one name, not of `{g['which']} {g['name']}`; write a check for each"
        )
    if int(g["over"]) < 2:
        raise CheckError(f"a mean over {g['over']} seeds is no mean; take at least 2")
    return {"mean_over": int(g["over"])}


def _condition(text: str, step: str) -> Check:
    """`< 0.2`, `between 1 and 2`, `== word`, `> fact other + 0.05`."""
    between = _BETWEEN.match(text)
    if between:
        low, high = _number(between["low"]), _number(between["high"])
        if low > high:
            raise CheckError(f"`{text}` holds no number; write the smaller one first")
        return {"op": "between", "value": [low, high]}
    against = _AGAINST.match(text)
    if against is None:
        raise CheckError(f"`{text}` is no condition: write `< 0.2`, `>= 100`, `== word` or `between 0.45 and 0.55`")
    other = _OTHER.match(against["value"])
    if other:
        plus = _number((other["sign"] or "+") + (other["plus"] or "0"))
        than = {"what": other["what"], "name": other["name"], "step": other["step"] or step, "plus": plus}
        return {"op": against["op"], "than": {**than, "take": other["take"] or "last"}}
    if re.match(_NUMBER + r"\Z", against["value"]):
        return {"op": against["op"], "value": _number(against["value"])}
    if against["op"] in ("==", "!=") and " " not in against["value"]:
        return {"op": against["op"], "value": _WORDS.get(against["value"], against["value"].strip("'\""))}
    raise CheckError(f"`{text}`: {against['value']!r} is neither a number nor `metric NAME` nor `fact NAME`")


_WORDS = {"true": True, "false": False}


def _number(text: str) -> float | int:
    value = float(text.replace("_", ""))
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _need_step(g: dict[str, Any], default_step: str | None) -> str:
    step: str | None = g.get("step") or default_step
    if step is None:
        raise CheckError(
            "say of which step: `… of STEP …` (it may be left out only where the gate stands after one step)"
        )
    return step


def _not_understood(words: str) -> str:
    first = words.split(" ", 1)[0].rstrip(":") if words else ""
    close = difflib.get_close_matches(first, _FIRST_WORDS, n=1)
    hint = f"; did you mean `{close[0]} …`?" if close and close[0] != first else ""
    return f"`{words}` is no check{hint} A check reads like `metric eval/accuracy of evaluate >= 0.9`".replace(
        "check A", "check. A"
    )


def steps_of(check: Check) -> list[str]:
    """Every step whose evidence the check needs."""
    found = [check["step"]] if "step" in check else []
    than = check.get("than")
    if than and than["step"] not in found:
        found.append(than["step"])
    return found
