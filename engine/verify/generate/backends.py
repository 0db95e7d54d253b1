"""The backend that a config names. Heavy imports happen here, after everything was checked."""

from __future__ import annotations

from engine.config.verify import Generate
from engine.verify.generate.contract import Generator, Sampling


def open_generator(cfg: Generate) -> Generator:
    """Ready to generate; a missing package or a model that doesn't fit is one line that says what to do."""
    if cfg.data_parallel > 1:
        from engine.verify.generate.shards import Shards

        return Shards(cfg)
    sampling = Sampling(cfg.temperature, cfg.top_p, cfg.max_tokens, cfg.stop)
    if cfg.backend == "offline":
        from engine.verify.generate.offline import OfflineGenerator

        return OfflineGenerator()
    if cfg.backend == "transformers":
        from engine.verify.generate.with_transformers import TransformersGenerator

        return TransformersGenerator(cfg.model, cfg.revision, sampling, cfg.dtype)
    if cfg.backend == "vllm":
        from engine.verify.generate.with_vllm import VllmGenerator

        return VllmGenerator(cfg, sampling)
    from engine.verify.generate.with_openai import OpenaiGenerator

    return OpenaiGenerator(cfg.base_url, cfg.model, sampling)
