"""The steps of both phases, one after the other, at their smallest; and what they say when something is missing."""

import importlib
import json
import os
from pathlib import Path

import pytest

from engine.config.errors import ConfigError
from engine.config.layers import presets_of, resolve
from engine.config.load import check
from engine.config.phase_file import load_phase
from engine.config.verify import VerifyConfig
from engine.verify import execute, load_problems, rank, refine, train_critic
from engine.verify.problems import own
from engine.verify.rows import read
from engine.verify.step import StepFailed, begin

generate = importlib.import_module("engine.verify.generate.__main__")

_CONFIGS = Path(__file__).resolve().parents[3] / "configs"
_PHASES = ["phase11-code-verifier", "phase14-best-of-n"]


@pytest.mark.parametrize("phase", _PHASES)
def test_every_preset_is_a_good_config(phase):
    names = presets_of(_CONFIGS, phase)
    assert {"smoke", "cpu", "a100", "h100"} <= set(names)
    for name in names:
        cfg = check(VerifyConfig, resolve(_CONFIGS, phase, name), f"{phase} at {name}")
        assert not set(cfg.problems.train_splits) & set(cfg.problems.test_splits)


def test_published_sizes_follow_from_the_presets():
    eleven = check(VerifyConfig, resolve(_CONFIGS, "phase11-code-verifier", "a100"), "")
    fourteen = check(VerifyConfig, resolve(_CONFIGS, "phase14-best-of-n", "a100"), "")
    assert (374 * eleven.generate.n_train, 500 * eleven.generate.n_test) == (37_400, 8_000)
    assert ((120 + 43) * fourteen.generate.n_train, 257 * fourteen.generate.n_test) == (8_150, 12_850)


def test_a_split_for_both_is_refused():
    with pytest.raises(ConfigError, match="for training and for testing"):
        check(VerifyConfig, {"preset": "x", "problems": {"train_splits": ["test"]}}, "here")


@pytest.mark.parametrize("phase", _PHASES)
def test_every_step_that_needs_a_model_asks_for_the_gpus_that_its_preset_uses(phase):
    steps = {step.step: step for step in load_phase(_CONFIGS / "phases" / f"{phase}.yaml").steps}
    for name in presets_of(_CONFIGS, phase):
        cfg = check(VerifyConfig, resolve(_CONFIGS, phase, name), "")
        engines = cfg.generate.tensor_parallel * cfg.generate.data_parallel
        for step in ("generate-train", "generate-test"):
            assert steps[step].gpus_at(name) == (0 if cfg.generate.backend == "offline" else engines), (name, step)


def test_a_transfer_trains_on_one_set_and_tests_on_another():
    cfg = check(VerifyConfig, resolve(_CONFIGS, "phase14-best-of-n", "humaneval"), "")
    assert (cfg.problems.source_of("train"), cfg.problems.source_of("test")) == ("sanitized", "humaneval")
    assert 164 * cfg.generate.n_test == 8_200


def test_unsafe_is_a_word_of_the_command_line(work):
    assert begin(["train", "--preset", "smoke", "--unsafe"], ("train",)).cfg.sandbox.unsafe
    assert not begin(["train", "--preset", "smoke"], ("train",)).cfg.sandbox.unsafe


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(_CONFIGS.parent)
    monkeypatch.setenv("FRACTAL_WORK", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("phase", _PHASES)
def test_a_phase_runs_from_problems_to_ranking(phase, work):
    words = ["--phase", phase, "--preset", "smoke", "problems.limit=6", "generate.n_train=6", "generate.n_test=4"]
    load_problems.main(words)
    for part in ("train", "test"):
        generate.main([part, *words])
        execute.main([part, *words])
    train_critic.main(words)
    rank.main(words)
    refine.main([*words, "refine.first=2", "refine.second=2"])
    assert json.loads((work / "refinement.json").read_text())["samples_a_problem"] == 4
    told = json.loads((work / "ranking.json").read_text())
    values = {name: choice["value"] for name, choice in told["choices"].items()}
    assert values["oracle"] >= values["critic"] >= 0
    assert (work / "ranking.md").exists()
    assert "synthetic" in (work / "ranking.md").read_text()
    assert not set(json.loads((work / "critic.json").read_text())["train_problems"]) & {
        row["task_id"] for row in read(next(work.glob("*test_labeled.jsonl")))
    }


def test_a_generation_that_was_cut_short_goes_on_where_it_was(work):
    words = ["train", "--preset", "smoke", "problems.limit=3", "generate.n_train=6", "generate.chunk=2"]
    generate.main(words)
    path = work / "mbpp_generations.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    generate.main(words)
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_other_parameters_are_refused(work):
    words = ["train", "--preset", "smoke", "problems.limit=2"]
    generate.main(words)
    with pytest.raises(StepFailed, match="seed: 0 there, 1 now"):
        generate.main([*words, "seed=1"])


def test_labels_of_other_candidates_are_refused(work):
    words = ["test", "--preset", "smoke", "problems.limit=2", "generate.n_test=2"]
    generate.main(words)
    execute.main(words)
    for file in work.glob("mbpp_test_generations.*"):
        file.unlink()
    generate.main([*words, "seed=1"])
    with pytest.raises(StepFailed, match="other parameters"):
        execute.main([*words, "seed=1"])


def test_a_step_before_its_time_says_which_file_is_missing(work):
    with pytest.raises(StepFailed, match=r"mbpp_labeled\.jsonl does not exist; run the step that makes it"):
        train_critic.main(["--preset", "smoke"])


def test_equal_programs_run_once_and_all_get_the_verdict():
    rows = [
        {"task_id": "t", "code": "a", "key": "1"},
        {"task_id": "t", "code": "a", "key": "2"},
        {"task_id": "u", "code": "a", "key": "3"},
    ]
    assert {k: len(v) for k, v in execute.equal_programs(rows).items()} == {"1": 2, "3": 1}


def test_a_part_must_be_named():
    with pytest.raises(ConfigError, match="train or test"):
        execute.main(["--preset", "smoke"])


def test_a_phase_runs_with_a_model_and_has_its_baselines(work, tiny_model):
    """A random model writes no program that passes: references stand in for some, so that there is something to rank."""
    words = [
        "--preset",
        "smoke",
        "problems.limit=4",
        "generate.n_train=4",
        "generate.n_test=4",
        "generate.max_tokens=8",
    ]
    words += ["generate.backend=transformers", f"generate.model={tiny_model}"]
    load_problems.main(words)
    for part in ("train", "test"):
        generate.main([part, *words])
        let_some_pass(work / ("mbpp_generations.jsonl" if part == "train" else "mbpp_test_generations.jsonl"))
        execute.main([part, *words])
    train_critic.main(words)
    rank.main(words)
    told = json.loads((work / "ranking.json").read_text())
    assert told["absent"] == {}
    assert told["choices"]["greedy"]["value"] == 0.0
    assert 0 <= told["choices"]["mean log-probability"]["value"] <= told["choices"]["oracle"]["value"] == 1.0
    assert "mean log-probability" in told["critic_over"]
    assert len(list(read(work / "mbpp_test_greedy.jsonl"))) == 4


def let_some_pass(path):
    references = {p.task_id: p.reference for p in own.load()}
    rows = list(read(path))
    for row in rows[::2]:
        row["code"] = references[row["task_id"]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_without_a_model_greedy_and_log_probability_are_absent_with_the_reason(work):
    words = ["--preset", "smoke", "problems.limit=6", "generate.n_train=6", "generate.n_test=4"]
    for part in ("train", "test"):
        generate.main([part, *words])
        execute.main([part, *words])
    train_critic.main(words)
    rank.main(words)
    assert not (work / "mbpp_test_greedy.jsonl").exists()
    told = json.loads((work / "ranking.json").read_text())
    assert set(told["absent"]) == {"greedy", "mean log-probability"}
    assert "| greedy | absent | the generator is offline" in (work / "ranking.md").read_text()


_DATA = Path(os.environ.get("FRACTAL_DATA") or _CONFIGS.parent.parent / "shared" / "data")


@pytest.mark.skipif(not (_DATA / "HumanEval.jsonl.gz").exists(), reason=f"no HumanEval in {_DATA} (set FRACTAL_DATA)")
def test_a_critic_of_mbpp_ranks_humaneval(work, monkeypatch):
    """The transfer, with references and slips in a model's place."""
    monkeypatch.setenv("FRACTAL_DATA", str(_DATA))
    words = ["--preset", "smoke", "problems.source=sanitized", "problems.test_source=humaneval", "problems.limit=5"]
    for part in ("train", "test"):
        generate.main([part, *words])
        execute.main([part, *words])
    train_critic.main(words)
    rank.main(words)
    assert {row["task_id"].split("/")[0] for row in read(work / "mbpp_test_labeled.jsonl")} == {"humaneval"}
    assert json.loads((work / "ranking.json").read_text())["choices"]["oracle"]["value"] > 0
    with pytest.raises(StepFailed, match="no test to show that does not judge"):
        refine.main(words)


def test_no_passing_sample_is_said_and_divides_nothing(work, capsys):
    words = ["--preset", "smoke", "problems.limit=3", "generate.n_train=4", "generate.n_test=4"]
    for part, name in (("train", "mbpp_generations.jsonl"), ("test", "mbpp_test_generations.jsonl")):
        generate.main([part, *words])
        rows = [{**row, "code": "def nothing(): pass\n"} for row in read(work / name)]
        (work / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        execute.main([part, *words])
        assert "not one candidate passes" in capsys.readouterr().out
    with pytest.raises(StepFailed, match="every one fails"):
        train_critic.main(words)
