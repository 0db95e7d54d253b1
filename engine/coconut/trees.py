"""The laptop's task: two trees of random symbols; which of two leaves follows from the root?

    batch = forest.batch(64, stage=3, variant=variant, generator=g)

A root has two branches of `depth` nodes each, and there are two such trees. The question is their edges in random order, a leaf
of each tree in random order, and one root. Every batch is fresh, so nothing can be learnt by heart, and the two options
are alike in everything but what they follow from.

One position holds a whole edge (the sum of a start and an end embedding): a simplification against text, where a model first
has to learn to bind words to facts, which takes a small one longer than a laptop's minutes.

    B rows   N symbols   W = 2 branches
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.coconut.gpt2 import GPT2
from engine.coconut.layout import NO_LABEL, Batch
from engine.config.coconut import Variant

BRANCHES = 2
TREES = 2


@dataclass(frozen=True)
class Problems:
    """A batch of problems."""

    edges_BE2: Tensor
    options_B2: Tensor
    root_B: Tensor
    layers_BDW: Tensor
    """The nodes at each depth below the root; the answer's branch stands first."""
    answer_B: Tensor


@dataclass(frozen=True)
class Forest:
    """The shape of the problems and the ids of their tokens."""

    depth: int
    symbols: int

    def __post_init__(self) -> None:
        if self.symbols < self.nodes:
            raise ValueError(f"{self.symbols} symbols can't name {self.nodes} nodes; raise symbols or lower depth")

    @property
    def nodes(self) -> int:
        return TREES * (1 + BRANCHES * self.depth)

    @property
    def edges(self) -> int:
        return TREES * BRANCHES * self.depth

    @property
    def eos(self) -> int:
        return self.symbols

    @property
    def start(self) -> int:
        return self.symbols + 1

    @property
    def end(self) -> int:
        return self.symbols + 2

    @property
    def latent(self) -> int:
        return self.symbols + 3

    @property
    def plain_rows(self) -> int:
        """Embedding rows of symbols and marks; edges come after them."""
        return self.symbols + 4

    @property
    def context(self) -> int:
        """Question, markers, thoughts and the longest chain with its answer."""
        return self.edges + 3 + 2 + self.depth + self.depth + 2

    def problems(self, count: int, generator: torch.Generator) -> Problems:
        """Fresh problems: symbols for nodes by chance, edges in a random order."""
        named = torch.rand(count, self.symbols, generator=generator).argsort(1)[:, : self.nodes]
        tree = named.view(count, TREES, -1)
        root, branch = tree[:, :, :1], tree[:, :, 1:].reshape(count, TREES, BRANCHES, self.depth)
        above = torch.cat([root[..., None].expand(-1, -1, BRANCHES, -1), branch[..., :-1]], 3)
        edges = torch.stack([above, branch], -1).view(count, self.edges, 2)
        order = torch.rand(count, self.edges, generator=generator).argsort(1)
        leaves = branch[:, :, 0, -1]
        turned = torch.rand(count, generator=generator) < 0.5
        return Problems(
            edges_BE2=edges.gather(1, order[..., None].expand(-1, -1, 2)),
            options_B2=torch.where(turned[:, None], leaves.flip(1), leaves),
            root_B=root[:, 0, 0],
            layers_BDW=branch[:, 0].transpose(1, 2),
            answer_B=leaves[:, 0],
        )

    def question(self, problems: Problems) -> Tensor:
        """The ids of the questions."""
        edge = self.plain_rows + problems.edges_BE2[..., 0] * self.symbols + problems.edges_BE2[..., 1]
        return torch.cat([edge, problems.options_B2, problems.root_B[:, None]], 1)

    def steps(self, problems: Problems, frontier: bool, generator: torch.Generator) -> Tensor:
        """The chain to the answer; with `frontier`, any node of each layer, each drawn for itself."""
        layers = problems.layers_BDW
        if not frontier:
            return layers[..., 0]
        chosen = torch.randint(BRANCHES, layers.shape[:2], generator=generator)
        return layers.gather(2, chosen[..., None])[..., 0]

    def batch(
        self, problems: Problems, stage: int, variant: Variant, frontier: bool, generator: torch.Generator
    ) -> Batch:
        """Training rows at a stage: like `engine.coconut.layout.training_row`, for problems that all have one length.

        With `frontier` and below the last stage, the next layer is the only thing asked; any of its nodes is right.
        """
        steps = self.steps(problems, frontier, generator)
        stage = min(stage, self.depth)
        skip = self.depth if variant.no_cot else 0 if variant.cot else stage
        left = steps[:, skip:]
        answer = torch.stack([problems.answer_B, torch.full_like(problems.answer_B, self.eos)], 1)
        said = left[:, :1] if frontier and skip < self.depth else torch.cat([left, answer], 1)
        return self.rows(problems, said, stage if variant.coconut else 0, variant)

    def rows(self, problems: Problems, said: Tensor, thoughts: int, variant: Variant) -> Batch:
        """Problems and the words that follow as a batch; `said` may have no columns: a prompt."""
        question = self.question(problems)
        count = question.shape[0]
        if variant.coconut:
            mark = question.new_full((count, 1), self.start)
            prefix, opening = torch.cat([question, mark], 1), question.new_full((count, 1), self.end)
        else:
            prefix, opening = question[:, :-1], question[:, -1:]
        tail = torch.cat([opening, said], 1)
        nothing = tail.new_full((count, 1), NO_LABEL)
        return Batch(
            prefix_BP=prefix,
            prefix_len_B=torch.full((count,), prefix.shape[1]),
            thoughts_B=torch.full((count,), thoughts),
            tail_BT=tail,
            tail_len_B=torch.full((count,), tail.shape[1]),
            targets_BT=torch.cat([said, nothing], 1),
            most_thoughts=thoughts,
            real=count * (prefix.shape[1] + thoughts + tail.shape[1]),
        )


class EdgeGPT2(GPT2):
    """A GPT-2 whose table also has a row for every edge: the sum of its start's and its end's."""

    def __init__(
        self, forest: Forest, width: int, layers: int, heads: int, dropout: float = 0.0, std: float = 0.1
    ) -> None:
        super().__init__(forest.plain_rows, width, layers, heads, forest.context, dropout, std)
        self.above = nn.Parameter(torch.empty(forest.symbols, width).normal_(std=std))
        self.below = nn.Parameter(torch.empty(forest.symbols, width).normal_(std=std))

    def table(self) -> Tensor:
        edges = (self.above[:, None] + self.below).view(-1, self.width)
        return torch.cat([self.tokens.weight, edges])

    def logits(self, hidden: Tensor) -> Tensor:
        """An edge is never an answer."""
        return F.linear(hidden, self.tokens.weight)
