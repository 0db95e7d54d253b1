"""From a config to tokenizer, body and model."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from engine.coconut import gpt2, hf_body
from engine.coconut.model import Coconut
from engine.coconut.tokens import Bpe, Hub, Tokens, Words, refuse_full_table
from engine.config.coconut import Body, CoconutConfig, Variant
from engine.data.prosqa import DataError


def set_threads(cfg: CoconutConfig) -> None:
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)


def make_tokens(body: Body) -> Tokens:
    """The tokenizer that the body was made with."""
    if body.family == "hf" and body.weights is not None:
        return Tokens(Hub(body.weights))
    if body.tokenizer == "words":
        return Tokens(Words())
    folder = data_folder()
    if folder is not None and (folder / "gpt2_vocab.bpe").exists():
        return Tokens(Bpe(folder))
    if body.weights is None:
        raise DataError(
            "GPT-2's tokenizer needs gpt2_vocab.bpe and gpt2_encoder.json in $FRACTAL_DATA, or body.weights to name a model"
        )
    return Tokens(Hub(body.weights))


def data_folder() -> Path | None:
    """Where a person keeps real data."""
    named = os.environ.get("FRACTAL_DATA")
    return Path(named) if named else None


def make_model(cfg: CoconutConfig, variant: Variant, tokens: Tokens) -> Coconut:
    """The variant's model; fresh weights come from its seed. Only models that think get rows for the markers."""
    torch.manual_seed(variant.seed)
    body = cfg.body
    rows = tokens.size if variant.coconut else tokens.plain.size
    if body.weights is None:
        made = gpt2.GPT2(rows, body.width, body.layers, body.heads, body.context, body.dropout, body.init_std)
        if variant.coconut and tokens.plain.like is not None:
            made.tokens.weight.data[tokens.plain.size :] = made.tokens.weight.data[tokens.plain.like]
        return Coconut(made, variant.feedback_mode, tokens.latent, tokens.plain.like)
    if body.family == "gpt2":
        loaded = gpt2.load_pretrained(body.weights, body.dropout)
        if variant.coconut:
            gpt2.widen(loaded, tokens.size, tokens.plain.like)
        return Coconut(loaded, variant.feedback_mode, tokens.latent, tokens.plain.like)
    causal = hf_body.load_causal_model(body.weights)
    if variant.coconut and causal.table().shape[0] < tokens.size:
        hf_body.widen(causal, tokens.size, tokens.plain.like)
    if variant.coconut:
        refuse_full_table(causal.table().shape[0], tokens, body.weights)
    return Coconut(causal, variant.feedback_mode, tokens.latent, tokens.plain.like)
