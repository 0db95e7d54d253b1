"""The seven strategies of reasoning: how often, which tag, what the teacher is told, and how a solved problem is told in each.

No torch, no network. `tell` writes reasoning for problems whose steps are known, so that every example is true; such examples are
the project's own and are labelled so.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.quietstar.task import TAGS

SHARES = {
    "chain_of_thought": 400,
    "mece_decomposition": 200,
    "falsification_testing": 200,
    "expert_perspective": 200,
    "orthogonal_wisdom": 200,
    "self_doubt": 200,
    "bayesian_rationalist": 200,
}
"""Examples of each in 1,600: the source's numbers per teacher model."""
STRATEGIES = tuple(SHARES)
TAG_OF = TAGS

_ASKED = {
    "chain_of_thought": "Work it out step by step. Begin every step with <step>.",
    "mece_decomposition": "Split it into parts that do not overlap and leave nothing out. Begin every part with <mece>.",
    "falsification_testing": "Find an answer, then try to prove it wrong. Begin every test with <falsify>.",
    "expert_perspective": "Say what somebody who does this every day would look at. Begin every view with <expert>.",
    "orthogonal_wisdom": "Look at it from another field before you compute. Begin every thought with <reason>.",
    "self_doubt": "Doubt every result and compute it a second way. Begin every doubt with <doubt>.",
    "bayesian_rationalist": "Start from a guess and let every fact move it. Begin every update with <reason>.",
}
_CUE = {
    "chain_of_thought": "",
    "mece_decomposition": " Which parts does it have?",
    "falsification_testing": " Can your answer be proven wrong?",
    "expert_perspective": " What would a bookkeeper say?",
    "orthogonal_wisdom": " Is there another way to see it?",
    "self_doubt": " Are you sure?",
    "bayesian_rationalist": " What did you expect before?",
}
_LEAD = {
    "chain_of_thought": "{at}. {line}",
    "mece_decomposition": "Part {at} of {n}, apart from the others: {line}",
    "falsification_testing": "If this were wrong, {back} would be something else than {left}; it holds: {line}",
    "expert_perspective": "A bookkeeper enters line {at}: {line}",
    "orthogonal_wisdom": "As a balance that is in level: {line}",
    "self_doubt": "Is it so? {line} Backwards {back} = {left}, so it is.",
    "bayesian_rationalist": "Fact {at} moves the guess: {line}",
}


def prompt_of(strategy: str) -> str:
    """What the teacher reads and the student does not."""
    return (
        "Think before you answer. Write your thinking between <think> and </think>, and the answer alone after 'Answer:'. "
        f"{_ASKED[strategy]}\n\n"
    )


@dataclass(frozen=True)
class Step:
    """One true equation and the sentence that tells it."""

    line: str
    left: int
    op: str
    right: int
    result: int

    @property
    def back(self) -> str:
        """What undoes it: its value is `left` exactly where the equation is true."""
        return f"{self.result} { {'+': '-', '-': '+', '*': '/', '/': '*'}[self.op] } {self.right}"


def cued(question: str, strategy: str) -> str:
    """The question as somebody asks it who wants to see this strategy; the prompt is not in it."""
    return question + _CUE[strategy]


def tell(steps: list[Step], strategy: str) -> str:
    """The reasoning, in the strategy's tag."""
    lines = [
        f"{TAG_OF[strategy]} "
        + _LEAD[strategy].format(at=at, n=len(steps), line=step.line, back=step.back, left=step.left)
        for at, step in enumerate(steps, 1)
    ]
    return "<think>\n" + "\n".join(lines) + "\n</think>"


def counts(total: int) -> dict[str, int]:
    """How many examples of each strategy; what rounding leaves over goes where most was cut off."""
    whole = sum(SHARES.values())
    found = {name: total * share // whole for name, share in SHARES.items()}
    by_cut = sorted(STRATEGIES, key=lambda name: -(total * SHARES[name] % whole))
    for name in by_cut[: total - sum(found.values())]:
        found[name] += 1
    return found
