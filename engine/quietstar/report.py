"""Step 1 for people: its configuration, its epochs, and what it came to, in the source's words. No drawing, no colours."""

from __future__ import annotations

from pathlib import Path

from engine.config.quietstar_bake import Bake
from engine.quietstar.baking import Epoch, Result
from engine.quietstar.judge import USAGE_TARGETS
from engine.quietstar.loading import Loaded
from engine.quietstar.names import ENHANCED, EXAMPLES


def show_configuration(bake: Bake, loaded: Loaded, work: Path, device: str) -> None:
    told = {
        "Optimizer": "MuGrokfast",
        "Learning Rate (Muon)": f"{bake.optimizer.muon_lr:g}",
        "Grokfast Lambda": f"{bake.optimizer.grokfast_lambda:g}",
        "QK Clip Threshold": bake.optimizer.qk_clip_threshold or "off",
        "Number of Epochs": bake.epochs,
        "Batch Size": bake.batch,
        "Convergence Threshold": f"{bake.threshold:.2%}",
    }
    kind = "PROMPT BAKING" if bake.mode == "prompt" else "SUPERVISED FINE-TUNING (bakes no prompt)"
    print(f"===== PHASE 3 STEP 1: {kind} =====\n\nConfiguration:")
    for name, value in told.items():
        print(f"  - {name}: {value}")
    print(f"\nModel parameters: {loaded.parameters / 1e6:.1f}M")
    print(f"Training data: {work / EXAMPLES}\nDevice: {device}", flush=True)


def show_epoch(epoch: Epoch, bake: Bake) -> None:
    judged = epoch.judged
    print(f"\n--- Epoch {epoch.number}/{bake.epochs} ---\nTrain Loss: {epoch.loss:.4f}")
    if epoch.token_accuracy is not None:
        print(f"Train Token Accuracy (shifted, no padding): {epoch.token_accuracy:.4f}")
    print(f"Held-out KL: {epoch.kl:.4f} a token\n\nVal Accuracy: {judged.accuracy:.4f}\nStrategy Accuracies:")
    for name, value in judged.strategies.items():
        print(f"  {name}: {value:.4f}")
    print("\nThinking Token Usage (of generated outputs):")
    for name, value in judged.usage.items():
        print(f"  {name}: {value:.2%} (target > {USAGE_TARGETS[name]:.0%})")
    print(end="", flush=True)


def show_result(result: Result, bake: Bake, path: Path, cpu_s: float) -> None:
    facts = result.facts
    if result.converged:
        print(f"\nConvergence achieved at epoch {len(result.epochs)}!")
    print(f"\nFinal Results:\n  Overall Accuracy: {result.final_accuracy:.4f} (converged from {bake.threshold} on)")
    print(f"  Converged: {'yes' if result.converged else 'no'}")
    if "kl_fell_by_factor" in facts:
        print(f"  KL to the prompted teacher: {facts['kl_before']:.4f} -> {facts['kl_after']:.4f} a token, "
              f"{facts['kl_fell_by_factor']:.1f}x less")  # fmt: skip
    print(f"  Thinks without the prompt: {facts['thinking_before']:.1%} -> {facts['unprompted_thinking']:.1%} "
          f"(with it: {facts['thinking_teacher']:.1%})")  # fmt: skip
    print(f"  {cpu_s:.0f} CPU-s\n\nBaked model saved to: {path}")
    print(f"Ready for Step 2 (python -m engine.quietstar.rl), which leaves {ENHANCED}", flush=True)
