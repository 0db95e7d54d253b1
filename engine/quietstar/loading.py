"""A model of this phase with the language that it speaks, to and from one file: our own body, or a causal model of transformers.

    loaded = load(path, made_by="champion")           # loaded.model, loaded.language, loaded.about
    save(path, loaded.model, loaded.language, about)
    loaded = from_hub("Qwen/Qwen2.5-0.5B")

The file of a transformers model holds its config, weights and tokenizer: it needs no hub to be read again.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.config.quietstar_bake import Champion
from engine.quietstar import model_file
from engine.quietstar.body import Body
from engine.quietstar.errors import ModelFileError
from engine.quietstar.language import Language, TaskLanguage, TextLanguage


@dataclass
class Loaded:
    model: nn.Module
    language: Language
    about: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    """What a step keeps beside the weights: step 2 its mixing head and its edges."""

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model.parameters())


def load(path: Path, made_by: str, device: str | torch.device = "cpu") -> Loaded:
    value = model_file.read(path, f"run the step `{made_by}` (python -m engine.quietstar.{made_by})", device)
    if isinstance(value, dict) and "hugging_face" in value:
        return _load_hugging_face(value, device)
    saved = model_file.load(path, made_by, device)
    return Loaded(saved.body, TaskLanguage(), saved.about, saved.more)


def save(path: Path, model: Any, language: Language, about: dict[str, Any], more: dict[str, Any] | None = None) -> None:
    if isinstance(model, Body):
        model_file.save(path, model, about, more)
        return
    assert isinstance(language, TextLanguage)
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    value = {
        "format": model_file.FORMAT,
        "hugging_face": model.config.to_json_string(use_diff=False),
        "model": weights,
        "tokenizer": _tokenizer_files(language.tokenizer),
        "about": about,
        "more": more or {},
    }
    model_file.write(path, value)


def from_hub(champion: Champion) -> Loaded:
    """From a folder or the hub; the error says which and why not."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        dtype = getattr(torch, champion.dtype)
        model = AutoModelForCausalLM.from_pretrained(champion.name, revision=champion.revision, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(champion.name, revision=champion.revision)
    except (OSError, ValueError) as error:
        said = str(error).strip().splitlines()[0]
        raise ModelFileError(
            f"{champion.name} can't be had from a folder or the hub: {said}. Name a folder in champion.name"
        ) from None
    return Loaded(model, TextLanguage(tokenizer), {"champion": champion.name, "revision": champion.revision})


def _load_hugging_face(value: dict[str, Any], device: str | torch.device) -> Loaded:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    said = json.loads(value["hugging_face"])
    config = AutoConfig.for_model(**said)
    some = next(iter(value["model"].values()))
    model = AutoModelForCausalLM.from_config(config, dtype=some.dtype)
    model.load_state_dict(value["model"])
    with tempfile.TemporaryDirectory() as folder:
        for name, text in value["tokenizer"].items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        tokenizer = AutoTokenizer.from_pretrained(folder)
    return Loaded(model.to(device).eval(), TextLanguage(tokenizer), value["about"], value.get("more", {}))


def _tokenizer_files(tokenizer: Any) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return {f.name: f.read_text(encoding="utf-8") for f in sorted(Path(folder).iterdir()) if f.is_file()}
