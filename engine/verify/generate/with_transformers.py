"""Generation with transformers alone, where vLLM is not there: the samples of a unit share one prefill.

Letters: N samples, S tokens so far, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from engine.verify.generate.contract import Completion, Sampling, Unit
from engine.verify.step import StepFailed


class TransformersGenerator:
    """A causal model and its tokenizer's own chat template."""

    name = "transformers"

    def __init__(self, model: str, revision: str | None, sampling: Sampling, dtype: str = "auto") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.sampling = sampling
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model, revision=revision)
        require_template(self.tokenizer, model)
        self.model: Any = AutoModelForCausalLM.from_pretrained(model, revision=revision, dtype=dtype)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model.to(self.device).eval()
        self._ends = _end_tokens(self.tokenizer, self.model)

    def generate(self, units: list[Unit]) -> Iterator[tuple[Unit, list[Completion]]]:
        for unit in units:
            yield unit, self._sample(unit)

    @torch.inference_mode()
    def _sample(self, unit: Unit) -> list[Completion]:
        ids = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": unit.prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )["input_ids"].to(self.device)
        rng = torch.Generator(device=self.device).manual_seed(unit.seed)
        out = self.model(ids, use_cache=True)
        cache, logits_NV = out.past_key_values, out.logits[:, -1].float().expand(unit.n, -1)
        cache.batch_repeat_interleave(unit.n)
        tokens_NS, logprob_N, alive_N = (
            [],
            torch.zeros(unit.n, device=self.device),
            torch.ones(unit.n, dtype=torch.bool),
        )
        for _ in range(self.sampling.max_tokens):
            next_N, step_N = pick(logits_NV, self.sampling, rng)
            alive = alive_N.to(self.device)
            next_N = torch.where(alive, next_N, torch.full_like(next_N, self._ends[0]))
            logprob_N += torch.where(alive, step_N, torch.zeros_like(step_N))
            tokens_NS.append(next_N.cpu())
            alive_N &= ~torch.isin(next_N.cpu(), torch.tensor(self._ends))
            if not alive_N.any():
                break
            out = self.model(next_N[:, None], past_key_values=cache, use_cache=True)
            logits_NV = out.logits[:, -1].float()
        return self._completions(torch.stack(tokens_NS, dim=1), logprob_N)

    def _completions(self, tokens_NS: Tensor, logprob_N: Tensor) -> list[Completion]:
        found = []
        for row, logprob in zip(tokens_NS.tolist(), logprob_N.tolist(), strict=True):
            end = next((i for i, token in enumerate(row) if token in self._ends), None)
            kept = row if end is None else row[:end]
            text = self.tokenizer.decode(kept, skip_special_tokens=True)
            found.append(Completion(text, "length" if end is None else "stop", len(kept) + (end is not None), logprob))
        return found


def pick(logits_NV: Tensor, sampling: Sampling, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A token a row by temperature and nucleus, and its log-probability under the model itself."""
    own_NV = logits_NV.log_softmax(-1)
    if sampling.temperature == 0:
        best = own_NV.argmax(-1)
        return best, own_NV.gather(1, best[:, None])[:, 0]
    prob_NV = (logits_NV / sampling.temperature).softmax(-1)
    ordered, order = prob_NV.sort(dim=-1, descending=True)
    ordered[ordered.cumsum(-1) - ordered >= sampling.top_p] = 0
    chosen = torch.multinomial(ordered, 1, generator=rng)
    token_N = order.gather(1, chosen)[:, 0]
    return token_N, own_NV.gather(1, token_N[:, None])[:, 0]


def require_template(tokenizer: Any, model: str) -> None:
    if not getattr(tokenizer, "chat_template", None):
        raise StepFailed(f"{model} has no chat template, so it is no instruct model; choose its -instruct version")


def _end_tokens(tokenizer: Any, model: Any) -> list[int]:
    """What ends an answer: the tokenizer's end and those of the model's own generation settings."""
    named = model.generation_config.eos_token_id
    ends = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    return list(dict.fromkeys(int(e) for e in ends if e is not None)) or [0]
