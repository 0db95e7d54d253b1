import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_example_shows_configuration_epochs_convergence_and_what_comes_next(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("FRACTAL")} | {"PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "examples/phase3_step1_example.py", "--preset", "smoke", "--folder", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    for words in (
        "===== PHASE 3 STEP 1: PROMPT BAKING =====",
        "  - Learning Rate (Muon): 0.003",
        "Loaded model from",
        "--- Epoch 2/2 ---",
        "  mece_decomposition: ",
        "  falsify: ",
        "Converged: no",
        f"Baked model saved to: {tmp_path / 'phase3_baked_model.pt'}",
        "Ready for Step 2",
    ):
        assert words in done.stdout
    assert (tmp_path / "phase3_baked_model.pt").exists()
