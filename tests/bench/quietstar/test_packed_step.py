"""A step of learning by reward: packed, against one forward a thought. CPU time and peak memory, one thread.

    make bench    or    .venv/bin/python -m pytest -c tests/bench/pytest.ini tests/bench/quietstar -s

Both do the same work on the same model, text of 256 tokens, places and thoughts: sample (2 thoughts of 12 tokens a place), read
them with a graph, read them once more under the frozen reference for the KL, reward, one backward. The other way is what one
would write first, and not a slow version of it: the text is read once and its keys are kept, each thought is decoded from them
one token at a time, then text and thought are read in one forward and its gradient is added up place by place.
The first test shows that they compute the same loss and the same gradients (float64), so that the time is for equal work.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

import pytest
import torch
from torch import Tensor

from engine.quietstar import reward
from engine.quietstar.body import Body, Cache, Size
from engine.quietstar.learner import Batch
from engine.quietstar.reference import Frozen
from engine.quietstar.reward import Weights
from engine.quietstar.thinker import Thinker, truth

START, END, VOCABULARY, LENGTH, TOKENS, THOUGHTS, AHEAD = 62, 63, 64, 256, 12, 2, 4
WEIGHTS = Weights(policy=1.0, kl=0.1, entropy=0.01)
PLACES = {"a third of the places": 77, "every place": LENGTH - AHEAD}
SIZES = {"2 layers of 64": (64, 2), "4 layers of 256": (256, 4)}


def made(width: int, layers: int, dtype: torch.dtype = torch.float32) -> tuple[Thinker, Frozen]:
    torch.manual_seed(0)
    body = Body(Size(VOCABULARY, width=width, layers=layers, heads=4, context=512)).to(dtype)
    frozen = Frozen(body, START, END)
    frozen.thinker.to(dtype)
    return Thinker(body, START, END).to(dtype), frozen


def text(length: int, places: int) -> Batch:
    g = torch.Generator().manual_seed(0)
    at = torch.randperm(length - AHEAD, generator=g)[:places].sort().values
    return Batch(torch.randint(60, (1, length), generator=g), at[None])


def packed(thinker: Thinker, frozen: Frozen, batch: Batch, thoughts: Tensor | None) -> float:
    at = batch.at_BJ.repeat_interleave(THOUGHTS, dim=1)
    if thoughts is None:
        thoughts = thinker.think(batch.ids_BL, at, TOKENS)
    baked = frozen.talk(batch.ids_BL, at, thoughts, AHEAD).thought_logits_BNTV.log_softmax(-1)
    talk = thinker.talk(batch.ids_BL, at, thoughts, AHEAD)
    true = truth(batch.ids_BL, at, AHEAD)
    loss = reward.loss_of(talk.thought_logits_BNTV, thoughts, talk.logits_BNAV, true, baked, THOUGHTS, WEIGHTS).total
    loss.backward()
    return float(loss.detach())


@torch.no_grad()
def decoded(thinker: Thinker, cache: Cache, at: int) -> Tensor:
    """One thought, token by token, from the kept keys of the text up to its place."""
    own = Cache([k[:, :, : at + 1] for k in cache.keys], [v[:, :, : at + 1] for v in cache.values])
    token, found = torch.tensor([[START]]), []
    for _ in range(TOKENS):
        logits = thinker.body(token, cache=own).logits[:, -1]
        token = torch.multinomial(logits.softmax(-1), 1)
        found.append(token)
    return torch.cat(found, dim=1)[0]


def one_by_one(thinker: Thinker, frozen: Frozen, batch: Batch, thoughts: Tensor | None) -> float:
    cache, total = Cache(), 0.0
    with torch.no_grad():
        thinker.body(batch.ids_BL, cache=cache)
    places = batch.at_BJ[0].tolist()
    for index, at in enumerate(places):
        given = [None] * THOUGHTS if thoughts is None else list(thoughts[0, index * THOUGHTS : (index + 1) * THOUGHTS])
        mine = [decoded(thinker, cache, at) if t is None else t for t in given]
        said = [read_alone(thinker, frozen, batch.ids_BL, at, t) for t in mine]
        logits, answers, baked = (torch.stack([s[i] for s in said])[None] for i in range(3))
        true = batch.ids_BL[:, at + 1 : at + 1 + AHEAD].expand(1, THOUGHTS, -1)
        loss = reward.loss_of(logits, torch.stack(mine)[None], answers, true, baked, THOUGHTS, WEIGHTS).total / len(
            places
        )
        loss.backward()
        total += float(loss.detach())
    return total


def read_alone(
    thinker: Thinker, frozen: Frozen, ids: Tensor, at: int, thought: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Policy, mixed answers and the reference's policy of one thought, its text read anew."""
    after = ids[0, at + 1 : at + AHEAD]
    block = torch.cat([torch.tensor([START]), thought, torch.tensor([END]), after])
    whole = torch.cat([ids[0, : at + 1], block])[None]
    hidden = thinker.body(whole).hidden[0]
    plain = thinker.body(ids[:, : at + AHEAD]).hidden[0, at:]
    inside = hidden[at + 1 :]
    with_it = inside[TOKENS + 1 :]
    mixed = thinker.mixing(plain, with_it, thinker.body.logits(plain), thinker.body.logits(with_it)).logits
    with torch.no_grad():
        reference = frozen.thinker.body(whole[:, : at + 1 + TOKENS]).logits[0, at + 1 :].log_softmax(-1)
    return thinker.body.logits(inside[:TOKENS]), mixed, reference


WAYS = {"packed": packed, "one_by_one": one_by_one}


def test_both_ways_compute_the_same_loss_and_gradients() -> None:
    batch = text(40, 9)
    thoughts = torch.randint(60, (1, 9 * THOUGHTS, TOKENS), generator=torch.Generator().manual_seed(1))
    losses, gradients = [], []
    for way in WAYS.values():
        thinker, frozen = made(32, 2, torch.float64)
        losses.append(way(thinker, frozen, batch, thoughts))
        gradients.append([p.grad for p in thinker.body.parameters()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # the loss itself is summed in float32
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(*gradients, strict=True))


def measure(way: str, size: str, places: int, steps: int) -> None:
    """In a process of its own: CPU seconds a step (least) and how far the peak of memory rose."""
    torch.set_num_threads(1)
    thinker, frozen = made(*SIZES[size])
    WAYS[way](thinker, frozen, text(32, 2), None)  # warm
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = []
    for _ in range(steps):
        begun = time.process_time()
        WAYS[way](thinker, frozen, text(LENGTH, places), None)
        spent.append(time.process_time() - begun)
    print(min(spent), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def asked(way: str, size: str, places: int, steps: int) -> tuple[float, float]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, "-m", "tests.bench.quietstar.test_packed_step", way, size, str(places), str(steps)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("size", SIZES)
def test_a_packed_step_takes_a_fifth_of_the_time(size: str, where: str) -> None:
    ours, theirs = (asked(way, size, PLACES[where], steps) for way, steps in (("packed", 3), ("one_by_one", 1)))
    print(
        f"\n{size}, {where} ({PLACES[where] * THOUGHTS} thoughts): packed {ours[0]:.2f} CPU-s, {ours[1]:.0f} MB more;"
        f" one by one {theirs[0]:.2f} CPU-s, {theirs[1]:.0f} MB more: {theirs[0] / ours[0]:.1f} times"
    )
    assert theirs[0] / ours[0] > 5


if __name__ == "__main__":
    measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
