"""Where the champion comes from: a file, the registry, a folder of transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config.quietstar import QuietstarConfig
from engine.config.quietstar_bake import Champion
from engine.quietstar import champion as step
from engine.quietstar import loading, model_file, names
from engine.quietstar.errors import ModelFileError
from engine.registry.registry import Registry
from tests.engine.quietstar.step1 import champion, hugging_face, tokenizer


def take(out: Path, **asked: Any) -> loading.Loaded:
    assert step.taken(QuietstarConfig(preset="smoke", champion=Champion(**asked)), out) == 0
    return loading.load(out / names.CHAMPION, "champion")


def test_a_file_is_taken_with_its_hash_as_the_parent(tmp_path: Path) -> None:
    given = tmp_path / "given.pt"
    model_file.save(given, champion(), {"made_by": "phase2"})
    loaded = take(tmp_path, source="file", name=str(given))
    assert loaded.about["parents"] == [model_file.sha256(given)]
    assert all(torch.equal(v, loaded.model.state_dict()[k]) for k, v in champion().state_dict().items())


def test_a_folder_of_transformers_is_taken_with_its_tokenizer(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    model = hugging_face("qwen2-tied")
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    loaded = take(tmp_path, source="hub", name=str(folder))
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(ids).logits[..., :257], model(ids).logits)
    assert loaded.model.get_input_embeddings().weight.shape[0] >= loaded.language.size
    assert loaded.language.fresh == []
    assert min(loaded.language.thinking) >= 257


def test_a_name_that_is_nowhere_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"can't be had from a folder or the hub") as caught:
        loading.from_hub(Champion(source="hub", name=str(tmp_path / "none")))
    assert "\n" not in str(caught.value)


def test_the_registrys_champion_of_phase_two_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRACTAL_ROOT", str(tmp_path))
    given = tmp_path / "phase2_champion_model.pt"
    model_file.save(given, champion(), {"made_by": "phase2"})
    registry = Registry(tmp_path / "registry.db")
    model_id = registry.register_model("phase2", 1, "champion", given)
    registry.promote(model_id, [], by="ada@desk")
    registry.close()
    assert step.registered("") == given
    assert step.registered("phase2_champion_model") == given
    given.write_bytes(b"changed")
    with pytest.raises(ModelFileError, match=r"can't be started from: .* has 7 bytes"):
        step.registered("")


def test_without_registry_or_champion_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRACTAL_ROOT", str(tmp_path))
    with pytest.raises(ModelFileError, match="there is no registry"):
        step.registered("")
    Registry(tmp_path / "registry.db").close()
    with pytest.raises(ModelFileError, match="phase 2 has no champion"):
        step.registered("")
    with pytest.raises(ModelFileError, match="there is no model 'nobody'"):
        step.registered("nobody")
