"""Generation with vLLM: one `SamplingParams` a prompt with its own seed, samples of a unit share the prefill.

One process drives one engine; `tensor_parallel` spreads a large model over GPUs. Several engines on several GPUs are
`shards.py`'s work (`data_parallel`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.config.verify import Generate
from engine.verify.generate.contract import Completion, Sampling, Unit
from engine.verify.step import StepFailed


class VllmGenerator:
    """An engine of vLLM's with its tokenizer's own chat template."""

    name = "vllm"

    def __init__(self, cfg: Generate, sampling: Sampling) -> None:
        try:
            import vllm
        except ImportError:
            raise StepFailed(
                "vLLM is not installed here: pip install 'vllm>=0.32', or generate.backend=transformers"
            ) from None
        self._vllm: Any = vllm
        self.sampling = sampling
        self.max_model_len = cfg.max_model_len
        self.engine: Any = self._start(cfg)
        tokenizer = self.engine.get_tokenizer()
        if not getattr(tokenizer, "chat_template", None):
            raise StepFailed(
                f"{cfg.model} has no chat template, so it is no instruct model; choose its -instruct version"
            )

    def _start(self, cfg: Generate) -> Any:
        # On a CPU compiling costs minutes, and a request's own seed kills the engine when a prefill is cut into chunks.
        on_cpu = {"enforce_eager": True, "enable_chunked_prefill": False, "distributed_executor_backend": "uni"}
        try:
            return self._vllm.LLM(
                model=cfg.model,
                revision=cfg.revision,
                dtype=cfg.dtype,
                max_model_len=cfg.max_model_len,
                gpu_memory_utilization=cfg.gpu_memory_utilization,
                tensor_parallel_size=cfg.tensor_parallel,
                enable_prefix_caching=True,
                **(on_cpu if self._vllm.platforms.current_platform.is_cpu() else {}),
            )
        except (ValueError, RuntimeError) as error:
            if any(word in str(error).lower() for word in ("memory", "kv cache")):
                raise StepFailed(
                    f"the GPU is too small for {cfg.model}: lower generate.max_model_len (now {cfg.max_model_len}), raise "
                    f"generate.gpu_memory_utilization or generate.tensor_parallel. vLLM said: {str(error).splitlines()[0]}"
                ) from None
            if "max_model_len" in str(error):
                raise StepFailed(
                    f"{cfg.model} reads less than generate.max_model_len (now {cfg.max_model_len}): lower it to what the model's "
                    "config.json gives as max_position_embeddings"
                ) from None
            raise

    def generate(self, units: list[Unit]) -> Iterator[tuple[Unit, list[Completion]]]:
        chats = [[{"role": "user", "content": unit.prompt}] for unit in units]
        each = [self._params(unit) for unit in units]
        try:
            outputs = self.engine.chat(chats, sampling_params=each, add_generation_prompt=True, use_tqdm=False)
        except Exception as error:  # vLLM's own class, which older versions call ValueError
            if not any(words in str(error) for words in ("context length", "max_model_len", "maximum model length")):
                raise
            raise StepFailed(
                f"a prompt does not fit: raise generate.max_model_len (now {self.max_model_len}). "
                f"vLLM said: {str(error).splitlines()[0]}"
            ) from None
        for unit, output in zip(units, outputs, strict=True):
            yield (
                unit,
                [
                    Completion(o.text, o.finish_reason or "stop", len(o.token_ids), o.cumulative_logprob)
                    for o in output.outputs
                ],
            )

    def _params(self, unit: Unit) -> Any:
        sampling = self.sampling.of(unit)
        return self._vllm.SamplingParams(
            n=unit.n,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop) or None,
            seed=None if unit.greedy else unit.seed,
            logprobs=0,
        )
