"""Tier T3: a small model writes, its own errors are judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.coconut.generate import generate
from engine.config.ouroboros import Organic
from engine.ouroboros import best_of_n, organic, scorer, solver, train
from engine.ouroboros.dataset import open_dataset
from engine.ouroboros.judge import judge_of
from engine.ouroboros.solutions import Limits
from tests.engine.ouroboros.tiny import tiny

FEW = {"problems": 300, "templates": 10, "iters": 60, "held_out": 6, "candidates": 3, "dim": 32, "vocabulary": 300}
LIMITS = Limits(999, 9999)


def test_no_template_is_told_and_asked() -> None:
    found = solver.stories(Organic(**FEW), seed=1)
    chain = {s.id: s for s in [*found.train, *found.held_out]}
    assert len(chain) == len(found.train) + len(found.held_out)
    assert not {s.question for s in found.train} & {s.question for s in found.held_out}
    assert all(s.solution.count("\n") <= 2 for s in chain.values())


def test_a_solution_is_the_annotations_and_the_answer() -> None:
    story = solver.stories(Organic(**FEW), seed=1).train[0]
    read = best_of_n.read_solution(story.solution, story.question, LIMITS)
    assert read is not None
    assert str(read.final) == story.answer
    assert all(step.true == step.claimed for step in read.steps)


def test_a_solver_that_is_told_a_few_stories_often_writes_them_and_decoding_gives_the_text_back() -> None:
    cfg = Organic(**FEW | {"iters": 150, "batch": 4, "candidates": 2, "temperature": 0.01})
    told = solver.stories(cfg, seed=1).train[:4]
    model = solver.train(cfg, told, seed=0)
    assert model.solve(told, seed=0) == [[story.solution] * 2 for story in told]


def test_words_by_chance_differ_and_the_same_seed_draws_the_same() -> None:
    cfg = Organic(**FEW | {"iters": 1, "temperature": 2.0})
    told = solver.stories(cfg, seed=1)
    model = solver.train(cfg, told.train, seed=0)
    first, again, other = (model.solve(told.held_out[:2], seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first[0])) > 1
    prompt = [model.row(told.held_out[0], said=False)]
    assert generate(model.model, prompt, model.end, 5, 1, end_at_once=True) == generate(
        model.model, prompt, model.end, 5, 1, end_at_once=True
    )


def row(solution: str, answer: str = "36", name: str = "a") -> organic.Row:
    return {"id": name, "question": "q", "solution": solution, "answer": answer}


def test_wrong_solutions_are_told_by_what_is_wrong_with_them() -> None:
    rows = [row("4*6=24\n24+12=36\n#### 36"), row("4*6=25\n25+12=37\n#### 37"), row("4+6=10\n#### 10"), row("?")]
    rows.append(row("4*6=25\n25+12=36\n#### 36"))
    found = organic.sort_out(rows, LIMITS)
    assert (found.right, found.lucky) == ([rows[0]], [rows[4]])
    assert (found.slipped, found.sound) == ([rows[1], rows[3]], [rows[2]])


def test_the_step_writes_what_best_of_n_reads_and_reports_the_tier(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = tiny(organic=FEW)
    assert train.train(cfg, prepared) == 0
    monkeypatch.setattr(organic, "load_config", lambda *_, **__: cfg)
    monkeypatch.setattr(organic, "work_dir", lambda *_: prepared)
    assert organic.main([]) == 0
    rows = [json.loads(line) for line in (prepared / "generations.jsonl").read_text().splitlines()]
    assert len(rows) == 6 * 3
    judge = judge_of(scorer.load(prepared / "best.pt", torch.device("cpu")), open_dataset(prepared))
    mixed = [*rows, *(dict(r, solution=f"#### {r['answer']}") for r in rows[:3])]
    found = organic.report(judge, mixed, LIMITS, cfg)
    assert {"energy_correct", "energy_wrong", "auroc", "random", "vote_over_majority"} <= set(found)


def test_solutions_of_one_class_are_said_and_not_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert organic.report(None, [row("?")], LIMITS, tiny()) == {}  # type: ignore[arg-type]
    assert "every one is wrong" in capsys.readouterr().out
