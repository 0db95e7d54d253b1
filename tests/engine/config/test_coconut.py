"""Every COCONUT config in the repository loads, the five known ones are the source's, and a wrong one is one clear line."""

from pathlib import Path

import pytest

from engine.coconut.check_configs import wrong_keys
from engine.config.coconut import ABLATIONS, PHASE, SHORT, VARIANTS, CoconutConfig, Variant, load_variant, variant_name
from engine.config.errors import ConfigError
from engine.config.layers import presets_of
from engine.config.load import check, load_config

CONFIGS = Path("configs")


@pytest.mark.parametrize("preset", presets_of(CONFIGS, PHASE))
def test_every_preset_loads(preset):
    assert load_config(CoconutConfig, PHASE, ["--preset", preset]).preset == preset


def test_the_phase_has_its_presets():
    assert presets_of(CONFIGS, PHASE) == ["smoke", "cpu", "a100", "h100"]


@pytest.mark.parametrize("name", VARIANTS + ABLATIONS)
@pytest.mark.parametrize("preset", presets_of(CONFIGS, PHASE))
def test_every_variant_loads_under_every_preset(name, preset):
    change = load_config(CoconutConfig, PHASE, ["--preset", preset]).change
    assert load_variant(name, change | {"seed": 2}).seed == 2


def test_no_variant_file_is_without_a_test():
    files = {path.stem for path in (CONFIGS / PHASE / "variants").glob("*.yaml")} - {"prosqa"}
    assert files == {*VARIANTS, *ABLATIONS}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_known_configs_have_the_source_s_values(name):
    assert wrong_keys(load_variant(name)) == []


def test_a_changed_value_is_noticed():
    assert wrong_keys(load_variant("m1", {"num_epochs": 10})) == ["num_epochs is 10, the source has 50"]


def test_short_names_are_the_models_of_the_comparison():
    assert [load_variant(short).name for short in SHORT] == list(VARIANTS)


def test_a_config_that_names_coconut_and_cot_at_once_is_refused():
    with pytest.raises(ConfigError, match="is to be true; prosqa_cot names cot and coconut"):
        load_variant("prosqa_cot", {"coconut": True})


def test_a_feedback_mode_without_coconut_is_refused():
    with pytest.raises(ConfigError, match="feedback_mode frozen needs coconut: true"):
        load_variant("prosqa_cot", {"feedback_mode": "frozen"})


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown key 'c_thoughts'; did you mean 'c_thought'"):
        check(Variant, {"name": "x", "cot": True, "c_thoughts": 2}, "here")


def test_an_unknown_variant_names_the_nearest():
    with pytest.raises(ConfigError, match="no variant 'prosqa_m4_frozn'; did you mean 'prosqa_m4_frozen'"):
        variant_name("prosqa_m4_frozn")


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match="width 64 is no multiple of heads 5"):
        load_config(CoconutConfig, PHASE, ["--preset", "cpu", "body.heads=5"])
