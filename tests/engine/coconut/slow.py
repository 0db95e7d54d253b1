"""The algorithm as one would write it on a blackboard: one sample at a time, no padding, no cache, Hugging Face's own GPT-2.

It shares no code with the engine: neither its layout nor its curriculum nor its forward.
"""

from dataclasses import dataclass
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

IGNORED = -100
EVERYTHING = 100


@dataclass
class Sequence:
    """One training sample, laid out flat."""

    ids: list[int]
    labels: list[int]


def hugging_face_gpt2(rows: int, seed: int = 0, layers: int = 2, width: int = 32, heads: int = 4) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=rows,
        n_positions=512,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
    )
    return GPT2LMHeadModel(config)


def sequence(sample, tokens, stage: int, most: int, per_stage: int, pad: bool, kind: str) -> Sequence:
    """Question, thoughts and what is left of the chain; the first steps go."""
    steps = sample.steps
    if kind == "no_cot":
        skip, thoughts = EVERYTHING, 0
    elif kind == "cot":
        skip, thoughts = 0, 0
    elif stage > most:
        skip, thoughts = EVERYTHING, most if pad else min(len(steps), most)
    else:
        skip, thoughts = stage, stage
    if kind == "no_thoughts":
        thoughts = 0
    left = [i for step in steps[skip:] for i in step] + list(sample.answer)
    opening = [tokens.start, *[tokens.latent] * (thoughts * per_stage), tokens.end] if kind == "coconut" else []
    ids = [*sample.question, *opening, *left]
    return Sequence(ids, [IGNORED] * (len(ids) - len(left)) + left)


def filled(model, ids: list[int], latent: int, mode: str, pause: Tensor | None) -> Tensor:
    """The input embeddings, each latent one replaced in turn by what the model thought just before it."""
    x = list(model.transformer.wte(torch.tensor(ids)))
    for at, token in enumerate(ids):
        if token != latent or mode == "token":
            continue
        if mode == "continuous":
            hidden = model.transformer(inputs_embeds=torch.stack(x[:at])[None], use_cache=False).last_hidden_state
            x[at] = hidden[0, -1]
        else:
            x[at] = pause
    return torch.stack(x)


def loss(model, sequences: list[Sequence], latent: int, mode: str, pause: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over every label of the batch."""
    total, count = torch.zeros(()), 0
    for one in sequences:
        x = filled(model, one.ids, latent, mode, pause)
        logits = model(inputs_embeds=x[None], use_cache=False).logits[0]
        labels = torch.tensor(one.labels[1:])
        total = total + F.cross_entropy(logits[:-1], labels, ignore_index=IGNORED, reduction="sum")
        count += int((labels != IGNORED).sum())
    return total / count


@torch.no_grad()
def generate(model, prompt: list[int], latent: int, mode: str, pause: Tensor | None, eos: int, most: int) -> list[int]:
    """Greedy words after a prompt, everything computed anew for each. The end token is kept; an immediate one does not end."""
    x = filled(model, prompt, latent, mode, pause)
    said: list[int] = []
    while len(said) < most:
        token = int(model(inputs_embeds=x[None], use_cache=False).logits[0, -1].argmax())
        said.append(token)
        if token == eos and len(said) > 1:
            break
        x = torch.cat([x, model.transformer.wte(torch.tensor([token]))])
    return said


def random_stages(samples, stage: int, prob: float, rng: Random) -> list[int]:
    """What uniform_prob does to a batch, drawn in the order the engine draws."""
    return [rng.randint(0, len(s.steps)) if prob and rng.random() < prob else stage for s in samples]
