"""Where the query and key maps of a model are, for QK-clip: our own body, and the GPT-2 and Qwen2/Llama families."""

from __future__ import annotations

from typing import Any

from torch import nn

from engine.quietstar.body import Body
from engine.training.mugrokfast.qk_clip import Heads, QKClip, Rows

_WATCHED = "fractal_watched"


def watch_logits(model: nn.Module, threshold: float | None) -> QKClip | None:
    """A clip that sees the model's attention from now on; None where no threshold is set."""
    if threshold is None:
        return None
    if isinstance(model, Body):
        size = model.size
        layers = {
            at: Heads(Rows(block.q), Rows(block.k), size.heads, size.groups, size.channels)
            for at, block in enumerate(model.blocks)
        }
        clip = QKClip(layers, threshold)
        model.watch = clip.see
        return clip
    return _watch_hugging_face(model, threshold)


def unwatch(model: nn.Module) -> None:
    """Nobody looks any more."""
    if isinstance(model, Body):
        model.watch = None
    for module in model.modules():
        if getattr(module, "qk_clip", None) is not None:
            module.qk_clip = None


def _watch_hugging_face(model: Any, threshold: float) -> QKClip:
    """transformers lets attention be replaced by name; ours looks, then does what `sdpa` does."""
    attentions = {m.layer_idx: m for m in model.modules() if hasattr(m, "layer_idx") and _has_maps(m)}
    if not attentions:
        raise ValueError(f"QK-clip knows no attention in a {type(model).__name__}; set qk_clip_threshold: null")
    clip = QKClip({at: _heads_of(m, model.config) for at, m in attentions.items()}, threshold)
    for module in attentions.values():
        module.qk_clip = clip
    _register()
    model.set_attn_implementation(_WATCHED)
    return clip


def _has_maps(module: nn.Module) -> bool:
    return hasattr(module, "c_attn") or (hasattr(module, "q_proj") and hasattr(module, "k_proj"))


def _heads_of(module: Any, config: Any) -> Heads:
    heads = config.num_attention_heads
    channels = getattr(module, "head_dim", config.hidden_size // heads)
    if hasattr(module, "c_attn"):
        return Heads(Rows(module.c_attn), Rows(module.c_attn, config.hidden_size), heads, heads, channels)
    return Heads(Rows(module.q_proj), Rows(module.k_proj), heads, config.num_key_value_heads, channels)


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def watched(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **more: Any) -> Any:
        clip = getattr(module, "qk_clip", None)
        if clip is not None:
            clip.see(module.layer_idx, query, key, attention_mask, more.get("scaling"))
        return sdpa_attention_forward(module, query, key, value, attention_mask, **more)

    AttentionInterface.register(_WATCHED, watched)
    AttentionMaskInterface.register(_WATCHED, sdpa_mask)
