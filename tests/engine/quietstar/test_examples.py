import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from engine.config.quietstar_bake import Data
from engine.quietstar import data, examples, task
from engine.quietstar.dataset import NO_LABEL, ReasoningDataset, collate, shifted_accuracy, shifted_loss
from engine.quietstar.errors import ExamplesError
from engine.quietstar.examples import Example
from engine.quietstar.language import TaskLanguage
from engine.quietstar.strategies import SHARES, STRATEGIES, TAG_OF, Step, counts, tell
from tests.engine.quietstar.step1 import parts, task_examples

LANGUAGE = TaskLanguage()


def test_the_sources_numbers_keep_their_shares() -> None:
    assert counts(1600) == SHARES
    assert counts(18_000) == {s: 4500 if s == "chain_of_thought" else 2250 for s in STRATEGIES}
    assert sum(counts(7).values()) == 7 == len([c for c in counts(7).values() if c])


@pytest.mark.parametrize("source", ["task", "generated"])
def test_what_is_generated_is_true_tagged_and_labelled_as_ours(source: str) -> None:
    found = data.make(Data(source=source, train_examples=70, val_examples=14), seed=3)  # type: ignore[arg-type]
    assert Counter(e.strategy for e in found) == Counter({s: counts(70)[s] + counts(14)[s] for s in STRATEGIES})
    for e in found:
        assert e.metadata["generator"] == data.GENERATOR
        assert e.reasoning.startswith("<think>")
        assert e.reasoning.endswith("</think>")
        tags = {tag for tag in set(TAG_OF.values()) if tag in e.reasoning}
        assert tags == {TAG_OF[e.strategy]}
        if source == "generated":
            assert e.reasoning.splitlines()[-2].split()[-2:-1] == [e.answer] or e.answer in e.reasoning


def test_the_same_seed_gives_the_same_examples_and_another_one_others() -> None:
    ask = Data(source="generated", train_examples=14, val_examples=7)
    assert data.make(ask, 0) == data.make(ask, 0) != data.make(ask, 1)


def test_no_problem_stands_on_both_sides() -> None:
    for found in (task_examples(), data.make(Data(source="generated", train_examples=70, val_examples=14), 0)):
        assert examples.split(found, 0).in_both == 0


def plain(strategy: str, problem: int, copies: int = 1) -> list[Example]:
    return [
        Example(f"question {problem}, told {copy}", "<think> r </think>", "1", strategy, metadata={"problem": problem})
        for copy in range(copies)
    ]


def test_a_given_file_is_split_ninety_to_ten_in_every_strategy_by_problem() -> None:
    found = [e for at, s in enumerate(STRATEGIES) for p in range(50) for e in plain(s, 100 * at + p, 2)]
    parts = examples.split(found, 0)
    assert parts.in_both == 0
    assert Counter(e.strategy for e in parts.val) == dict.fromkeys(STRATEGIES, 10)
    assert len(parts.train) == 7 * 90
    assert examples.split(found, 0) == parts != examples.split(found, 1)


def test_a_strategy_with_one_problem_can_not_be_split() -> None:
    found = [e for at, s in enumerate(STRATEGIES[:-1]) for p in range(20) for e in plain(s, 100 * at + p)]
    with pytest.raises(ExamplesError, match="the training part has no example of bayesian_rationalist"):
        examples.split([*found, *plain(STRATEGIES[-1], 999)], 0)


def test_examples_come_back_from_their_file(tmp_path: Path) -> None:
    examples.write(tmp_path / "e.json", task_examples())
    assert examples.read(tmp_path / "e.json") == list(task_examples())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{", "can't be read as JSON"),
        ("[]", "must hold a list of examples"),
        ('[{"question": "q", "reasoning": "r", "answer": "a"}]', "example 0 has no 'strategy'"),
        ('[{"question": "q", "reasoning": "r", "answer": " ", "strategy": "self_doubt"}]', "example 0 has no 'answer'"),
        ('[{"question": "q", "reasoning": "r", "answer": "a", "strategy": "doubt"}]', "example 0 is of 'doubt'; the"),
        ("[3]", "example 0 is a int, not a record"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "e.json").write_text(written)
    with pytest.raises(ExamplesError, match=said) as caught:
        examples.read(tmp_path / "e.json")
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_which_step_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ExamplesError, match=r"python -m engine\.quietstar\.data"):
        examples.read(tmp_path / "none.json")


def test_a_persons_own_file_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(tmp_path))
    examples.write(tmp_path / "phase3_reasoning_training_data.json", task_examples())
    assert data.make(Data(source="file"), 0) == list(task_examples())


def test_without_a_data_folder_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRACTAL_DATA", raising=False)
    with pytest.raises(ExamplesError, match="FRACTAL_DATA does not name the folder"):
        data.make(Data(source="file"), 0)


def test_more_fields_than_we_know_are_passed_over(tmp_path: Path) -> None:
    record = {"question": "q", "reasoning": "r", "answer": "a", "strategy": "self_doubt", "teacher": "x"}
    (tmp_path / "e.json").write_text(json.dumps([record]))
    assert examples.read(tmp_path / "e.json")[0].strategy == "self_doubt"


def test_the_step_writes_the_file_and_what_the_gate_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRACTAL_WORK", str(tmp_path))
    said: dict[str, object] = {}
    monkeypatch.setattr(data.runlog, "fact", lambda name, value: said.__setitem__(name, value))
    assert data.main(["--preset", "smoke"]) == 0
    assert said["data/strategies"] == 7
    assert said["data/problems_in_two_splits"] == 0
    assert said["data/train_examples"] == 160
    assert "160 examples to train on and 32 to validate with" in capsys.readouterr().out
    assert len(examples.read(tmp_path / "phase3_reasoning_training_data.json")) == 192


# As tensors


def test_an_item_has_the_sources_four_fields_at_the_full_length() -> None:
    item = ReasoningDataset(task_examples(), LANGUAGE)[0]
    assert set(item) == {"input_ids", "attention_mask", "labels", "strategy"}
    assert all(item[name].shape == (512,) for name in ("input_ids", "attention_mask", "labels"))
    assert item["strategy"] == task_examples()[0].strategy


def test_question_prompt_and_padding_have_no_label() -> None:
    example = task_examples()[0]
    for prompted in (False, True):
        item = ReasoningDataset([example], LANGUAGE, 40, prompted)[0]
        labelled = item["labels"] != NO_LABEL
        assert item["labels"][labelled].tolist() == LANGUAGE.response(example)
        assert torch.equal(item["labels"][labelled], item["input_ids"][labelled])
        before = 7 + (2 if prompted else 0)
        assert int(labelled.int().argmax()) == before
        assert int(item["attention_mask"].sum()) == before + len(LANGUAGE.response(example))


def test_what_is_too_long_is_cut() -> None:
    item = ReasoningDataset(task_examples(), LANGUAGE, max_length=10)[0]
    assert item["attention_mask"].tolist() == [1] * 10
    assert (item["labels"] != NO_LABEL).sum() == 3
    nothing = ReasoningDataset(task_examples(), LANGUAGE, max_length=4)[0]
    assert (nothing["labels"] == NO_LABEL).all()


def test_accuracy_is_shifted_and_counts_no_padding() -> None:
    """Comparing place i with label i would measure copying, and padding would count as right."""
    items = [ReasoningDataset(parts().train, LANGUAGE, 64)[at] for at in range(4)]
    labels = torch.stack([item["labels"] for item in items])
    ids = torch.stack([item["input_ids"] for item in items])
    knows_next = torch.nn.functional.one_hot(torch.roll(ids, -1, 1), LANGUAGE.size).float()
    copies = torch.nn.functional.one_hot(ids, LANGUAGE.size).float()
    assert shifted_accuracy(knows_next, labels) == 1.0
    assert shifted_accuracy(copies, labels) < 0.2
    assert shifted_loss(knows_next * 50, labels).item() < 1e-4
    assert shifted_loss(copies * 50, labels).item() > 10


def test_a_batch_is_cut_to_its_longest_row() -> None:
    data = ReasoningDataset(task_examples(), LANGUAGE)
    batch = collate([data[0], data[1]])
    assert batch["input_ids"].shape == (2, 15)
    assert batch["strategy"] == [e.strategy for e in task_examples()[:2]]


def test_a_dataset_reads_its_file_itself(tmp_path: Path) -> None:
    examples.write(tmp_path / "e.json", task_examples())
    assert len(ReasoningDataset(tmp_path / "e.json", LANGUAGE)) == len(task_examples())


def test_text_of_another_task_is_refused_in_words() -> None:
    strange = Example("How many?", "<think> </think>", "3", "self_doubt")
    with pytest.raises(ExamplesError, match="'How' is no word of the state-tracking task"):
        LANGUAGE.question(strange)


def test_every_strategys_tag_is_a_word_of_the_task() -> None:
    assert all(tag in task.ID for tag in TAG_OF.values())


@pytest.mark.parametrize("op", ["+", "-", "*", "/"])
def test_what_undoes_an_equation_gives_back_its_left_side(op: str) -> None:
    left, right = 12, 3
    result = {"+": 15, "-": 9, "*": 36, "/": 4}[op]
    step = Step("a line.", left, op, right, result)
    before, back_op, after = step.back.split()
    undone = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}[back_op]
    assert undone(int(before), int(after)) == left
    assert f"Backwards {step.back} = 12, so it is." in tell([step], "self_doubt")
