"""Programs against slips of them: labels come from the sandbox, tokens are balanced, HumanEval is read where it is."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from engine.config.ouroboros import Programs
from engine.ouroboros import program_energy, programs
from engine.ouroboros.errors import Refused
from engine.ouroboros.programs import Pair, change_of, matched, with_counterparts, words_of
from tests.engine.ouroboros.tiny import tiny

REAL = Path(__file__).parents[3].parent / "shared" / "data"
FEW = Programs(source="own", problems=20, tries=6, workers=1, cpu_s=0.3)


@pytest.fixture(scope="module")
def made() -> programs.Made:
    return programs.make(FEW, seed=0)


def test_every_right_one_passes_and_every_wrong_one_fails_when_run_again(made: programs.Made) -> None:
    _, problems = programs.problems_of(FEW)
    pairs = [*made.train, *made.held_out]
    verdicts = programs.execute(pairs, problems, FEW)
    assert all(verdicts[f"right {at}"].ok and not verdicts[f"wrong {at}"].ok for at in range(len(pairs)))


def test_every_token_stands_equally_often_on_both_sides(made: programs.Made) -> None:
    for pairs in (made.train, made.held_out):
        right, wrong = (Counter(w for p in pairs for w in words_of(getattr(p, side))) for side in ("right", "wrong"))
        assert right == wrong


def test_partners_make_opposite_slips_in_different_problems(made: programs.Made) -> None:
    for at, pair in enumerate(made.train):
        other = made.train[pair.partner]
        assert other.partner == at
        assert other.problem != pair.problem
        assert change_of(pair.right, pair.wrong) == change_of(other.wrong, other.right)


def test_no_problem_stands_in_both_splits(made: programs.Made) -> None:
    assert not {p.problem for p in made.train} & {p.problem for p in made.held_out}


def pair(problem: str, right: str, wrong: str) -> Pair:
    return Pair(problem, "", right, wrong, "compare")


def test_a_slip_without_a_counterpart_is_left_out() -> None:
    some = [pair("a", "x < y\n", "x <= y\n"), pair("b", "u <= v\n", "u < v\n"), pair("c", "i + j\n", "i - j\n")]
    assert {p.problem for p in with_counterparts(some)} == {"a", "b"}
    assert {p.problem for p in matched(some, 4, random.Random(0))} == {"a", "b"}
    assert matched([some[0], pair("a", "u <= v\n", "u < v\n")], 4, random.Random(0)) == []


def test_the_step_reports_pairs_probes_and_held_out_energies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: programs.Made
) -> None:
    cfg = tiny(programs={"iters": 3, "workers": 1})
    monkeypatch.setattr(program_energy, "load_config", lambda *_, **__: cfg)
    monkeypatch.setattr(program_energy, "work_dir", lambda *_: tmp_path)
    monkeypatch.setattr(programs, "make", lambda *_: made)
    assert program_energy.main([]) == 0
    told = json.loads((tmp_path / "programs.json").read_text())
    rows = [json.loads(line) for line in (tmp_path / "programs.jsonl").read_text().splitlines()]
    assert 2 * sum(row["wrong"] for row in rows) == len(rows) == 2 * sum(told["pairs"].values())
    assert set(told["probes"]) == {"tokens", "pairs of tokens", "length"}
    assert {"energy_correct", "energy_wrong", "pair_rank", "auroc"} <= set(told["held-out problems"])


def test_humaneval_without_its_file_is_refused() -> None:
    with pytest.raises(Refused, match=r"HumanEval is not there: set FRACTAL_DATA"):
        programs.make(Programs(source="humaneval"), 0)


def test_a_cut_humaneval_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(b"\x1f\x8b\x08 cut")
    monkeypatch.setenv("FRACTAL_DATA", str(tmp_path))
    with pytest.raises(Refused, match=r"HumanEval\.jsonl\.gz is damaged"):
        programs.make(Programs(source="humaneval"), 0)


@pytest.mark.skipif(not (REAL / "HumanEval.jsonl.gz").exists(), reason="no HumanEval in the data folder")
def test_humaneval_gives_balanced_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(REAL))
    found = programs.make(Programs(tries=1, held_out_share=0.5, workers=1, cpu_s=0.2), 0)
    assert found.source == "humaneval"
    assert all(p.problem.startswith("humaneval/") for p in [*found.train, *found.held_out])
