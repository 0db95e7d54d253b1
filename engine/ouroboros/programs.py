"""Correct and wrong programs that differ in one slip, labelled by running them in the project's sandbox.

HumanEval's references where $FRACTAL_DATA has them, else those of the project's own problems. A reference in another style is
the correct one, the same with one slip the wrong one; both are executed, and a pair stands only where the first passes and
the second fails (a slip that changes nothing is dropped and counted).

Slips would tell themselves (`<=` is more often right than `<`), so pairs are matched *two by two*: where one problem's slip turns
token x into y, another problem's turns y into x. Every token then stands equally often on both sides, and no bag of tokens
carries signal. What has no counterpart is left out and counted.
"""

from __future__ import annotations

import io
import random
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.config.ouroboros import Programs
from engine.data.gsm8k import data_folder
from engine.ouroboros.errors import Refused
from engine.verify.critic.tokens import normal_form
from engine.verify.generate.mutate import restyle, slip
from engine.verify.problems import source
from engine.verify.problems.problem import BadData, Problem
from engine.verify.sandbox.pool import Pool
from engine.verify.sandbox.verdict import SandboxBroken, Verdict

_FILE = "HumanEval.jsonl.gz"
_LAYOUT = (tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER, tokenize.NEWLINE)
Change = tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]
"""Tokens that a slip takes away, and those that it brings."""


@dataclass(frozen=True)
class Pair:
    """`right` passes its problem's tests, `wrong` doesn't."""

    problem: str
    text: str
    right: str
    wrong: str
    slip: str
    reason: str = ""
    """Why the sandbox failed it."""
    partner: int = -1
    """Index of the pair with the opposite slip; -1 while there is none."""


@dataclass(frozen=True)
class Made:
    """Pairs in their partners' company, and what was left out."""

    source: str
    train: list[Pair]
    held_out: list[Pair]
    executed: int
    equivalent: int
    """Slips that passed all tests: no error, dropped."""
    alone: int
    """Pairs without a counterpart."""

    def counts(self) -> dict[str, int]:
        return dict(Counter(pair.slip for pair in [*self.train, *self.held_out]))


def problems_of(cfg: Programs) -> tuple[str, list[Problem]]:
    """HumanEval where it is at hand or asked for, else the project's own."""
    folder = data_folder()
    there = folder is not None and (folder / _FILE).exists()
    if cfg.source == "humaneval" and not there:
        raise Refused(f"HumanEval is not there: set FRACTAL_DATA to a folder with {_FILE}, or use programs.source=own")
    name = "humaneval" if there and cfg.source != "own" else "own"
    try:
        return name, source.load(name, folder)[: cfg.problems]
    except BadData as error:
        raise Refused(str(error)) from None


def drafts(problem: Problem, tries: int, seed: int) -> Iterator[Pair]:
    """Pairs that are yet to be executed, no two wrong programs of a problem equal up to names."""
    rng = random.Random(f"{seed} {problem.task_id}")
    seen = set()
    for _ in range(tries):
        right = restyle(problem.reference, rng)
        wrong, made = slip(right, rng, 1)
        name = normal_form(wrong)
        if made and name not in seen:
            seen.add(name)
            yield Pair(problem.task_id, problem.text, right, wrong, made[0])


def with_counterparts(found: Sequence[Pair]) -> list[Pair]:
    """Those whose opposite change exists too: the others could never be matched, and running them would be for nothing."""
    changes = [change_of(pair.right, pair.wrong) for pair in found]
    there = set(changes)
    return [
        p for p, (taken, brought) in zip(found, changes, strict=True) if (brought, taken) in there - {(taken, brought)}
    ]


def execute(found: Sequence[Pair], problems: Sequence[Problem], cfg: Programs) -> dict[str, Verdict]:
    """A verdict for every program, by `right`/`wrong` and the pair's index."""
    by_id = {p.task_id: replace(p, tests=replace(p.tests, cpu_s=min(p.tests.cpu_s, cfg.cpu_s))) for p in problems}
    samples = [
        by_id[pair.problem].sample(f"{side} {at}", getattr(pair, side))
        for at, pair in enumerate(found)
        for side in ("right", "wrong")
    ]
    try:
        with Pool(cfg.workers) as pool:
            return {verdict.key: verdict for verdict in pool.judge(samples)}
    except SandboxBroken as error:
        raise Refused(f"the programs can't be executed here: {error}") from None


def change_of(right: str, wrong: str) -> Change:
    before, after = Counter(words_of(right)), Counter(words_of(wrong))
    return tuple(sorted((before - after).items())), tuple(sorted((after - before).items()))


def words_of(code: str) -> list[str]:
    """The program's own tokens, indentation told by its depth."""
    kinds = {tokenize.INDENT: "[IN]", tokenize.DEDENT: "[OUT]"}
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return [kinds.get(t.type, t.string) for t in tokens if t.type not in _LAYOUT]


def matched(pairs: Sequence[Pair], most: int, rng: random.Random) -> list[Pair]:
    """Pairs beside those with the opposite change, of another problem, at most `most` of a problem."""
    waiting: dict[Change, list[Pair]] = defaultdict(list)
    used: Counter[str] = Counter()
    found: list[Pair] = []
    for pair in rng.sample(pairs, len(pairs)):
        taken, brought = change_of(pair.right, pair.wrong)
        if used[pair.problem] >= most or taken == brought:
            continue
        partners = [p for p in waiting[brought, taken] if p.problem != pair.problem and used[p.problem] < most]
        if not partners:
            waiting[taken, brought].append(pair)
            continue
        waiting[brought, taken].remove(partners[0])
        for one in (partners[0], pair):
            used[one.problem] += 1
        at = len(found)
        found += [_beside(partners[0], at + 1), _beside(pair, at)]
    return found


def _beside(pair: Pair, partner: int) -> Pair:
    return replace(pair, partner=partner)


def make(cfg: Programs, seed: int) -> Made:
    """Draft, execute, label, split by problem, match."""
    name, problems = problems_of(cfg)
    drafted = with_counterparts([pair for problem in problems for pair in drafts(problem, cfg.tries, seed)])
    verdicts = execute(drafted, problems, cfg)
    told, equivalent = [], 0
    for at, pair in enumerate(drafted):
        right, wrong = verdicts[f"right {at}"], verdicts[f"wrong {at}"]
        equivalent += right.ok and wrong.ok
        if right.ok and not wrong.ok:
            told.append(replace(pair, reason=wrong.reason))
    rng = random.Random(seed)
    names = sorted({p.task_id for p in problems})
    rng.shuffle(names)
    kept = set(names[: round(cfg.held_out_share * len(names))])
    train = matched([p for p in told if p.problem not in kept], cfg.most_pairs, rng)
    held_out = matched([p for p in told if p.problem in kept], cfg.most_pairs, rng)
    if not train or not held_out:
        raise Refused(f"no balanced pairs came of {len(problems)} problems: raise programs.problems or programs.tries")
    alone = len(told) - len(train) - len(held_out)
    return Made(name, train, held_out, 2 * len(drafted), equivalent, alone)


def rows_of(made: Made) -> Iterator[dict[str, object]]:
    """One program a row, half of them wrong: what programs.jsonl holds."""
    for split, pairs in (("train", made.train), ("held out", made.held_out)):
        for at, pair in enumerate(pairs):
            about = {
                "source": made.source,
                "split": split,
                "problem": pair.problem,
                "pair": at,
                "partner": pair.partner,
            }
            yield {**about, "code": pair.right, "wrong": False, "slip": "", "reason": "ok"}
            yield {**about, "code": pair.wrong, "wrong": True, "slip": pair.slip, "reason": pair.reason}


def file_of(out: Path) -> Path:
    return out / "programs.jsonl"
