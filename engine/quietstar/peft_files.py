"""Adapters to and from the folder format of `peft`: adapter_config.json and adapter_model.safetensors. peft itself is not needed.

    write(lora, folder, base="Qwen/Qwen2.5-0.5B")
    read(lora, folder)                    # into adapters that are attached with the same rank and targets

Guarantees: `peft` reads what is written here, and the logits are the same (a test proves it where peft is installed). An adapter
that QK-clip has scaled is no pure B A any more and is refused: merge it instead.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from engine.quietstar.lora import Lora, LoraError

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."


def write(lora: Lora, folder: Path, base: str) -> None:
    from safetensors.torch import save_file

    if scaled := [name for name, adapter in lora.adapters.items() if adapter.gain_O is not None]:
        raise LoraError(f"QK-clip has scaled {scaled[0]}, which peft's format can't say: merge the adapter instead")
    some = next(iter(lora.adapters.values()))
    folder.mkdir(parents=True, exist_ok=True)
    weights = {f"{_PREFIX}{name}.lora_{part}.weight": getattr(adapter, part).detach().contiguous()
               for name, adapter in lora.adapters.items() for part in ("A", "B")}  # fmt: skip
    save_file(weights, str(folder / _WEIGHTS), metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": some.dropout,
        "target_modules": sorted({name.rpartition(".")[2] for name in lora.adapters}),
        "fan_in_fan_out": some.transposed,
        "bias": "none",
        "inference_mode": True,
    }
    (folder / _CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")


def read(lora: Lora, folder: Path) -> None:
    """The folder's adapter into `lora`; LoraError where rank, scale or modules differ."""
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        weights: dict[str, Tensor] = load_file(str(folder / _WEIGHTS))
    except (OSError, ValueError) as error:
        raise LoraError(f"{folder} holds no adapter of peft's format: {error}") from None
    scale, here = config["lora_alpha"] / config["r"], lora.alpha / lora.rank
    if config["r"] != lora.rank or abs(scale - here) > 1e-9:
        raise LoraError(f"{folder} has rank {config['r']} and scale {scale:g}; here they are {lora.rank} and {here:g}")
    named = {
        name.removeprefix(_PREFIX).replace(".lora_A.weight", ".A").replace(".lora_B.weight", ".B"): value
        for name, value in weights.items()
    }
    with torch.no_grad():
        lora.load(named)
