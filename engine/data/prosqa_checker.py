"""Proves that a ProsQA sample is what it claims to be, from its words alone.

    complaints = check(sample)                    # [] when every claim holds
    complaints = check(sample, RULES["dense"])    # and what its out-of-distribution set promises

Guarantees: the graph is read from the question's sentences, not from `edges`, and shares no code with the generators, so
that a generator's mistake can't hide in it. Public replications of the out-of-distribution sets had no edge from the person
to the chain, reachable wrong options and cycles; each of these is a complaint here.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from engine.data.prosqa import PERSONS, SPECIES, Sample

_FACT = re.compile(r"(?:Every ([a-z]+)|([A-Z][a-z]+)) is a ([a-z]+)\.")
_QUERY = re.compile(r"Is ([A-Z][a-z]+) a ([a-z]+) or ([a-z]+)\?")

Edge = tuple[str, str]


@dataclass(frozen=True)
class Rule:
    """What an out-of-distribution set promises beyond ProsQA's own form."""

    hops: int
    tree: bool = False
    """Every species is said of exactly one other name."""
    convergent: bool = False
    """Every species that no person is directly has two parents or more, and several paths lead to the target."""
    branching: tuple[int, int] | None = None
    """Every name with children has this many."""


RULES = {
    "7hop": Rule(hops=7, tree=True),
    "8hop": Rule(hops=8, tree=True),
    "dag": Rule(hops=4, convergent=True),
    "dense": Rule(hops=4, branching=(5, 8)),
}


@dataclass
class Told:
    """What the words of a question say."""

    edges: list[Edge]
    person: str
    options: tuple[str, str]
    children: dict[str, list[str]] = field(default_factory=dict)
    parents: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for above, below in self.edges:
            self.children.setdefault(above, []).append(below)
            self.parents.setdefault(below, []).append(above)

    @property
    def names(self) -> set[str]:
        return {name for edge in self.edges for name in edge}


def check(sample: Sample, rule: Rule | None = None) -> list[str]:
    """Every claim that does not hold, in words; an unreadable question ends the list early."""
    told = read_question(sample.question)
    if isinstance(told, str):
        return [told]
    found = [*_vocabulary(told), *_graph_agrees(sample, told), *_shape(sample, told)]
    if not _acyclic(told):
        return [*found, "the facts run in a circle"]
    found += [*_query(sample, told), *_steps(sample, told), *_endings(sample, told)]
    return found + (_promises(sample, told, rule) if rule is not None else [])


def read_question(text: str) -> Told | str:
    """The facts and the query of a question, or why it can't be read."""
    facts, ending = [], text
    while match := _FACT.match(ending):
        facts.append((match[1] or match[2], match[3]))
        ending = ending[match.end() :].removeprefix(" ")
    query = _QUERY.fullmatch(ending)
    if query is None:
        return f"wording unlike ProsQA's at {ending[:60]!r}"
    if " ".join([*(_sentence(edge) for edge in facts), query[0]]) != text:
        return "sentences are not parted by single spaces"
    return Told(facts, query[1], (query[2], query[3]))


def _sentence(edge: Edge) -> str:
    above, below = edge
    return f"{above} is a {below}." if above in PERSONS else f"Every {above} is a {below}."


def _vocabulary(told: Told) -> Iterable[str]:
    for name in sorted(told.names | set(told.options) | {told.person}):
        if name not in PERSONS and name not in SPECIES:
            yield f"{name!r} is not a word of ProsQA"


def _graph_agrees(sample: Sample, told: Told) -> Iterable[str]:
    names = sample.idx_to_symbol
    if len(set(names)) != len(names):
        yield "a name stands for two nodes"
    if not all(0 <= i < len(names) for edge in sample.edges for i in edge):
        yield "an edge names a node that does not exist"
        return
    drawn = Counter((names[a], names[b]) for a, b in sample.edges)
    if drawn != Counter(told.edges):
        yield "edges and sentences tell different graphs"
    if max(drawn.values(), default=1) > 1:
        yield "a fact is told twice"
    if set(names) != told.names:
        yield "a node has no fact"


def _shape(sample: Sample, told: Told) -> Iterable[str]:
    if any(a >= b for a, b in sample.edges):
        yield "node numbers are not in topological order"
    if [b for _, b in sample.edges] != sorted(b for _, b in sample.edges):
        yield "edges are not sorted by their end"
    if sample.root not in (0, 1):
        yield "the question's root is neither node 0 nor node 1"
    for name in sorted(told.names):
        if (name in PERSONS) != (name not in told.parents):
            yield f"{name} is {'a person with a parent' if name in PERSONS else 'a species without one'}"


def _acyclic(told: Told) -> bool:
    """Take sources away until nothing is left, or a circle."""
    waiting = {name: len(told.parents.get(name, [])) for name in told.names}
    free = deque(name for name, parents in waiting.items() if not parents)
    taken = 0
    while free:
        taken += 1
        for below in told.children.get(free.popleft(), []):
            waiting[below] -= 1
            if not waiting[below]:
                free.append(below)
    return taken == len(waiting)


def distances(told: Told, start: str) -> dict[str, int]:
    """Steps from `start` to everything that follows from it."""
    found = {start: 0}
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        for below in told.children.get(name, []):
            if below not in found:
                found[below] = found[name] + 1
                waiting.append(below)
    return found


def _query(sample: Sample, told: Told) -> Iterable[str]:
    names = sample.idx_to_symbol
    if told.person != names[sample.root]:
        yield "the question asks about another name than the root"
    target, wrong = names[sample.target], names[sample.neg_target]
    if set(told.options) != {target, wrong} or target == wrong:
        yield "the options are not the target and the wrong target"
    if sample.answer != f"{told.person} is a {target}.":
        yield f"the answer {sample.answer!r} does not name the target"
    own, other = distances(told, told.person), distances(told, names[1 - sample.root])
    if target not in own:
        yield "the target does not follow from the facts"
    if wrong in own:
        yield "the wrong option follows from the facts"
    if target in other:
        yield "the target follows from the other root too"
    if wrong not in other:
        yield "the wrong option follows from nothing"


def _steps(sample: Sample, told: Told) -> Iterable[str]:
    if not sample.steps:
        yield "there are no steps"
        return
    facts = [_FACT.fullmatch(step) for step in sample.steps]
    if not all(facts):
        yield "a step is worded unlike a fact"
        return
    path = [(match[1] or match[2], match[3]) for match in facts if match]
    if any(edge not in told.edges for edge in path) or any(
        _sentence(e) != s for e, s in zip(path, sample.steps, strict=True)
    ):
        yield "a step is not among the facts"
    if path[0][0] != told.person or any(a[1] != b[0] for a, b in pairwise(path)):
        yield "the steps are no chain from the person"
    target = sample.idx_to_symbol[sample.target]
    if path[-1][1] != target:
        yield "the steps do not end at the target"
    if len(path) != distances(told, told.person).get(target):
        yield "the labelled path is not a shortest one"


def _endings(sample: Sample, told: Told) -> Iterable[str]:
    names = sample.idx_to_symbol
    target, wrong = names[sample.target], names[sample.neg_target]
    for what, name in (("target", target), ("wrong option", wrong)):
        if name in told.children:
            yield f"the {what} is not a leaf"
    own, other = distances(told, told.person), distances(told, names[1 - sample.root])
    rivals = [d for name, d in own.items() if name not in other and name not in told.children]
    if target in own and own[target] != max(rivals, default=own[target]):
        yield "a leaf lies deeper than the target"


def _promises(sample: Sample, told: Told, rule: Rule) -> list[str]:
    found = [] if sample.hops == rule.hops else [f"{sample.hops} steps where the set promises {rule.hops}"]
    if rule.tree and any(len(parents) != 1 for parents in told.parents.values()):
        found.append("a species has several parents in a set of trees")
    if rule.convergent:
        found += _convergent(sample, told)
    if rule.branching is not None:
        low, high = rule.branching
        wrong = sorted(n for n, below in told.children.items() if not low <= len(below) <= high)
        found += [f"{n} has {len(told.children[n])} children, not {low} to {high}" for n in wrong]
    return found


def _convergent(sample: Sample, told: Told) -> Iterable[str]:
    for name, above in sorted(told.parents.items()):
        if len(above) < 2 and above[0] not in PERSONS:
            yield f"{name} has one parent in a set where paths meet"
    target = sample.idx_to_symbol[sample.target]
    if paths(told, told.person, target) < 2:
        yield "only one path leads to the target"


def paths(told: Told, start: str, end: str) -> int:
    """How many ways lead from `start` to `end` in a graph without circles."""
    known: dict[str, int] = {end: 1}

    def count(name: str) -> int:
        if name not in known:
            known[name] = sum(count(below) for below in told.children.get(name, []))
        return known[name]

    return count(start)


@dataclass(frozen=True)
class Proof:
    """What a whole set came to."""

    samples: int
    sound: int
    overlap: int
    complaints: tuple[str, ...]
    """The first few, each with the number of its sample."""

    @property
    def passed(self) -> bool:
        return self.samples == self.sound and not self.overlap


def prove(samples: list[Sample], rule: Rule | None = None, seen: set[frozenset[str]] | None = None) -> Proof:
    """Check every sample of a set, and that no problem of `seen` is among them, however its sentences are ordered."""
    said: list[str] = []
    sound = overlap = 0
    for at, sample in enumerate(samples):
        complaints = check(sample, rule)
        sound += not complaints
        said += [f"sample {at}: {text}" for text in complaints]
        overlap += seen is not None and content(sample) in seen
    return Proof(len(samples), sound, overlap, tuple(said[:10]))


def content(sample: Sample) -> frozenset[str]:
    """A problem without the order of its sentences and options: equal contents are the same problem."""
    told = read_question(sample.question)
    if isinstance(told, str):
        return frozenset([sample.question])
    return frozenset([*(_sentence(edge) for edge in told.edges), told.person, *told.options])
