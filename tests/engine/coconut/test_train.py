"""Training is the slow trajectory, goes on as if never stopped, and is the same on one process and on two."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.coconut import checkpoint, corpus, train_prosqa
from engine.coconut.build import make_model, make_tokens
from engine.coconut.checkpoint import CheckpointError
from engine.coconut.curriculum import stage_of
from engine.coconut.gpt2 import from_hugging_face, renamed
from engine.coconut.ranks import Ranks
from engine.config.coconut import Body, CoconutConfig, Data, Variant
from engine.data.prosqa import DataError, file_name
from tests.engine.coconut import slow
from tests.engine.coconut.test_model import SAMPLES, TOKENS

ROOT = Path(__file__).parents[3]
SMALL = Body(layers=2, width=32, heads=4, context=512, dropout=0.0)


def config(**more) -> CoconutConfig:
    data = Data(source="generated", train_rows=13, valid_rows=4, test_rows=4, ood_rows=4)
    told = {"preset": "test", "body": SMALL, "data": data, "max_new_tokens": 6, "eval_batch": 4, "bucket_parts": 2}
    return CoconutConfig(**(told | more))


def variant(**more) -> Variant:
    told = {"name": "test", "coconut": True, "num_epochs": 3, "epochs_per_stage": 1, "max_latent_stage": 2}
    return Variant(**(told | {"batch_size_training": 4, "gradient_accumulation_steps": 2, "lr": 1e-3} | more))


@pytest.mark.parametrize("reset", ["epoch", "stage", "never"])
def test_ten_batches_follow_the_slow_trajectory(reset):
    """Twelve samples, one batch of two each, two stages: the reference's own loop beside ours, losses and weights compared."""
    v = variant(
        num_epochs=2, batch_size_training=2, gradient_accumulation_steps=3, reset_optimizer=reset, max_latent_stage=6
    )
    samples = SAMPLES[:3] * 4
    source = slow.hugging_face_gpt2(TOKENS.size)
    model = train_prosqa.Coconut(from_hugging_face(source), "continuous", TOKENS.latent, TOKENS.plain.like)
    # AdamW divides by the root of a gradient's square: where that is all but nothing, rounding decides. A larger eps calms it.
    ours, theirs = (
        torch.optim.AdamW(m.parameters(), lr=v.lr, weight_decay=v.weight_decay, eps=1e-4) for m in (model, source)
    )
    for epoch in range(v.num_epochs):
        stage = stage_of(epoch, v)
        if reset == "epoch" or (reset == "stage" and epoch > 0):
            ours, theirs = (
                torch.optim.AdamW(m.parameters(), lr=v.lr, weight_decay=0.01, eps=1e-4) for m in (model, source)
            )
        rows = train_prosqa.epoch_rows(samples, TOKENS, v, epoch)
        order = [next(s for s in SAMPLES if row.prefix[:-1] == s.question) for row in rows]
        batches = list(train_prosqa.micro_batches(rows, v.batch_size_training))
        for at, micro in enumerate(batches[:5]):
            closes = (at + 1) % 3 == 0 or at == 4
            mean = train_prosqa.micro_backward(model, micro, TOKENS, v, config(), Ranks(), closes)
            chosen = order[2 * at : 2 * at + 2]
            wanted = slow.loss(
                source,
                [slow.sequence(s, TOKENS, stage, 6, 1, True, "coconut") for s in chosen],
                TOKENS.latent,
                "continuous",
            )
            (wanted / 3).backward()
            assert mean == pytest.approx(wanted.item(), abs=1e-5)
            if closes:
                for optimizer in (ours, theirs):
                    optimizer.step()
                    optimizer.zero_grad()
    for name, weight in renamed(source.state_dict(), 2).items():
        torch.testing.assert_close(model.body.state_dict()[name], weight, atol=2e-5, rtol=1e-4)


def run(out: Path, cfg: CoconutConfig, v: Variant):
    corpus.make_missing(cfg.data, out)
    return train_prosqa.train(cfg, v, out, Ranks())


@pytest.mark.parametrize("reset", ["epoch", "never"])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_last_bit(tmp_path, reset):
    cfg = config(body=SMALL.model_copy(update={"dropout": 0.1}))
    whole = run(tmp_path, cfg, variant(reset_optimizer=reset))
    (tmp_path / "b").mkdir()
    run(tmp_path / "b", cfg, variant(reset_optimizer=reset, num_epochs=2))
    torch.manual_seed(999)  # what another process would have drawn meanwhile
    last = tmp_path / "b" / "test" / "seed0" / "last.pt"
    rest = run(tmp_path / "b", cfg.model_copy(update={"resume": str(last)}), variant(reset_optimizer=reset))
    assert rest.losses == whole.losses[-len(rest.losses) :]
    for ours, theirs in zip(rest.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_nothing_resumes_by_itself(tmp_path):
    cfg = config()
    first = run(tmp_path, cfg, variant(num_epochs=1))
    again = run(tmp_path, cfg, variant(num_epochs=1))
    assert again.losses == first.losses


def test_a_checkpoint_of_another_mode_is_refused_by_name(tmp_path):
    run(tmp_path, config(), variant(num_epochs=1, feedback_mode="frozen"))
    last = tmp_path / "test" / "seed0" / "last.pt"
    said = r"last\.pt holds test with feedback_mode=frozen, this run is test with feedback_mode=continuous"
    with pytest.raises(CheckpointError, match=said):
        run(tmp_path, config(resume=str(last)), variant())


def test_a_checkpoint_with_other_thoughts_is_refused_at_evaluation(tmp_path):
    run(tmp_path, config(), variant(num_epochs=1))
    path = tmp_path / "test" / "seed0" / "best.pt"
    saved = checkpoint.load(path)
    with pytest.raises(CheckpointError, match=r"c_thought=1, this run is test with c_thought=2"):
        checkpoint.refuse_other(saved, variant(c_thought=2), SMALL.model_dump(), path)
    with pytest.raises(CheckpointError, match=r"made with body\.width=32, this run has 64"):
        checkpoint.refuse_other(saved, variant(), SMALL.model_dump() | {"width": 64}, path)


def test_a_cut_checkpoint_is_said_to_be_cut(tmp_path):
    path = tmp_path / "last.pt"
    path.write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(CheckpointError, match=r"last\.pt can't be read as a checkpoint .*it may be cut"):
        checkpoint.load(path)


def test_the_best_model_is_of_the_last_stage_reached(tmp_path):
    outcome = run(tmp_path, config(), variant())
    saved = checkpoint.load(tmp_path / "test" / "seed0" / "best.pt")
    assert (outcome.best_stage, saved.stage) == (2, 2)


def test_published_data_that_is_not_there_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("FRACTAL_DATA", raising=False)
    with pytest.raises(
        DataError, match=r"\$FRACTAL_DATA is not set: it names the folder that holds prosqa_train\.json"
    ):
        corpus.read(Data(source="published"), "train", tmp_path)


def test_a_published_file_with_another_hash_stops_training(tmp_path, monkeypatch):
    corpus.make(Data(source="generated", train_rows=4, valid_rows=2, test_rows=2), tmp_path)
    monkeypatch.setenv("FRACTAL_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"prosqa_train\.json is not the published file: 4 samples"):
        corpus.read(Data(source="published"), "train", tmp_path / "work")


def test_generated_files_say_that_they_are_synthetic(tmp_path):
    corpus.make(Data(source="generated", train_rows=4, valid_rows=2, test_rows=2), tmp_path)
    for split in ("train", "valid", "test"):
        assert all(row["synthetic"] for row in json.loads((tmp_path / file_name(split)).read_text()))


def test_markers_start_as_copies_of_one_token_and_baselines_have_none():
    tokens = make_tokens(SMALL)
    table = make_model(config(), variant(), tokens).body.table()
    for marker in (tokens.start, tokens.end, tokens.latent):
        assert torch.equal(table[marker], table[tokens.plain.like])
    assert make_model(config(), Variant(name="cot", cot=True), tokens).body.table().shape[0] == tokens.plain.size


CHILD = """
import sys, torch
from pathlib import Path
from engine.coconut import train_prosqa
from engine.coconut.ranks import joined
from tests.engine.coconut.test_train import config, variant
torch.set_num_threads(1)
mode, out = sys.argv[1:]
with joined("cpu") as ranks:
    outcome = train_prosqa.train(config(), variant(num_epochs=2, feedback_mode=mode), Path(out), ranks)
    if ranks.first:
        print("LOSSES", outcome.losses, [s.accuracy.value for s in outcome.history])
        torch.save([p.detach() for p in outcome.model.parameters()], Path(out) / "weights.pt")
"""


def test_two_processes_take_the_steps_of_one(tmp_path):
    """With a learned pause: at stage 0 it has no gradient, which data parallelism has to bear."""
    mode = "learned_shared"
    corpus.make(config().data, tmp_path)
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
        mode,
        str(tmp_path),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    env.pop("FRACTAL_EVENTS", None)
    done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    said = re.search(r"LOSSES (\[.*?\])", done.stdout)
    alone = run(tmp_path, config(), variant(num_epochs=2, feedback_mode=mode))
    assert json.loads(said[1]) == pytest.approx(alone.losses, abs=1e-6)
    for theirs, ours in zip(torch.load(tmp_path / "weights.pt"), alone.model.parameters(), strict=True):
        torch.testing.assert_close(theirs, ours.detach(), atol=1e-4, rtol=1e-3)
