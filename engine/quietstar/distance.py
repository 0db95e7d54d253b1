"""How far the unprompted student is from the prompted teacher: forward KL over the whole vocabulary, on the response's tokens.

    pairs = pair_up(language, examples, responses, context)
    kl = distance(reader, lora, pairs)             # teacher: the same network, adapters off, no gradients, prompt first
    kl.sum_a_response.backward()

The teacher reads prompt, question, response; the student question, response. Both are compared where they predict the same
token: a token after another never differs by the prompt's length. Padding and what comes after the end are no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.quietstar.causal import Causal, padded
from engine.quietstar.errors import PromptError
from engine.quietstar.examples import Example
from engine.quietstar.language import Language
from engine.quietstar.lora import Lora


@dataclass(frozen=True)
class Pairs:
    """What teacher and student read of each response, as ids."""

    prompted: list[list[int]]
    plain: list[list[int]]
    responses: list[list[int]]
    pad: int


@dataclass(frozen=True)
class Distance:
    sum_a_response: Tensor
    """The mean over responses of the sum over their tokens: what is minimised."""
    a_token: float
    tokens: int


def pair_up(language: Language, examples: Sequence[Example], responses: list[list[int]]) -> Pairs:
    questions = [language.question(e) for e in examples]
    prompts = [language.prompt(e.strategy) for e in examples]
    prompted = [[*u, *q, *r] for u, q, r in zip(prompts, questions, responses, strict=True)]
    plain = [[*q, *r] for q, r in zip(questions, responses, strict=True)]
    return Pairs(prompted, plain, responses, language.pad)


def refuse_too_long(language: Language, examples: Sequence[Example], response_tokens: int, context: int) -> None:
    """A prompt that leaves no room for question and response would be cut, and something else would be baked."""
    prompts = {s: len(language.prompt(s)) for s in {e.strategy for e in examples}}
    longest = max(examples, key=lambda e: prompts[e.strategy] + len(language.question(e)))
    prompt, question = prompts[longest.strategy], len(language.question(longest))
    if prompt + question + response_tokens > context:
        raise PromptError(
            f"the prompt of {longest.strategy} ({prompt} tokens), its longest question ({question}) and a response "
            f"({response_tokens}) are {prompt + question + response_tokens} tokens; the context has {context}. Shorten the "
            "prompt, lower bake.response_tokens, or take a model with a longer context"
        )


def distance(reader: Causal, lora: Lora, pairs: Pairs, pursuit: bool = False) -> Distance:
    """Forward KL(teacher || student). `pursuit`: the teacher is the network as it is now, not as it was."""
    with torch.no_grad(), nullcontext() if pursuit else lora.off():
        teacher_NV = _predictions(reader, pairs.prompted, pairs)
    student_NV = _predictions(reader, pairs.plain, pairs)
    kl_N = forward_kl(teacher_NV, student_NV)
    tokens = len(kl_N)
    return Distance(kl_N.sum() / len(pairs.responses), float(kl_N.detach().mean()), tokens)


def forward_kl(teacher_NV: Tensor, student_NV: Tensor) -> Tensor:
    """KL(teacher || student) at each place, from logits, in float32 at least."""
    dtype = torch.promote_types(teacher_NV.dtype, torch.float32)
    teacher = torch.log_softmax(teacher_NV.to(dtype), -1)
    student = torch.log_softmax(student_NV.to(dtype), -1)
    return (teacher.exp() * (teacher - student)).sum(-1)


def _predictions(reader: Causal, rows: list[list[int]], pairs: Pairs) -> Tensor:
    """The logits from which each token of the responses is predicted, (N, V), rows in order."""
    device = next(reader.model.parameters()).device
    ids_BT, real_BT = padded(rows, pairs.pad, left=False, device=device)
    hidden_BTD = reader.hidden(ids_BT, real_BT)
    predicts = torch.zeros_like(real_BT)
    for at, (row, response) in enumerate(zip(rows, pairs.responses, strict=True)):
        predicts[at, len(row) - len(response) - 1 : len(row) - 1] = True
    return reader.logits(hidden_BTD[predicts])
