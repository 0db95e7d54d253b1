"""Phase files: every one of the repository is sound, and a wrong one is refused with the line that mends it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.config.errors import ConfigError
from engine.config.phase import Phase, command_of
from engine.config.phase_file import load_phase, load_phases
from engine.config.yaml_file import read_yaml

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FILES = sorted((CONFIGS / "phases").glob("*.yaml"))
OF_THE_SOURCES = [
    "phase1-coconut",
    "phase3-quietstar",
    "phase7-ouroboros",
    "phase11-code-verifier",
    "phase14-best-of-n",
]

SOUND: dict[str, Any] = {
    "phase": "toy",
    "title": "A toy",
    "goal": "To be checked.",
    "presets": {"cpu": {}, "a100": {}},
    "steps": [
        {
            "step": "prepare",
            "run": "python -m toy.prepare",
            "outputs": ["train.npz", {"path": "log.txt", "required": False}],
        },
        {"step": "train", "run": "python -m toy.train", "gpus": {"a100": 1}, "estimate": {"cpu": {"minutes": 2}}},
        {"step": "extra", "run": "python -m toy.extra", "optional": True},
        {"step": "evaluate", "run": "python -m toy.evaluate"},
    ],
    "gates": [
        {"gate": "data", "after": "prepare", "checks": ["artifact train.npz exists", {"manual": "the rows read well"}]},
        {"gate": "extra", "after": "extra", "checks": ["step extra succeeded"]},
        {
            "gate": "good",
            "after": ["train", "evaluate"],
            "checks": [{"check": "fact acc of evaluate > 0.9", "presets": ["a100"]}],
        },
    ],
}


def put(value: dict[str, Any], path: str, new: Any) -> dict[str, Any]:
    """A copy with one place changed: `steps.0.run`; None takes the place out."""
    result = copy.deepcopy(value)
    *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    here: Any = result
    for part in way:
        here = here[part]
    if new is None:
        del here[last]
    elif isinstance(last, int) and last == len(here):
        here.append(new)
    else:
        here[last] = new
    return result


def write(folder: Path, value: dict[str, Any], name: str | None = None) -> Path:
    path = folder / "phases" / f"{name or value['phase']}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value))
    return path


@pytest.fixture
def toy(tmp_path: Path) -> Phase:
    return load_phase(write(tmp_path, SOUND))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_phase_file_of_the_repository_is_sound(path: Path) -> None:
    phase = load_phase(path)
    assert phase.goal.strip()
    assert all(step.title for step in phase.steps)
    assert all(gate.title for gate in phase.gates)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_estimate_of_money_says_where_it_comes_from(path: Path) -> None:
    phase = load_phase(path)
    bare = [(s.step, preset) for s in phase.steps for preset, e in s.estimate.items() if e.usd and not e.source]
    assert bare == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_what_a_step_reads_an_earlier_one_has_promised(path: Path) -> None:
    phase = load_phase(path)
    promised: set[str] = set()
    for step in phase.steps:
        assert set(step.inputs) <= promised, step.step
        promised |= {output.path for output in step.outputs}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_an_artifact_that_a_gate_asks_for_is_promised(path: Path) -> None:
    phase = load_phase(path)
    promised = {step.step: {output.path for output in step.outputs} for step in phase.steps}
    for gate in phase.gates:
        for check in (c for preset in ("smoke", "cpu", "a100", "h100") for c in gate.compiled(preset)):
            if check["kind"] == "artifact":
                assert check["path"] in promised[check["step"]], check["text"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_two_checks_of_a_phase_never_share_an_id(path: Path) -> None:
    phase = load_phase(path)
    ids = [check["id"] for gate in phase.gates for check in gate.compiled("a100")]
    assert len(ids) == len(set(ids))


def test_all_five_phases_of_the_sources_stand_in_their_order() -> None:
    found = load_phases(CONFIGS)
    assert found.problems == []
    assert [p for p in found.phases if p in OF_THE_SOURCES] == OF_THE_SOURCES


def test_every_yaml_of_the_repository_can_be_read_and_has_a_place() -> None:
    """Syntax and double keys here; what the keys mean is checked with the phase, its presets, or by its own engine's tests."""
    places = {"phases", *load_phases(CONFIGS).phases}
    for path in CONFIGS.rglob("*.y*ml"):
        assert read_yaml(path), path
        assert path.parent == CONFIGS or path.relative_to(CONFIGS).parts[0] in places, path


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_preset_of_a_phase_has_a_config_that_holds(path: Path) -> None:
    from console.launch.resolved import all_presets, resolve_config
    from console.project import Project

    project, phase = Project(CONFIGS.parent), load_phase(path)
    presets = all_presets(project, phase)
    assert {"smoke", "cpu"} <= set(presets)
    for preset in presets:
        assert resolve_config(project, phase, preset).config["preset"] == preset


@pytest.mark.parametrize(
    ("place", "new", "said"),
    [
        ("titel", "x", "toy.yaml: unknown key 'titel'; did you mean 'title'?"),
        ("goal", None, "toy.yaml: the key 'goal' is missing"),
        ("steps", [], "toy.yaml: steps: at least one is needed"),
        ("steps.0.outptus", [], "unknown key 'steps.0.outptus'; did you mean 'outputs'?"),
        ("steps.0.outputs.0", {"pth": "x"}, "unknown key 'steps.0.outputs.0.pth'; did you mean 'path'?"),
        ("steps.1.estimate.cpu", {"minuts": 2}, "unknown key 'steps.1.estimate.cpu.minuts'; did you mean 'minutes'?"),
        ("steps.1.run", None, "the key 'steps.1.run' is missing"),
        ("steps.1.step", "prepare", "the step 'prepare' stands twice"),
        ("steps.1.step", "a b", "'a b' can't name a folder"),
        (
            "steps.1.needs",
            ["prepar"],
            "step train needs 'prepar', which does not stand before it; did you mean 'prepare'?",
        ),
        ("steps.1.needs", ["evaluate"], "step train needs 'evaluate', which does not stand before it"),
        (
            "steps.0.log_metrics",
            [{"name": "loss", "pattern": "loss=("}],
            "the pattern of loss is no regular expression",
        ),
        ("gates.1.gate", "data", "the gate 'data' stands twice"),
        ("gates.0.after", "prepair", "gate data stands after 'prepair', which is no step; did you mean 'prepare'?"),
        ("gates.0.after", [], "gate data: after: at least one step is needed"),
        ("gates.0.checks", [], "gate data: checks: at least one is needed"),
        ("gates.2.checks.0", "fact acc > 0.9", "gate good: say of which step"),
        (
            "gates.2.checks.0",
            "fact acc of evalute > 0.9",
            "asks step 'evalute', which does not exist; did you mean 'evaluate'?",
        ),
        ("gates.0.checks.0", "fact acc of evaluate > 0.9", "asks step 'evaluate', which the gate itself blocks"),
        ("gates.0.checks.0", "facts acc > 0.9", "gate data: `facts acc > 0.9` is no check; did you mean `fact …`?"),
        ("gates.0.checks.0", "fact acc > high", "'high' is neither a number nor `metric NAME` nor `fact NAME`"),
        ("runs_in", "nowhere", "toy.yaml: runs_in: Input should be 'snapshot' or 'project' (found 'nowhere')"),
        ("phase", "toys", "`phase: toys` must be the file's name, toy"),
    ],
)
def test_a_wrong_phase_says_where_and_what_is_near(tmp_path: Path, place: str, new: Any, said: str) -> None:
    path = write(tmp_path, put(SOUND, place, new), "toy")
    with pytest.raises(ConfigError) as refused:
        load_phase(path)
    assert said in str(refused.value)
    assert "toy.yaml" in str(refused.value)


def test_a_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    write(tmp_path, SOUND)
    (tmp_path / "phases" / "torn.yaml").write_text("phase: torn\nsteps: [")
    (tmp_path / "phases" / "folder.yaml").mkdir()
    (tmp_path / "phases" / "other.yml").write_text("")
    found = load_phases(tmp_path)
    assert list(found.phases) == ["toy"]
    assert len(found.problems) == 3
    assert any("rename it to other.yaml" in p for p in found.problems)
    with pytest.raises(ConfigError, match=r"torn\.yaml:2"):
        found.named("torn")


def test_phases_are_found_by_the_beginning_of_their_name(tmp_path: Path) -> None:
    for name in ("phase1-a", "phase11-b", "phase2-c"):
        write(tmp_path, put(SOUND, "phase", name))
    found = load_phases(tmp_path)
    assert list(found.phases) == ["phase1-a", "phase2-c", "phase11-b"]
    assert found.named("phase2").phase == "phase2-c"
    with pytest.raises(ConfigError, match=r"no phase 'phase2-d'; did you mean 'phase2-c'\?"):
        found.named("phase2-d")


def test_a_phase_that_needs_an_unknown_one_or_itself_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, put(SOUND, "phase", "one") | {"needs": ["two"]})
    write(tmp_path, put(SOUND, "phase", "two") | {"needs": ["one"]})
    write(tmp_path, SOUND | {"needs": ["tow"]})
    said = "\n".join(load_phases(tmp_path).problems)
    assert "toy.yaml: needs 'tow', which is no phase; did you mean 'two'?" in said
    assert "one.yaml: it needs itself" in said
    assert "two.yaml: it needs itself" in said


def test_a_step_needs_the_one_before_that_is_not_optional(toy: Phase) -> None:
    assert [toy.needs_of(step) for step in toy.steps] == [[], ["prepare"], ["train"], ["train"]]


def test_a_gate_blocks_what_comes_after_it_unless_its_step_is_optional(toy: Phase) -> None:
    blocked = {step.step: [g.gate for g in toy.gates_before(step)] for step in toy.steps}
    assert blocked == {"prepare": [], "train": ["data"], "extra": ["data"], "evaluate": ["data"]}


def test_a_check_may_hold_at_some_presets_only(toy: Phase) -> None:
    assert toy.gates[2].compiled("cpu") == []
    assert toy.gates[2].compiled("a100")[0]["step"] == "evaluate"


def test_a_manual_check_may_be_written_as_a_mapping_with_presets(tmp_path: Path) -> None:
    checks = [{"manual": "the samples read well", "presets": ["a100"]}]
    phase = load_phase(write(tmp_path, put(SOUND, "gates.0.checks", checks)))
    assert phase.gates[0].compiled("cpu") == []
    assert phase.gates[0].compiled("a100")[0]["question"] == "the samples read well"


def test_gpus_are_one_number_or_one_for_each_preset(toy: Phase) -> None:
    assert [toy.steps[1].gpus_at(preset) for preset in ("cpu", "a100")] == [0, 1]


def test_a_bare_output_is_required(toy: Phase) -> None:
    assert [(o.path, o.required) for o in toy.steps[0].outputs] == [("train.npz", True), ("log.txt", False)]


@pytest.mark.parametrize(
    ("run", "argv"),
    [
        ("python train.py --seed {seed}", ["python", "train.py", "--seed", "7"]),
        ("python train.py --out {work}/x", ["python", "train.py", "--out", "/home/a b/x"]),
        ("python train.py 'two words' {model.width}", ["python", "train.py", "two words", "64"]),
        ("python train.py {unknown}", ["python", "train.py", "{unknown}"]),
        ("python train.py > {work}/out", ["/bin/sh", "-c", "python train.py > '/home/a b'/out"]),
        ("cat {note} | wc", ["/bin/sh", "-c", "cat '; rm -r x' | wc"]),
    ],
)
def test_a_command_is_filled_in_and_a_value_stays_one_word(toy: Phase, run: str, argv: list[str]) -> None:
    values = {"seed": 7, "work": "/home/a b", "model": {"width": 64}, "note": "; rm -r x"}
    assert command_of(replace(toy.steps[0], run=run), values) == argv
