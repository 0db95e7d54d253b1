"""Generation with transformers alone, where vLLM is not there.

Prompts of several units are read in one batch, each once: the samples of a unit share its prefill. Every unit draws from a
generator of its own, so its samples don't depend on its neighbours (up to rounding). Rows that have ended leave the batch.

Letters: U units, N rows (samples of all of them), S tokens so far, T prompt tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from engine.verify.generate.contract import Completion, Sampling, Unit
from engine.verify.step import StepFailed
from engine.verify.too_small import fits_or_says

_ROWS = 128  # samples decoded at once; a unit that is larger goes alone


class TransformersGenerator:
    """A causal model and its tokenizer's own chat template."""

    name = "transformers"

    def __init__(self, model: str, revision: str | None, sampling: Sampling, dtype: str = "auto") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.sampling = sampling
        self.model_name = model
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model, revision=revision)
        require_template(self.tokenizer, model)
        self.model: Any = AutoModelForCausalLM.from_pretrained(model, revision=revision, dtype=dtype)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        with fits_or_says(f"the model {model}", "choose a smaller generate.model, or generate.dtype=bfloat16"):
            self.model.to(self.device).eval()
        self._ends = _end_tokens(self.tokenizer, self.model)

    def generate(self, units: list[Unit]) -> Iterator[tuple[Unit, list[Completion]]]:
        prompts = [self._prompt_ids(unit) for unit in units]
        for places in batches([len(ids) for ids in prompts], [unit.n for unit in units], _ROWS):
            batch = [units[at] for at in places]
            with fits_or_says(f"{self.model_name} with these samples", "lower generate.chunk or generate.max_tokens"):
                found = self._sample(batch, [prompts[at] for at in places])
            yield from zip(batch, found, strict=True)

    def _prompt_ids(self, unit: Unit) -> list[int]:
        chat = [{"role": "user", "content": unit.prompt}]
        encoded = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)
        return list(encoded["input_ids"])

    @torch.inference_mode()
    def _sample(self, units: list[Unit], prompts: list[list[int]]) -> list[list[Completion]]:
        rows = _Rows(units, self.sampling, self.device)
        ids_UT, seen_UT = left_padded(prompts, self._ends[0], self.device)
        out = self.model(
            ids_UT, attention_mask=seen_UT, position_ids=positions(seen_UT), use_cache=True, logits_to_keep=1
        )
        cache = out.past_key_values
        unit_N = torch.tensor([at for at, unit in enumerate(units) for _ in range(unit.n)], device=self.device)
        cache.batch_select_indices(unit_N)
        logits_NV, seen_NS = out.logits[unit_N, -1], seen_UT[unit_N]
        for left in reversed(range(self.sampling.max_tokens)):
            next_N = rows.draw(logits_NV.float())
            kept_N = rows.take(next_N, self._ends, self.tokenizer)
            if not left or not len(kept_N):
                break
            if len(kept_N) < len(next_N):
                cache.batch_select_indices(kept_N)
                next_N, seen_NS = next_N[kept_N], seen_NS[kept_N]
            seen_NS = torch.cat([seen_NS, torch.ones_like(seen_NS[:, :1])], dim=1)
            logits_NV = self.model(
                next_N[:, None],
                attention_mask=seen_NS,
                position_ids=seen_NS.sum(1, keepdim=True) - 1,
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]
        return rows.completions(self.tokenizer)


@dataclass
class _Row:
    """One sample under way."""

    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    text: str | None = None
    """What it says, once a stop word has cut it."""
    ended: bool = False


class _Rows:
    """The samples of a batch: drawn unit by unit, ended one by one."""

    def __init__(self, units: list[Unit], sampling: Sampling, device: str) -> None:
        self.units, self.sampling = units, sampling
        self.rngs = [torch.Generator(device=device).manual_seed(unit.seed) for unit in units]
        self.rows = [[_Row() for _ in range(unit.n)] for unit in units]
        self._live = [(at, row) for at, rows in enumerate(self.rows) for row in rows]
        self._logprob: list[float] = []

    def draw(self, logits_NV: Tensor) -> Tensor:
        """A token for every live row."""
        tokens, logprobs, start = [], [], 0
        for at, unit in enumerate(self.units):
            count = sum(place == at for place, _ in self._live)
            if count:
                part = logits_NV[start : start + count]
                token_N, logprob_N = pick(part, self.sampling.of(unit), self.rngs[at])
                tokens.append(token_N)
                logprobs += logprob_N.tolist()
                start += count
        self._logprob = logprobs
        return torch.cat(tokens)

    def take(self, next_N: Tensor, ends: list[int], tokenizer: Any) -> Tensor:
        """Keep the drawn tokens; places of the rows that go on."""
        going = []
        for place, ((_, row), token) in enumerate(zip(self._live, next_N.tolist(), strict=True)):
            row.tokens.append(token)
            row.logprob += self._logprob[place]
            row.ended = token in ends
            if self.sampling.stop and not row.ended:
                row.text = self.sampling.cut(tokenizer.decode(row.tokens, skip_special_tokens=True))
                row.ended = row.text is not None
            if not row.ended:
                going.append(place)
        self._live = [self._live[place] for place in going]
        return torch.tensor(going, dtype=torch.long, device=next_N.device)

    def completions(self, tokenizer: Any) -> list[list[Completion]]:
        return [[_completion(row, tokenizer) for row in rows] for rows in self.rows]


def _completion(row: _Row, tokenizer: Any) -> Completion:
    text = row.text
    if text is None:
        text = tokenizer.decode(row.tokens[:-1] if row.ended else row.tokens, skip_special_tokens=True)
    return Completion(text, "stop" if row.ended else "length", len(row.tokens), row.logprob)


def batches(lengths: list[int], rows: list[int], most: int) -> list[list[int]]:
    """Places of units that are read together: alike in length, at most `most` rows."""
    found: list[list[int]] = []
    have = 0
    for at in sorted(range(len(lengths)), key=lambda at: lengths[at]):
        if found and have + rows[at] <= most:
            found[-1].append(at)
            have += rows[at]
        else:
            found.append([at])
            have = rows[at]
    return found


def left_padded(prompts: list[list[int]], pad: int, device: str) -> tuple[Tensor, Tensor]:
    """Prompts that all end in the last column, and where they are."""
    T = max(map(len, prompts))
    ids_UT = torch.tensor([[pad] * (T - len(p)) + p for p in prompts], device=device)
    seen_UT = torch.tensor([[0] * (T - len(p)) + [1] * len(p) for p in prompts], device=device)
    return ids_UT, seen_UT


def positions(seen_UT: Tensor) -> Tensor:
    """Counted from each prompt's own first token."""
    return (seen_UT.cumsum(1) - 1).clamp(min=0)


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
