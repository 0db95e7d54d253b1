"""Multi-step arithmetic word problems in GSM8K's JSONL format, generated from a seed.

    python -m engine.data.arithmetic 5 --seed 1        # prints five problems

Guarantees: the same seed gives the same problems on every machine; no two problems have the same question; every
annotation `<<a*b=c>>` is true, uses integers only and stays under the stated sizes; every template comes with several
wordings; a *twin* differs from its problem in one relation only ("gives away" against "receives"), with the same numbers.
Does not guarantee: that the stories are interesting. Rows carry `"generator": "fractal-arithmetic-1"`, so that nobody
takes them for GSM8K.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

GENERATOR = "fractal-arithmetic-1"


def _words_of(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words_of(
    "Ada Amir Ana Bela Ben Boris Carla Chen Clara Dara Diego Dina Ella Emil Eva Farid Femi Gina Goran Hana Hugo Ida Igor "
    "Ines Ivan Jana Jonas Kai Kira Lars Lena Leo Lina Luca Maja Malik Mara Mei Milo Mira Nadia Niko Nina Noor Olga Omar "
    "Otto Paula Petra Rafa Rana Rosa Sami Sara Selma Sven Tara Tim Uma Vera Viktor Yara Yusuf Zoe"
)
THINGS = _words_of(
    "apples beads books bottles bricks buttons candles cards chairs coins cookies cups eggs envelopes flowers jars keys "
    "lamps lemons marbles melons muffins nails notebooks pages pears pencils photos plates postcards potatoes puzzles "
    "ribbons rocks seeds shells shirts stamps stickers stones tickets tiles tomatoes towels toys tulips"
)
HOLDERS = _words_of(
    "bags baskets boxes buckets cartons cases chests crates drawers packs piles rows sacks shelves trays"
)


@dataclass(frozen=True)
class Limits:
    """How large the numbers of one problem may become."""

    operand: int = 999
    result: int = 9999

    def allow(self, op: str, a: int, b: int) -> bool:
        result = compute(op, a, b)
        return result is not None and max(a, b) <= self.operand and 0 < result <= self.result


@dataclass(frozen=True)
class Relation:
    """One turn of a story. `family` names the turn and its opposite together; `side` turns compute a quantity of their own."""

    name: str
    family: str
    op: str
    wordings: tuple[str, ...]
    reasons: tuple[str, ...]
    side: str | None = None
    """The operation between the two stated numbers, for a turn that has a step of its own before it joins the total."""


def _both(family: str, plus: Relation, minus: Relation) -> tuple[Relation, Relation]:
    assert plus.family == minus.family == family
    assert len(plus.wordings) == len(minus.wordings), f"{family}: a twin needs the same number of wordings"
    return plus, minus


# {n} the number, {k} and {m} the two numbers of a side turn, {who} the hero, {other} a friend, {things} and {holders} nouns.
RELATIONS: tuple[Relation, ...] = (
    *_both(
        "friend",
        Relation(
            "receives",
            "friend",
            "+",
            (
                "{other} gives {who} {n} {things}.",
                "{who} receives {n} {things} from {other}.",
                "Then {other} hands {n} {things} over to {who}.",
            ),
            ("With those of {other}, {who} has", "After the gift {who} has"),
        ),
        Relation(
            "gives",
            "friend",
            "-",
            (
                "{who} gives {other} {n} {things}.",
                "{other} receives {n} {things} from {who}.",
                "Then {who} hands {n} {things} over to {other}.",
            ),
            ("Without those of {other}, {who} has", "After giving them away {who} has"),
        ),
    ),
    *_both(
        "market",
        Relation(
            "buys",
            "market",
            "+",
            ("{who} buys {n} {things} at the market.", "At the shop {who} gets {n} more {things}."),
            ("After shopping there are", "So now {who} owns"),
        ),
        Relation(
            "sells",
            "market",
            "-",
            ("{who} sells {n} {things} at the market.", "At the shop {who} parts with {n} of the {things}."),
            ("After selling there are", "So now {who} keeps"),
        ),
    ),
    *_both(
        "luck",
        Relation(
            "finds",
            "luck",
            "+",
            ("On the way home {who} finds {n} {things}.", "{n} {things} turn up in the cellar."),
            ("With the found ones that makes", "Now the count is"),
        ),
        Relation(
            "loses",
            "luck",
            "-",
            ("On the way home {who} loses {n} {things}.", "{n} {things} break in the cellar."),
            ("Without the lost ones that makes", "Now only this many are left:"),
        ),
    ),
    *_both(
        "many",
        Relation(
            "fills",
            "many",
            "*",
            (
                "There are {n} such collections.",
                "{n} children have that many each.",
                "This happens on {n} days in a row.",
            ),
            ("All together that is", "In total there are"),
        ),
        Relation(
            "divides",
            "many",
            "/",
            (
                "They are put into {n} equal collections; one is kept.",
                "{n} children share them equally; look at one share.",
                "This is to last for {n} equal days; look at one day.",
            ),
            ("Each part holds", "One share is"),
        ),
    ),
    *_both(
        "packs in",
        Relation(
            "adds packs",
            "packs in",
            "+",
            ("{who} adds {k} {holders} of {m} {things} each.", "{k} {holders} with {m} {things} each arrive."),
            ("Put together there are", "With them the total is"),
            "*",
        ),
        Relation(
            "removes packs",
            "packs in",
            "-",
            (
                "{who} takes out {k} {holders} of {m} {things} each.",
                "{k} {holders} with {m} {things} each are carried off.",
            ),
            ("Taken away, that leaves", "Without them the total is"),
            "*",
        ),
    ),
    *_both(
        "share in",
        Relation(
            "adds share",
            "share in",
            "+",
            (
                "{k} {things} are split fairly among {m} friends, and {who} adds one share.",
                "{other} parts {k} {things} into {m} equal lots; one lot goes to {who}.",
            ),
            ("With the share there are", "Adding the lot gives"),
            "/",
        ),
        Relation(
            "pays share",
            "share in",
            "-",
            (
                "A debt of {k} {things} is split fairly among {m} friends, and {who} pays one share.",
                "{other} parts a bill of {k} {things} into {m} equal lots; {who} settles one lot.",
            ),
            ("After the share there are", "Subtracting the lot gives"),
            "/",
        ),
    ),
)
OPENINGS = (
    "{who} has {n} {things}.",
    "At first {who} counts {n} {things}.",
    "There are {n} {things} on the table of {who}.",
    "{who} starts with {n} {things}.",
)
ASKS = (
    "How many {things} are there in the end?",
    "What is the final number of {things}?",
    "How many {things} does that make?",
)
SIDE_REASONS = {"*": "The {holders} hold", "/": "One share is"}
OPPOSITE = {a.name: b for a in RELATIONS for b in RELATIONS if a.family == b.family and a is not b}


@dataclass(frozen=True)
class Template:
    """A chain of families with their wordings: what is held out as a whole when a split is by template."""

    relations: tuple[Relation, ...]
    wordings: tuple[int, ...]
    opening: int
    asking: int

    @property
    def name(self) -> str:
        """The same for a problem and its twin: families, not relations."""
        turns = (f"{r.family}.{w}" for r, w in zip(self.relations, self.wordings, strict=True))
        return f"{self.opening}|{'|'.join(turns)}|{self.asking}".replace(" ", "-")


@dataclass(frozen=True)
class Problem:
    """One row of the JSONL file. `question` and `answer` are GSM8K's; the rest is ours."""

    question: str
    answer: str
    id: str
    template: str
    twin_of: str | None = None
    """The problem with the same numbers that this one differs from in one relation."""
    twin_step: int | None = None
    """The line of the answer where the two part ways."""
    generator: str = GENERATOR


def compute(op: str, a: int, b: int) -> int | None:
    """`a op b` where it is a positive whole number, else None."""
    if op == "/":
        return a // b if b and a % b == 0 else None
    result = {"+": a + b, "-": a - b, "*": a * b}[op]
    return result if result > 0 else None


def templates(seed: int, count: int) -> list[Template]:
    """Distinct chains of two to four turns."""
    rng = random.Random(f"templates {seed}")
    found: dict[str, Template] = {}
    while len(found) < count:
        relations = tuple(rng.choice(RELATIONS) for _ in range(rng.choice((1, 2, 2, 3, 3, 4))))
        wordings = tuple(rng.randrange(len(r.wordings)) for r in relations)
        template = Template(relations, wordings, rng.randrange(len(OPENINGS)), rng.randrange(len(ASKS)))
        found.setdefault(template.name, template)
    return list(found.values())


def problems(seed: int, count: int, template_count: int = 400, limits: Limits | None = None) -> Iterator[Problem]:
    """`count` distinct problems; every other one is the twin of the one before, where a twin is possible."""
    limits = limits or Limits()
    chosen = templates(seed, template_count)
    rng = random.Random(f"problems {seed}")
    seen: set[str] = set()
    made = 0
    while made < count:
        template = chosen[rng.randrange(len(chosen))]
        for problem in _problem_and_twin(template, f"g{seed}-{made}", rng, limits):
            if made < count and problem.question not in seen:
                seen.add(problem.question)
                made += 1
                yield problem


@dataclass(frozen=True)
class _Numbers:
    start: int
    turns: tuple[tuple[int, ...], ...]
    """One number for a plain turn, two for a side turn."""


def _problem_and_twin(template: Template, name: str, rng: random.Random, limits: Limits) -> list[Problem]:
    numbers = _draw(template.relations, rng, limits)
    if numbers is None:
        return []
    words = _words(rng)
    found = [_write(template, numbers, words, name)]
    at = rng.randrange(len(template.relations))
    twin_relations = list(template.relations)
    twin_relations[at] = OPPOSITE[twin_relations[at].name]
    if _follow(tuple(twin_relations), numbers, limits) is not None:
        twin = Template(tuple(twin_relations), template.wordings, template.opening, template.asking)
        step = sum(2 if r.side else 1 for r in template.relations[: at + 1]) - 1
        problem = _write(twin, numbers, words, name + "t")
        found.append(Problem(**asdict(problem) | {"twin_of": name, "twin_step": step}))
    return found


def _words(rng: random.Random) -> dict[str, str]:
    who, other = rng.sample(NAMES, 2)
    return {"who": who, "other": other, "things": rng.choice(THINGS), "holders": rng.choice(HOLDERS)}


def _draw(relations: tuple[Relation, ...], rng: random.Random, limits: Limits) -> _Numbers | None:
    """Numbers under which every step of the chain comes out whole, positive and small enough; None after many tries."""
    for _ in range(40):
        start = _log_uniform(rng, 2, limits.operand)
        total: int | None = start
        turns = []
        for relation in relations:
            numbers = _turn_numbers(relation, total, rng, limits)
            total = _after(relation, total, numbers, limits)
            if total is None:
                break
            turns.append(numbers)
        if total is not None:
            return _Numbers(start, tuple(turns))
    return None


def _turn_numbers(relation: Relation, total: int, rng: random.Random, limits: Limits) -> tuple[int, ...]:
    op = relation.side or relation.op
    if relation.side:
        k, m = _factors(rng, limits)
        return (k * m, m) if op == "/" else (k, m)
    if op == "*":
        return (_log_uniform(rng, 2, max(2, min(99, limits.result // total))),)
    if op == "/":
        divisors = [d for d in range(2, 100) if total % d == 0 and d < total]
        return (rng.choice(divisors) if divisors else 2,)
    return (_log_uniform(rng, 1, total - 1 if op == "-" and total > 2 else limits.operand),)


def _factors(rng: random.Random, limits: Limits) -> tuple[int, int]:
    small = _log_uniform(rng, 2, 60)
    large = _log_uniform(rng, 2, max(2, min(limits.operand // small, 200)))
    return (small, large) if rng.random() < 0.5 else (large, small)


def _log_uniform(rng: random.Random, low: int, high: int) -> int:
    """Small numbers as often as large ones, as in real word problems."""
    return min(high, int(math.exp(rng.uniform(math.log(low), math.log(high + 1)))))


def _steps_of(relation: Relation, total: int, numbers: tuple[int, ...]) -> list[tuple[str, int, int]]:
    if relation.side is None:
        return [(relation.op, total, numbers[0])]
    side = compute(relation.side, *numbers)
    return [(relation.side, *numbers), (relation.op, total, side or 0)]


def _after(relation: Relation, total: int, numbers: tuple[int, ...], limits: Limits) -> int | None:
    """The total after a turn; None where a step leaves the limits or is no whole number."""
    steps = _steps_of(relation, total, numbers)
    if not all(limits.allow(*step) for step in steps):
        return None
    return compute(*steps[-1])


def _follow(relations: tuple[Relation, ...], numbers: _Numbers, limits: Limits) -> int | None:
    total: int | None = numbers.start
    for relation, given in zip(relations, numbers.turns, strict=True):
        if total is None:
            return None
        total = _after(relation, total, given, limits)
    return total


def _write(template: Template, numbers: _Numbers, words: dict[str, str], name: str) -> Problem:
    """The story and its solution in GSM8K's layout."""
    story = [OPENINGS[template.opening].format(n=numbers.start, **words)]
    lines = []
    total = numbers.start
    for relation, wording, given in zip(template.relations, template.wordings, numbers.turns, strict=True):
        values = {"k": given[0], "m": given[1]} if relation.side else {"n": given[0]}
        story.append(relation.wordings[wording].format(**values, **words))
        steps = _steps_of(relation, total, given)
        reasons = [SIDE_REASONS[relation.side]] if relation.side else []
        reasons.append(relation.reasons[wording % len(relation.reasons)])
        for (op, a, b), reason in zip(steps, reasons, strict=True):
            result = compute(op, a, b)
            lines.append(f"{reason.format(**words)} {a} {op} {b} = <<{a}{op}{b}={result}>>{result} {words['things']}.")
        total = compute(*steps[-1]) or 0
    question = " ".join([*story, ASKS[template.asking].format(**words)])
    return Problem(question, "\n".join([*lines, f"#### {total}"]), name, template.name)


def to_json(problem: Problem) -> str:
    row = {key: value for key, value in asdict(problem).items() if value is not None}
    return json.dumps(row, ensure_ascii=False)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    for problem in problems(given.seed, given.count):
        print(to_json(problem))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
