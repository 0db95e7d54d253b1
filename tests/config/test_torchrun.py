"""The launcher line: what a step says, and what torchrun is told."""

from __future__ import annotations

import pytest

from engine.config.torchrun import is_distributed, torchrun_line


def line(*argv: str, gpus: int = 0, nodes: int = 1) -> str:
    return " ".join(torchrun_line(argv, gpus, nodes, "RUN"))


def test_a_module_on_four_gpus_is_four_ranks_that_meet_themselves() -> None:
    said = line("torchrun", "-m", "train", "--lr", "1", gpus=4)
    assert said.startswith("torchrun --standalone --nproc-per-node=4 --no-python /bin/sh -c")
    assert said.endswith("rank python -m train --lr 1")


@pytest.mark.parametrize("words", [("--nproc-per-node", "2"), ("--nproc_per_node=2",)])
def test_what_the_line_says_itself_stands(words: tuple[str, ...]) -> None:
    said = line("torchrun", *words, "train.py", gpus=4)
    assert "--nproc-per-node=4" not in said
    assert " ".join(words) in said
    assert said.endswith("python train.py")


def test_without_gpus_it_is_one_rank() -> None:
    assert "--nproc-per-node=1" in line("torchrun", "train.py")


def test_a_program_of_ones_own_is_no_python() -> None:
    assert line("torchrun", "--no-python", "./train").endswith("rank ./train")


def test_a_meeting_that_was_named_is_kept() -> None:
    assert "--standalone" not in line("torchrun", "--rdzv-endpoint=host:1", "train.py")


def test_two_nodes_are_started_by_srun_and_meet_on_the_first() -> None:
    said = line("torchrun", "train.py", gpus=4, nodes=2)
    assert "srun --ntasks-per-node=1 --kill-on-bad-exit=1" in said
    assert "--nnodes=2 --rdzv-backend=c10d --rdzv-id=RUN --nproc-per-node=4" in said
    assert "--standalone" not in said


def test_only_torchrun_is_distributed() -> None:
    assert is_distributed(["/venv/bin/torchrun", "x.py"])
    assert not is_distributed(["python", "torchrun.py"])
    assert not is_distributed([])
