"""From a YAML that people write to a checked config, and from a wrong one to a line that says what to mend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from engine.config.errors import ConfigError
from engine.config.layers import merge, parse_overrides, presets_of, resolve, scalar
from engine.config.load import Config, check, load_config, work_dir
from engine.config.yaml_file import read_yaml


class Layer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = 8
    rate: float = 0.5


class Toy(Config):
    lr: float
    mode: str = "off"
    layer: Layer = Layer()
    layers: list[Layer] = []
    by_name: dict[str, Layer] = {}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one phase, in which the process stands."""
    written(tmp_path, "configs/toy/base.yaml", "lr: 1e-4\nlayer: {width: 4}\nlayers: [{width: 1}, {width: 2}]\n")
    written(tmp_path, "configs/toy/cpu.yaml", "layer: {rate: 0.25}\n")
    written(tmp_path, "configs/toy/a100.yaml", "lr: 3e-4\nlayers: [{width: 9}]\n")
    monkeypatch.chdir(tmp_path)
    for name in ("FRACTAL_SPEC", "FRACTAL_WORK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def problem(folder: Path, text: str) -> str:
    """What is said about a YAML file."""
    path = written(folder, "toy.yaml", text)
    with pytest.raises(ConfigError) as refused:
        check(Toy, read_yaml(path), str(path))
    return str(refused.value).replace(str(folder) + "/", "")


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "1.0e-4", "+1e-4", "0.0001", "1_0e-5"])
def test_a_small_number_is_a_number(tmp_path: Path, text: str) -> None:
    assert read_yaml(written(tmp_path, "x.yaml", f"lr: {text}"))["lr"] == pytest.approx(1e-4)


@pytest.mark.parametrize("text", ["on", "off", "yes", "no", "On", "NO"])
def test_on_and_off_are_words(tmp_path: Path, text: str) -> None:
    assert read_yaml(written(tmp_path, "x.yaml", f"mode: {text}"))["mode"] == text


def test_on_is_a_word_as_a_key_too(tmp_path: Path) -> None:
    assert list(read_yaml(written(tmp_path, "x.yaml", "on: 1"))) == ["on"]


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("False", False), ("null", None), ("~", None), ("'1e-4'", "1e-4")]
)
def test_true_null_and_quoted_stay_what_yaml_says(tmp_path: Path, text: str, value: Any) -> None:
    assert read_yaml(written(tmp_path, "x.yaml", f"v: {text}"))["v"] == value


def test_an_empty_file_has_no_keys(tmp_path: Path) -> None:
    assert read_yaml(written(tmp_path, "x.yaml", "# nothing yet\n")) == {}


def test_shared_parts_may_be_merged(tmp_path: Path) -> None:
    text = "a: &a {width: 1, rate: 0.1}\nb: &b {rate: 0.2}\nc: {<<: *a, width: 2}\nd:\n  <<: *b\n  <<: *a\n"
    found = read_yaml(written(tmp_path, "x.yaml", text))
    assert found["c"] == {"width": 2, "rate": 0.1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr: 1\nlr: 2\n", "x.yaml:2:1: the key 'lr' stands twice"),
        ("layer:\n  width: 1\n  rate: 2\n  width: 3\n", "x.yaml:4:3: the key 'width' stands twice"),
        ("lr: [1, 2\n", "x.yaml:2:1: expected ',' or ']'"),
        ("- 1\n- 2\n", "x.yaml: a mapping of keys is expected, found a list"),
        ("just words\n", "x.yaml: a mapping of keys is expected, found a str"),
        ("[a]: 1\n", "x.yaml:1:1: found unhashable key"),
        ("v: !!python/object:os.system x\n", "x.yaml:1:4: could not determine a constructor"),
    ],
)
def test_a_broken_file_is_named_with_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_yaml(written(tmp_path, "x.yaml", text))
    assert said in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml does not exist"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ConfigError, match=r"binary\.yaml"):
        read_yaml(tmp_path / "binary.yaml")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.yaml can't be read"):
        read_yaml(tmp_path / "folder.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("preset: cpu\nlr: 1\nmodes: x\n", "toy.yaml: unknown key 'modes'; did you mean 'mode'?"),
        ("preset: cpu\nlr: 1\nlayer: {widht: 1}\n", "toy.yaml: unknown key 'layer.widht'; did you mean 'width'?"),
        ("preset: cpu\nlr: 1\nlayers: [{width: 1}, {rte: 1}]\n", "unknown key 'layers.1.rte'; did you mean 'rate'?"),
        ("preset: cpu\nlr: 1\nby_name: {one: {rte: 1}}\n", "unknown key 'by_name.one.rte'; did you mean 'rate'?"),
        ("preset: cpu\nlr: 1\nqqqqqq: 1\n", "toy.yaml: unknown key 'qqqqqq'"),
        ("preset: cpu\n", "toy.yaml: the key 'lr' is missing"),
        (
            "preset: cpu\nlr: fast\n",
            "toy.yaml: lr: Input should be a valid number, unable to parse string as a number (found 'fast')",
        ),
        ("preset: cpu\nlr: .nan\n", "toy.yaml: lr: nan is no number to compute with"),
        ("preset: cpu\nlr: 1\nlayers: [{rate: -.inf}]\n", "toy.yaml: layers.0.rate: -inf is no number to compute with"),
    ],
)
def test_a_bad_config_names_file_key_and_nearest_key(tmp_path: Path, text: str, said: str) -> None:
    assert said in problem(tmp_path, text)


def test_every_bad_key_is_named_at_once(tmp_path: Path) -> None:
    assert len(problem(tmp_path, "preset: cpu\nlr: fast\nmodes: x\n").splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("3", 3),
        ("-0.5", -0.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("", None),
        ("on", "on"),
        ("adamw", "adamw"),
        ("[1, 2e-3]", [1, 0.002]),
        ('{"a": 1}', {"a": 1}),
        ('"1e-4"', "1e-4"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("inf", "inf"),
        ("1e999", "1e999"),
    ],
)
def test_a_word_of_the_command_line_is_read_as_yaml_would_be(text: str, value: Any) -> None:
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_overrides_nest_and_may_hold_equal_signs() -> None:
    words = ["lr=1e-3", "--layer.width=3", "layer.rate=0.1", "mode=a=b"]
    assert parse_overrides(words) == {"lr": 1e-3, "layer": {"width": 3, "rate": 0.1}, "mode": "a=b"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lr"], "'lr' is no override: write key=value"),
        (["=3"], "'=3' is no override"),
        (["layer=1", "layer.width=2"], "'layer' was given a value already"),
        (["preset=a100"], "a preset is chosen with --preset a100"),
    ],
)
def test_a_word_that_is_no_override_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_overrides(words)


def test_merging_goes_key_by_key_and_replaces_lists() -> None:
    under = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert merge(under, {"a": {"y": [3]}, "b": {"c": 1}}) == {"a": {"x": 1, "y": [3]}, "b": {"c": 1}}
    assert under == {"a": {"x": 1, "y": [1, 2]}, "b": 1}


def test_the_overlay_lies_on_the_base_and_the_words_on_both(project: Path) -> None:
    cfg = load_config(Toy, "toy", ["--preset", "cpu", "layer.width=6", "seed=3"])
    assert (cfg.lr, cfg.layer, cfg.seed, cfg.preset) == (1e-4, Layer(width=6, rate=0.25), 3, "cpu")
    assert [one.width for one in load_config(Toy, "toy", ["--preset=a100"]).layers] == [9]


def test_without_a_preset_it_is_cpu(project: Path) -> None:
    assert load_config(Toy, "toy", []).preset == "cpu"


@pytest.mark.parametrize(
    ("preset", "said"),
    [("a10", "did you mean 'a100'?"), ("base", "It has: cpu, a100"), ("../toy/cpu", "It has: cpu, a100")],
)
def test_an_unknown_preset_names_the_nearest_and_all(project: Path, preset: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        resolve(Path("configs"), "toy", preset)
    assert said in str(refused.value)


def test_preset_without_a_name_says_so() -> None:
    with pytest.raises(ConfigError, match="--preset needs a name"):
        load_config(Toy, "toy", ["--preset"])


def test_presets_stand_in_order_and_base_is_none(project: Path) -> None:
    written(project, "configs/toy/smoke.yaml", "")
    assert presets_of(project / "configs", "toy") == ["smoke", "cpu", "a100"]


def test_inside_a_run_the_config_is_the_specs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = written(project, "spec.json", json.dumps({"config": {"preset": "h100", "lr": 0.5}}))
    monkeypatch.setenv("FRACTAL_SPEC", str(spec))
    assert load_config(Toy, "toy", []).lr == 0.5
    with pytest.raises(ConfigError, match="inside a run the config is the spec's; these words would change it: lr=1"):
        load_config(Toy, "toy", ["lr=1"])


def test_a_config_can_not_be_changed_after_the_check() -> None:
    cfg = check(Toy, {"preset": "cpu", "lr": 1.0}, "here")
    with pytest.raises(ValueError, match="frozen"):
        cfg.lr = 2.0


def test_the_work_folder_is_the_runs_or_one_by_phase_and_preset(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = check(Toy, {"preset": "cpu", "lr": 1.0}, "here")
    assert work_dir("toy", cfg) == Path("work/toy/cpu")
    monkeypatch.setenv("FRACTAL_WORK", str(project / "elsewhere"))
    assert work_dir("toy", cfg).is_dir()
