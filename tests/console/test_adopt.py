"""From a command of one's own to a phase that runs and is judged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from console.adoption.adopt import Adoption, code_globs, phase_text, step_name
from console.adoption.logscan import scan, split_lines
from console.adoption.samples import newest_log, read_sample
from console.cli import parser
from console.errors import UserError
from console.verbs.adopting import adopt
from engine.config.phase import Phase
from engine.config.phase_file import load_phase
from tests.console.conftest import Console

TRAIN = """\
for step in range(0, 50, 10):
    print(f"step {step}/50 | loss {1 / (step + 1):.4f}, val_acc={step / 50:.2f}")
open("model.txt", "w").write("weights")
"""
LOG = "step 0/50 | loss 1.0000, val_acc=0.00\nstep 40/50 | loss 0.0244, val_acc=0.80\n"


def written(folder: Path, name: str = "train") -> Phase:
    return load_phase(folder / "configs" / "phases" / f"{name}.yaml")


def repository(folder: Path) -> Path:
    (folder / "train.py").write_text(TRAIN)
    (folder / "run.log").write_text(LOG)
    return folder


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python train.py", "train"),
        ("CUDA_VISIBLE_DEVICES=0 python3 -u src/fine_tune.py --lr 1e-4", "fine_tune"),
        ("python -m package.train --config a.yaml", "train"),
        ("torchrun --nproc_per_node 2 train.py", "train"),
        ("accelerate launch train.py", "train"),
        ("uv run train.py", "train"),
        ("./build/trainer --steps 10", "trainer"),
        ("bash scripts/go.sh && echo done", "go"),
        ("make", "make"),
    ],
)
def test_a_step_is_called_after_its_program(command: str, name: str) -> None:
    assert step_name(command) == name


@pytest.mark.parametrize(
    "command",
    [
        "python train.py",
        "python train.py --note 'it''s: a # test' --map '{a: 1}'",
        "sh -c 'echo a && echo \"b\"' | tee out",
        "true",
        "echo ünïcode %s",
    ],
)
def test_any_command_survives_its_way_through_yaml(command: str, tmp_path: Path) -> None:
    text = phase_text(Adoption("x", "x", command, scan(split_lines(LOG)), "run.log"), "2026-11-20")
    (tmp_path / "x.yaml").write_text(text)
    assert load_phase(tmp_path / "x.yaml").steps[0].run == command


def test_what_the_command_writes_is_not_what_it_depends_on() -> None:
    globs = code_globs("python train.py --config conf/a.json", ["train.py", "conf/a.json", "model.pt", "run.log"])
    assert globs == ["*.py", "conf/a.json"]


def test_a_command_of_its_own_becomes_a_run_with_metrics_and_a_judged_gate(
    folder: Path, console: Console, root: object
) -> None:
    repository(folder)
    checks = ["--check", "metric loss < 0.5", "--check", "artifact model.txt exists"]
    answer = console(
        "init", "--command", "python3 train.py", "--log", "run.log", *checks, "--output", "model.txt", "--run"
    )
    assert answer.code == 0, answer.out + answer.err
    gates = console("gates", "train", "--json").json["gates"]
    assert [c["state"] for c in gates[0]["checks"]] == ["passed", "passed", "passed"]
    last = json.loads(console("events", "last", "--kind", "metric").out.splitlines()[-1])
    assert (last["step"], last["values"]) == (40.0, {"loss": 0.0244, "val_acc": 0.8})


def test_the_newest_log_is_found_and_named(folder: Path, console: Console) -> None:
    repository(folder)
    answer = console("init", "--command", "python3 train.py")
    assert "Looked at run.log and found:" in answer.out
    assert [m.name for m in written(folder).steps[0].log_metrics] == ["step", "loss", "val_acc"]


def test_without_a_log_it_says_how_to_come_back(folder: Path, console: Console) -> None:
    (folder / "train.py").write_text(TRAIN)
    answer = console("init", "--command", "python3 train.py")
    assert answer.code == 0
    assert "--log last --replace" in answer.out
    assert written(folder).steps[0].log_metrics == []


def test_the_log_of_the_last_run_is_a_sample_too(folder: Path, console: Console) -> None:
    (folder / "train.py").write_text(TRAIN)
    assert console("init", "--command", "python3 train.py", "--run").code == 0
    assert console("init", "--command", "python3 train.py", "--log", "last", "--replace").code == 0
    assert [m.name for m in written(folder).steps[0].log_metrics] == ["step", "loss", "val_acc"]


def test_an_existing_phase_is_never_written_over_unasked(folder: Path, console: Console) -> None:
    repository(folder)
    console("init", "--command", "python3 train.py", "--name", "mine")
    before = (folder / "configs/phases/mine.yaml").read_bytes()
    again = console("init", "--command", "python3 train.py --other", "--name", "mine")
    assert again.code == 2
    assert "--replace" in again.line
    assert (folder / "configs/phases/mine.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say which command to run: fractal-console init --command"),
        (("--command", "python3 absent.py"), "would run absent.py, which does not exist"),
        (("--command", "python3 'train.py"), "can't be read"),
        (("--command", "python3 train.py", "--check", "loss is small"), "is no check"),
        (("--command", "python3 train.py", "--check", "metric loss of other < 1"), "the only step here is 'train'"),
        (("--command", "python3 train.py", "--log", "absent.log"), "there is no log"),
        (("--command", "python3 train.py", "--log", "."), "is a folder"),
        (("--command", "python3 train.py", "--log", "last"), "has no run yet"),
    ],
)
def test_what_can_not_be_adopted_gets_one_line(
    folder: Path, console: Console, words: tuple[str, ...], said: str
) -> None:
    (folder / "train.py").write_text(TRAIN)
    answer = console("init", *words)
    assert answer.code == 2
    assert said in answer.line
    assert not (folder / "configs").exists()


def test_an_empty_folder_gets_one_line(folder: Path, console: Console) -> None:
    answer = console("init")
    assert answer.code == 2
    assert "--command" in answer.line


def test_a_check_of_an_unseen_metric_is_warned_of(folder: Path, console: Console) -> None:
    repository(folder)
    answer = console("init", "--command", "python3 train.py", "--check", "metric los < 1")
    assert "no metric 'los' was found in the sample; did you mean 'loss'?" in answer.out


def test_a_terminal_is_asked_for_what_the_flags_leave_open(folder: Path, root: object) -> None:
    repository(folder)
    answers = iter(["", "", "val_acc", "nonsense", "metric loss < 0.5", ""])
    questions: list[str] = []

    def ask(question: str) -> str:
        questions.append(question)
        return next(answers)

    assert adopt(parser().parse_args(["init"]), ask) == 0
    assert "train.py]" in questions[0]
    phase = written(folder)
    assert [m.name for m in phase.steps[0].log_metrics] == ["step", "loss"]
    assert [c.check for c in phase.gates[0].checks] == ["step train succeeded", "metric loss < 0.5"]


def test_nothing_is_written_when_the_command_is_left_empty(folder: Path) -> None:
    with pytest.raises(UserError, match="nothing was written"):
        adopt(parser().parse_args(["init"]), lambda _: "")
    assert list(folder.iterdir()) == []


def test_the_newest_log_wins_and_hidden_folders_are_not_searched(tmp_path: Path) -> None:
    for at, name in enumerate(["old.log", "runs/new.log", ".venv/newest.log"], start=1):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        os.utime(path, (at, at))
    assert newest_log(tmp_path) == tmp_path / "runs/new.log"


def test_a_huge_log_is_read_at_both_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\n" + "middle\n" * 700_000 + "last\n")
    sample = read_sample(log)
    assert sample.startswith("first\n")
    assert sample.endswith("last\n")
    assert len(sample) < 2_200_000
