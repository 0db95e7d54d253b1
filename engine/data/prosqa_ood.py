"""The four out-of-distribution sets, correct by construction: 7 hops, 8 hops, paths that meet, dense branching.

    samples = generate_set("dense", 1000, seed=42)

Each differs from ProsQA in the one thing that its name says and keeps all else: two persons at the roots, a target that is the
deepest leaf of its root alone, a wrong option that follows from the other root alone, ProsQA's words. What a set promises stands
in `engine.data.prosqa_checker.RULES`, which proves every sample without sharing code with this file.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from engine.data.prosqa import Sample
from engine.data.prosqa_generator import Graph, deepest, tell, weighted

_SPECIES_LEFT = 36  # of 38: room for the last parent's last child


def generate_set(name: str, count: int, seed: int) -> list[Sample]:
    """`count` problems of one set."""
    rng = Random(f"{name} {seed}")
    return [_problem(rng, _MAKERS[name]) for _ in range(count)]


def _problem(rng: Random, make: Callable[[Random], tuple[Graph, int]]) -> Sample:
    """One problem; the roots' numbers are a coin's choice, so that the number says nothing."""
    while True:
        graph, target = make(rng)
        wrongs = graph.leaves_of(1)
        if wrongs and target in deepest(graph, 0):
            graph, where = _in_order(rng, graph)
            return tell(rng, graph, where[0], where[target], where[rng.choice(wrongs)])


def _in_order(rng: Random, graph: Graph) -> tuple[Graph, list[int]]:
    """The same graph with its nodes numbered by a random topological order, roots first; and each node's new number."""
    waiting = [len(parents) for parents in graph.parents]
    free, where = [0, 1], [0] * len(waiting)
    ordered = Graph(parents=[], children=[], below=[], depth=[])
    roots = rng.sample([0, 1], 2)
    for node in roots:
        where[node] = roots.index(node)
    for _ in waiting:
        node = roots.pop(0) if roots else free.pop(rng.randrange(len(free)))
        if node in free:
            free.remove(node)
        where[node] = len(ordered.parents)
        ordered.add([where[p] for p in graph.parents[node]])
        for child in graph.children[node]:
            waiting[child] -= 1
            if not waiting[child]:
                free.append(child)
    return ordered, where


def _tree(hops: int) -> Callable[[Random], tuple[Graph, int]]:
    """Two trees; the chain to the target comes first and nothing of its own tree grows deeper."""

    def make(rng: Random) -> tuple[Graph, int]:
        graph = Graph()
        tip = 0
        for _ in range(hops):
            tip = graph.add([tip])
        size = rng.randint(hops + 12, 28)
        while len(graph.parents) < size:
            side = rng.randrange(2)
            near = [
                n for n in range(len(graph.parents)) if graph.below[n] == {side} and graph.depth[n] < hops and n != tip
            ]
            graph.add(weighted(rng, near, [2 * graph.depth[n] + 1 for n in near], 1))
        return graph, tip

    return make


def _dag(rng: Random) -> tuple[Graph, int]:
    """Species that persons are not directly all have two or three parents; the target lies 4 steps deep."""
    graph = Graph()
    for side in (0, 1):
        layer = [graph.add([side]) for _ in range(rng.randint(2, 3))]
        for _ in range(3):
            layer = _meeting_layer(rng, graph, side, layer)
    _mixed(rng, graph, rng.randint(0, 3))
    return graph, rng.choice(deepest(graph, 0))


def _meeting_layer(rng: Random, graph: Graph, side: int, above: list[int]) -> list[int]:
    """Two or three nodes whose nearest parents lie in the layer above, the others there or in their own layer."""
    layer: list[int] = []
    for _ in range(rng.randint(2, 3)):
        near = rng.choice(above)
        rest = [n for n in above + layer if n != near]
        layer.append(graph.add([near, *rng.sample(rest, min(len(rest), rng.randint(1, 2)))]))
    return layer


def _mixed(rng: Random, graph: Graph, count: int) -> None:
    """A few species that follow from both roots: ProsQA has such, and they answer nothing."""
    for _ in range(count):
        sides = [
            [n for n in range(2, len(graph.parents)) if graph.below[n] == {s} and graph.children[n]] for s in (0, 1)
        ]
        graph.add([rng.choice(sides[0]), rng.choice(sides[1])])


def _dense(rng: Random) -> tuple[Graph, int]:
    """Whoever has children has five to eight; the chain to the target is four steps and no edge shortens it."""
    graph = Graph()
    tip = 0
    for _ in range(4):
        tip = _branch(rng, graph, tip, barred=tip)
    inner = rng.choice([n for n in graph.leaves_of(0) if graph.depth[n] <= 2])
    _branch(rng, graph, inner, barred=tip)
    _branch(rng, graph, 1, barred=tip)
    _branch(rng, graph, rng.choice(graph.leaves_of(1)), barred=tip)
    return graph, tip


def _branch(rng: Random, graph: Graph, node: int, barred: int) -> int:
    """Give a leaf its children, one of them new (returned), the others new or leaves that are no nearer to their root."""
    new = graph.add([node])
    known = [n for n in _leaves(graph) if n not in (new, node, barred) and _keeps_depth(graph, node, n)]
    rng.shuffle(known)
    for _ in range(rng.randint(5, 8) - 1):
        room = len(graph.parents) - 2 < _SPECIES_LEFT
        if known and (rng.random() < 0.5 or not room):
            _join(graph, node, known.pop())
        else:
            graph.add([node])
    return new


def _leaves(graph: Graph) -> list[int]:
    return [n for n in range(2, len(graph.parents)) if not graph.children[n]]


def _keeps_depth(graph: Graph, node: int, leaf: int) -> bool:
    """Whether an edge from `node` to `leaf` shortens no way that is there."""
    return graph.depth[node] + 1 >= graph.depth[leaf]


def _join(graph: Graph, node: int, leaf: int) -> None:
    graph.parents[leaf].append(node)
    graph.children[node].append(leaf)
    graph.below[leaf] |= graph.below[node]


_MAKERS: dict[str, Callable[[Random], tuple[Graph, int]]] = {
    "7hop": _tree(7),
    "8hop": _tree(8),
    "dag": _dag,
    "dense": _dense,
}
