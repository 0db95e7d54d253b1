"""Steps that are killed (SIGKILL, at a bad moment) and started again reach what an uninterrupted one reaches."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.verify.rows import read

_ROOT = Path(__file__).resolve().parents[3]
_WORDS = ["--preset", "smoke", "problems.limit=6", "generate.n_train=16", "generate.chunk=2"]


def step(work, module, *words):
    env = {**os.environ, "FRACTAL_WORK": str(work), "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    env.pop("FRACTAL_SPEC", None)
    return subprocess.Popen(
        [sys.executable, "-m", f"engine.verify.{module}", *words, *_WORDS],
        cwd=_ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, text=True,
    )  # fmt: skip


def finished(process):
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    return said


def killed_when(process, ready, patience_s=60):
    """SIGKILL to the step and all it started, as soon as `ready()`."""
    end = time.monotonic() + patience_s
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    work = tmp_path_factory.mktemp("whole")
    for module, *words in (["generate", "train"], ["execute", "train"], ["train_critic", "critic.epochs=3"]):
        finished(step(work, module, *words))
    return work


def verdicts(path):
    """What a row is labelled. An endless loop is ended by its CPU limit, or by the wall on a busy machine: TIMEOUT both."""
    return sorted(
        (r["key"], r["verdict"], r["verdict"] == "TIMEOUT" or r["reason"], tuple(r["outputs"])) for r in read(path)
    )


def test_a_killed_generation_goes_on_and_ends_with_the_same_bytes(whole, tmp_path):
    path = tmp_path / "mbpp_generations.jsonl"
    killed_when(step(tmp_path, "generate", "train"), lambda: lines(path) >= 4)
    had = lines(path)
    assert "going on" in finished(step(tmp_path, "generate", "train")) or had == 96
    assert path.read_bytes() == (whole / path.name).read_bytes()


def test_a_killed_execution_goes_on_and_labels_every_row_once(whole, tmp_path):
    for name in ("mbpp_generations.jsonl", "mbpp_generations.params.json"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    path = tmp_path / "mbpp_labeled.jsonl"
    killed_when(step(tmp_path, "execute", "train"), lambda: lines(path) >= 1)
    finished(step(tmp_path, "execute", "train"))
    assert verdicts(path) == verdicts(whole / path.name)


def test_a_killed_training_goes_on_and_has_the_same_bits(whole, tmp_path):
    (tmp_path / "mbpp_labeled.jsonl").write_bytes((whole / "mbpp_labeled.jsonl").read_bytes())
    first = tmp_path / "checkpoints_critic" / "critic_e1" / "manifest.json"
    killed_when(step(tmp_path, "train_critic", "critic.epochs=3"), first.exists)
    assert "going on from critic_e" in finished(step(tmp_path, "train_critic", "critic.epochs=3"))
    assert weights(tmp_path) == weights(whole)
    told = [json.loads((w / "critic.json").read_text()) for w in (whole, tmp_path)]
    assert told[0]["val_auc_within_problem"] == told[1]["val_auc_within_problem"]


def weights(work):
    """Every checkpoint's weights and optimizer, as one hash (CPU seconds differ and are left out)."""
    import torch

    digest = hashlib.sha256()
    for place in sorted((work / "checkpoints_critic").glob("critic_e*")):
        state = torch.load(place / "state.pt", weights_only=True)
        for part in (state["body"], *state["optimizer"]["state"].values()):
            for name, value in sorted(part.items()):
                digest.update(f"{place.name} {name}".encode() + value.numpy().tobytes())
    return digest.hexdigest()


def test_another_training_is_not_gone_on_with(whole, tmp_path):
    import shutil

    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    refused = step(tmp_path, "train_critic", "critic.epochs=4", "critic.lr=2e-3")
    said = refused.communicate(timeout=120)[0]
    assert refused.returncode == 2
    assert "epochs: 3 there, 4 here" in said
    assert "lr: 0.001 there, 0.002 here" in said
