"""What the tests of step 1 share: a small champion that knows the task's format, examples, and tiny Hugging Face models."""

from __future__ import annotations

import functools
from typing import Any

import torch

from engine.config.mugrokfast import MuGrokfastConfig
from engine.config.quietstar_bake import Bake, Data
from engine.config.quietstar_rl import Pretrain
from engine.quietstar import data, examples
from engine.quietstar.body import Body
from engine.quietstar.examples import Example, Split
from engine.quietstar.model_file import SavedModel
from engine.quietstar.pretrain import pretrain

FAST = MuGrokfastConfig(muon_lr=3e-3, ns_dtype="float32", ns_batched=True)
SMALL = Bake(
    epochs=1, steps_per_epoch=2, batch=8, response_tokens=8, lora_rank=4, lora_alpha=8, lora_dropout=0.0,
    eval_items=14, optimizer=FAST,
)  # fmt: skip


@functools.cache
def _champion() -> SavedModel:
    made = pretrain(Pretrain(steps=60, batch=32), seed=0)
    return SavedModel(made.body, {})


def champion() -> Body:
    """A fresh copy every time: baking changes it."""
    made = _champion().body
    body = Body(made.size)
    body.load_state_dict(made.state_dict())
    return body


@functools.cache
def task_examples() -> tuple[Example, ...]:
    return tuple(data.make(Data(source="task", train_examples=70, val_examples=21), seed=0))


def parts() -> Split:
    return examples.split(task_examples(), 0)


@functools.cache
def tokenizer_file() -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [], trainers.BpeTrainer(vocab_size=257, special_tokens=["<eos>"], initial_alphabet=alphabet)
    )
    return made.to_str()


def tokenizer() -> Any:
    """Bytes, and an end token."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer_file()), eos_token="<eos>")


def hugging_face(family: str, seed: int = 0) -> Any:
    """A tiny causal model with random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    if family == "gpt2":
        size = {"n_positions": 1024, "n_embd": 32, "n_layer": 2, "n_head": 4}
        return GPT2LMHeadModel(GPT2Config(vocab_size=257, bos_token_id=0, eos_token_id=0, **size)).eval()
    return Qwen2ForCausalLM(
        Qwen2Config(vocab_size=257, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=family == "qwen2-tied",
                    bos_token_id=0, eos_token_id=0)
    ).eval()  # fmt: skip
