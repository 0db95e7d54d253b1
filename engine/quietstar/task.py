"""State tracking over permutations: a task that a small model can't do in one pass, but can think through. numpy only.

A problem is a state s0 of 0..7 and four of six permutations of Z_8 that do not commute; the answer is f4(f3(f2(f1(s0)))). A
thought names the three states between. Its kind, the first word, is one of the seven strategies and says which tag a thought
opens with:

    chain_of_thought 3 b a a f =  <think> <step> 5 0 2 </think>  7 <eos>

Guarantees: a world (its permutations, and which problems are held out) follows from its seed alone; the problems of two
splits are disjoint; a wrong thought follows permutations that differ from the true ones and never is the right thought.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Split = Literal["train", "val", "test"]

VALUES, FUNCTIONS, APPLIED = 8, 6, 4
# the strategy names the kind of problem, and the tag is what its thoughts open with
TAGS = {
    "chain_of_thought": "<step>",
    "mece_decomposition": "<mece>",
    "falsification_testing": "<falsify>",
    "expert_perspective": "<expert>",
    "orthogonal_wisdom": "<reason>",
    "self_doubt": "<doubt>",
    "bayesian_rationalist": "<reason>",
}
THINK, END = "<think>", "</think>"
PROMPT = ("please", "think")
WORDS = (
    *("<pad>", "<eos>", "=", *PROMPT),
    *map(str, range(VALUES)),
    *"abcdef",
    *TAGS,
    *(THINK, END, "<step>", "<reason>", "<mece>", "<falsify>", "<expert>", "<doubt>"),
)
ID = {word: at for at, word in enumerate(WORDS)}
PAD_ID, EOS_ID, EQUALS_ID, THINK_ID, END_ID = (ID[w] for w in ("<pad>", "<eos>", "=", THINK, END))
PROMPT_IDS = [ID[word] for word in PROMPT]
QUESTION_LENGTH, THOUGHT_LENGTH = APPLIED + 3, APPLIED
"""A thought's tokens between <think> and </think>: its tag and three states."""

_VALUE0, _FUNCTION0, _KIND0 = ID["0"], ID["a"], ID["chain_of_thought"]
_TAG_OF_KIND = np.array([ID[tag] for tag in TAGS.values()])
_VAL_SHARE = _TEST_SHARE = 0.1
_BASE = FUNCTIONS ** np.arange(APPLIED - 1, -1, -1)


@dataclass(frozen=True)
class Problems:
    """Some problems, one a row."""

    kind_B: Ints
    start_B: Ints
    functions_BA: Ints

    def __len__(self) -> int:
        return len(self.start_B)

    def __getitem__(self, rows: Any) -> Problems:
        return Problems(self.kind_B[rows], self.start_B[rows], self.functions_BA[rows])

    @property
    def code_B(self) -> Ints:
        """The number of a problem, its kind left out: problems of one code have one answer, so they share a split."""
        return self.start_B * FUNCTIONS**APPLIED + self.functions_BA @ _BASE

    def question_ids(self) -> Ints:
        columns = (_KIND0 + self.kind_B, _VALUE0 + self.start_B, *(_FUNCTION0 + self.functions_BA).T)
        return np.stack([*columns, np.full(len(self), EQUALS_ID)], axis=1)


class World:
    """What is true here: the permutations, and which problems are held out."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 3])
        self.right_FV = _tables(rng)
        self.wrong_FV = _other_tables(rng, self.right_FV)
        place = rng.permutation(VALUES * FUNCTIONS**APPLIED) / (VALUES * FUNCTIONS**APPLIED)
        self._split_of_code = np.select(
            [place < _VAL_SHARE, place < _VAL_SHARE + _TEST_SHARE], ["val", "test"], "train"
        )

    def problems(self, rng: np.random.Generator, count: int, split: Split) -> Problems:
        """Fresh problems of a split; the same ones may come again."""
        codes = rng.choice(np.flatnonzero(self._split_of_code == split), count)
        functions = codes[:, None] // _BASE % FUNCTIONS
        return Problems(rng.integers(len(TAGS), size=count), codes // FUNCTIONS**APPLIED, functions)

    def states(self, problems: Problems, tables_FV: Ints | None = None) -> Ints:
        """s1 … s4 of every problem, under the true permutations or others."""
        tables = self.right_FV if tables_FV is None else tables_FV
        state, found = problems.start_B, []
        for function_B in problems.functions_BA.T:
            state = tables[function_B, state]
            found.append(state)
        return np.stack(found, axis=1)

    def thought_ids(self, problems: Problems, right_B: NDArray[np.bool_] | bool = True) -> Ints:
        """<think>, tag, three states, </think>; where `right_B` is false the states follow the wrong permutations."""
        right = self.states(problems)[:, :-1]
        wrong = self.states(problems, self.wrong_FV)[:, :-1]
        states = np.where(np.broadcast_to(right_B, len(problems))[:, None], right, wrong)
        edge = np.ones(len(problems), dtype=np.int64)
        return np.column_stack([edge * THINK_ID, _TAG_OF_KIND[problems.kind_B], _VALUE0 + states, edge * END_ID])

    def answer_ids(self, problems: Problems) -> Ints:
        """The true answer and <eos>."""
        return np.column_stack([_VALUE0 + self.states(problems)[:, -1], np.full(len(problems), EOS_ID)])

    def thought_is_right(self, problems: Problems, thought_BT: Ints) -> NDArray[np.bool_]:
        """Is it the tag and the three true states, with nothing before or after? `thought_BT` without its edges."""
        true = self.thought_ids(problems)[:, 1:-1]
        if thought_BT.shape[1] != true.shape[1]:
            return np.zeros(len(problems), dtype=bool)
        return np.asarray((thought_BT == true).all(axis=1))


def text(ids: Ints | list[int]) -> str:
    """The words of some ids."""
    return " ".join(WORDS[i] for i in ids)


def _tables(rng: np.random.Generator) -> Ints:
    """Six permutations of which no two commute."""
    while True:
        tables = np.stack([rng.permutation(VALUES) for _ in range(FUNCTIONS)])
        if not any((tables[a][tables[b]] == tables[b][tables[a]]).all() for a in range(FUNCTIONS) for b in range(a)):
            return tables


def _other_tables(rng: np.random.Generator, tables_FV: Ints) -> Ints:
    """Permutations that agree with the given ones nowhere: every first state of a wrong thought is wrong."""
    others = []
    for table_V in tables_FV:
        other = rng.permutation(VALUES)
        while (other == table_V).any():
            other = rng.permutation(VALUES)
        others.append(other)
    return np.stack(others)
