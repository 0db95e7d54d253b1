"""Problems like ProsQA's, for where the training file is not at hand.

    samples = generate(17886, seed=0)

Guarantees: the vocabulary, the wording and every invariant of the published files; hops, nodes, in-degrees, persons and
option order drawn from the published files' own shares, so that their means agree within the bounds that the tests state.
Does not guarantee that a model trained on it does as well on the published test: it is a substitute, and is labelled so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from engine.data.prosqa import PERSONS, SPECIES, Sample

# Shares in the published validation and test files (800 samples).
HOPS = {3: 0.407, 4: 0.438, 5: 0.131, 6: 0.024}
NODES = {17: 6, 18: 7, 19: 31, 20: 53, 21: 97, 22: 142, 23: 155, 24: 149, 25: 98, 26: 47, 27: 12, 28: 2}
# A little above the published shares of in-degrees: an early node may find fewer parents than it drew.
PARENTS = {0: 0.027, 1: 0.445, 2: 0.297, 3: 0.150, 4: 0.057, 5: 0.018, 6: 0.006}
FIRST, SECOND = 0.33, 0.43  # where a new node looks for its parents: below one root, below the other, else anywhere
SECOND_ASKED = 0.55  # with the larger subtree this gives the published share of questions about node 1, 0.63
DEPTH_WEIGHT = 3  # a parent is the likelier the deeper it lies; this gives the published share of long chains


@dataclass
class Graph:
    """A graph in the making: nodes 0 and 1 are the roots, children come after their parents."""

    parents: list[list[int]] = field(default_factory=lambda: [[], []])
    children: list[list[int]] = field(default_factory=lambda: [[], []])
    below: list[set[int]] = field(default_factory=lambda: [{0}, {1}])
    """The roots that each node follows from."""
    depth: list[int] = field(default_factory=lambda: [0, 0])
    """Steps from the nearest node without parents."""

    def add(self, parents: list[int]) -> int:
        node = len(self.parents)
        self.parents.append(parents)
        self.children.append([])
        for parent in parents:
            self.children[parent].append(node)
        self.below.append(set().union(*(self.below[p] for p in parents)))
        self.depth.append(1 + min((self.depth[p] for p in parents), default=-1))
        return node

    def leaves_of(self, root: int) -> list[int]:
        """The leaves that follow from this root and not from the other."""
        return [n for n in range(2, len(self.parents)) if self.below[n] == {root} and not self.children[n]]

    def distances(self, root: int) -> dict[int, int]:
        """Steps from the root, one layer after the other: children need not come after their parents here."""
        found, layer = {root: 0}, [root]
        while layer:
            after = []
            for node in layer:
                for child in self.children[node]:
                    if child not in found:
                        found[child] = found[node] + 1
                        after.append(child)
            layer = after
        return found


def generate(count: int, seed: int) -> list[Sample]:
    """`count` problems; the same seed gives the same problems."""
    rng = Random(seed)
    return [problem(rng) for _ in range(count)]


def problem(rng: Random) -> Sample:
    """One problem, its hops drawn first and its graph drawn until it has them."""
    hops = pick(rng, HOPS)
    while True:
        graph = grow(rng, pick(rng, NODES))
        root = int(rng.random() < SECOND_ASKED)
        targets, wrongs = deepest(graph, root), graph.leaves_of(1 - root)
        if wrongs and targets and graph.distances(root)[targets[0]] == hops:
            return tell(rng, graph, root, rng.choice(targets), rng.choice(wrongs))


def grow(rng: Random, nodes: int) -> Graph:
    """A graph node by node, each with its parents among the earlier ones."""
    graph = Graph()
    while len(graph.parents) < nodes:
        draw = rng.random()
        side = {0} if draw < FIRST else {1} if draw < FIRST + SECOND else None
        near = [n for n in range(len(graph.parents)) if side is None or graph.below[n] == side]
        graph.add(weighted(rng, near, [DEPTH_WEIGHT * graph.depth[n] + 1 for n in near], pick(rng, PARENTS)))
    for node in range(2, nodes):
        if not graph.parents[node] and not graph.children[node]:
            _find_child(rng, graph, node)
    return graph


def _find_child(rng: Random, graph: Graph, person: int) -> None:
    """A person of whom nothing is said gets a species that comes later; the last node is made one instead."""
    later = [n for n in range(person + 1, len(graph.parents)) if graph.parents[n]]
    if later:
        child = rng.choice(later)
        graph.parents[child].append(person)
        graph.children[person].append(child)
    else:
        parent = rng.randrange(2, person)
        graph.parents[person].append(parent)
        graph.children[parent].append(person)
        graph.below[person] = set(graph.below[parent])


def deepest(graph: Graph, root: int) -> list[int]:
    """The leaves of this root alone that take the most steps: the published targets are among these."""
    far = graph.distances(root)
    leaves = graph.leaves_of(root)
    most = max((far[n] for n in leaves), default=0)
    return [n for n in leaves if far[n] == most]


def pick(rng: Random, shares: dict[int, float]) -> int:
    return rng.choices(list(shares), list(shares.values()))[0]


def weighted(rng: Random, items: list[int], weights: list[float], count: int) -> list[int]:
    """`count` different items (or all there are), the heavier the likelier."""
    items, weights, found = list(items), list(weights), []
    while items and len(found) < count:
        at = rng.choices(range(len(items)), weights)[0]
        found.append(items.pop(at))
        weights.pop(at)
    return found


def tell(rng: Random, graph: Graph, root: int, target: int, wrong: int) -> Sample:
    """The graph in ProsQA's words: names for nodes, shuffled facts, a question with shuffled options."""
    names = name_nodes(rng, graph)
    edges = [(parent, node) for node, parents in enumerate(graph.parents) for parent in parents]
    facts = [fact(names, edge) for edge in edges]
    rng.shuffle(facts)
    first, second = rng.sample([names[target], names[wrong]], 2)
    return Sample(
        question=f"{' '.join(facts)} Is {names[root]} a {first} or {second}?",
        answer=f"{names[root]} is a {names[target]}.",
        steps=tuple(fact(names, edge) for edge in shortest_path(rng, graph, root, target)),
        idx_to_symbol=tuple(names),
        edges=tuple(edges),
        root=root,
        target=target,
        neg_target=wrong,
    )


def name_nodes(rng: Random, graph: Graph) -> list[str]:
    """Persons for nodes that follow from nothing, species for the others."""
    persons = iter(rng.sample(PERSONS, len(PERSONS)))
    species = iter(rng.sample(SPECIES, len(SPECIES)))
    return [next(species if parents else persons) for parents in graph.parents]


def fact(names: list[str], edge: tuple[int, int]) -> str:
    above, below = names[edge[0]], names[edge[1]]
    return f"{above} is a {below}." if above in PERSONS else f"Every {above} is a {below}."


def shortest_path(rng: Random, graph: Graph, root: int, target: int) -> list[tuple[int, int]]:
    """One of the shortest chains, by chance where there are several."""
    far = graph.distances(root)
    path, node = [], target
    while node != root:
        parent = rng.choice([p for p in graph.parents[node] if far.get(p, len(far)) == far[node] - 1])
        path.append((parent, node))
        node = parent
    return path[::-1]
