"""The algorithm as it is plainly batched: one pass per thought over cached keys, embeddings swapped in nested lists.

What the engine's speed is measured against. Logits everywhere, every pass's logits kept, one `torch.stack` over every token of
the batch for every thought. Written from the algorithm's description; no code of the reference.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from engine.coconut.parity import SourceBatch


def gpt2(vocabulary: int, width: int, layers: int, heads: int) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": vocabulary, "n_positions": 1024, "n_embd": width, "n_layer": layers, "n_head": heads}
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(**sizes, **still, attn_implementation="sdpa"))


def fed_back(x_BTD: Tensor, hidden: Tensor, first: int, columns: list[list[int]], at: int) -> Tensor:
    """The embeddings with each row's thought number `at` replaced by the hidden state of the column before it."""
    tokens = [[x_BTD[row, column] for column in range(x_BTD.shape[1])] for row in range(x_BTD.shape[0])]
    for row, places in enumerate(columns):
        if len(places) > at:
            tokens[row][places[at]] = hidden[row, places[at] - 1 - first]
    return torch.stack([torch.stack(row) for row in tokens])


def loss(model: GPT2LMHeadModel, batch: SourceBatch, latent: int) -> Tensor:
    """Mean cross-entropy of a batch in the source's layout."""
    columns = [(line == latent).nonzero()[:, 0].tolist() for line in batch.ids]
    thoughts = max(map(len, columns))
    x = model.transformer.wte(batch.ids)
    cache, logits = DynamicCache(), []
    start, end = 0, min((places[0] for places in columns if places), default=x.shape[1])
    for at in range(thoughts + 1):
        hidden = model.transformer(
            inputs_embeds=x[:, start:end],
            attention_mask=batch.attention[:, :end],
            position_ids=batch.positions[:, start:end],
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits.append(model.lm_head(hidden))
        if at < thoughts:
            x = fed_back(x, hidden, start, columns, at)
            start, end = end, (end + 1 if at + 1 < thoughts else x.shape[1])
    whole = torch.cat(logits, 1)[:, :-1].float()
    return F.cross_entropy(whole.reshape(-1, whole.shape[-1]), batch.labels[:, 1:].reshape(-1), ignore_index=-100)


def step(model: GPT2LMHeadModel, batch: SourceBatch, latent: int) -> None:
    loss(model, batch, latent).backward()
    model.zero_grad(set_to_none=True)


@torch.no_grad()
def words(
    model: GPT2LMHeadModel, prompt: list[int], latent: int, eos: int, most: int, cached_thoughts: bool = False
) -> list[int]:
    """Greedy words for one prompt until the end token, the whole prefix anew for every word, and for every thought too.

    `cached_thoughts`: thoughts, though not words, go on from cached keys, as the reference's own evaluation does it.
    """
    ids = torch.tensor(prompt)
    places = (ids == latent).nonzero()[:, 0].tolist()
    x = model.transformer.wte(ids)[None]
    cache, start = DynamicCache() if cached_thoughts else None, 0
    for place in places:
        hidden = model.transformer(
            inputs_embeds=x[:, start:place], past_key_values=cache, use_cache=cached_thoughts
        ).last_hidden_state
        x[0, place] = hidden[0, -1]
        start = place if cached_thoughts else 0
    said: list[int] = []
    while len(said) < most:
        hidden = model.transformer(inputs_embeds=x, use_cache=False).last_hidden_state
        said.append(int(model.lm_head(hidden)[0, -1].argmax()))
        if said[-1] == eos and len(said) > 1:
            break
        x = torch.cat([x, model.transformer.wte(torch.tensor([[said[-1]]]))], 1)
    return said
