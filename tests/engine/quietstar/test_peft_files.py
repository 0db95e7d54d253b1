import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.quietstar import peft_files
from engine.quietstar.lora import Lora, LoraError, attach
from engine.quietstar.stage import targets_of
from tests.engine.quietstar.step1 import hugging_face

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def stirred(model: Any, rank: int = 4) -> Lora:
    lora = attach(model, rank, 8, targets_of(model), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for adapter in lora.adapters.values():
            adapter.B.normal_(std=0.3, generator=torch.Generator().manual_seed(1))
    return lora


@pytest.mark.parametrize("family", ["gpt2", "qwen2"])
def test_an_adapter_comes_back_from_its_folder(family: str, tmp_path: Path) -> None:
    model = hugging_face(family)
    lora = stirred(model)
    peft_files.write(lora, tmp_path, "tiny")
    with torch.no_grad():
        seen = model(IDS).logits
        for p in lora.parameters():
            p.zero_()
    peft_files.read(lora, tmp_path)
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, seen)


def test_another_rank_is_refused(tmp_path: Path) -> None:
    peft_files.write(stirred(hugging_face("qwen2")), tmp_path, "tiny")
    with pytest.raises(LoraError, match="has rank 4 and scale 2; here they are 2 and 4"):
        peft_files.read(stirred(hugging_face("qwen2"), rank=2), tmp_path)


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoraError, match="holds no adapter"):
        peft_files.read(stirred(hugging_face("qwen2")), tmp_path)


def test_an_adapter_that_was_clipped_is_to_be_merged(tmp_path: Path) -> None:
    lora = stirred(hugging_face("qwen2"))
    next(iter(lora.adapters.values())).scale_rows(0, 2, 0.5)
    with pytest.raises(LoraError, match="merge the adapter instead"):
        peft_files.write(lora, tmp_path, "tiny")


@pytest.mark.parametrize("family", ["gpt2", "qwen2"])
def test_peft_itself_reads_what_was_written_and_says_the_same(family: str, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed (the extra `lora`)")
    model = hugging_face(family)
    base = copy.deepcopy(model)
    peft_files.write(stirred(model), tmp_path, "tiny")
    theirs = peft.PeftModel.from_pretrained(base, str(tmp_path)).eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).logits, model(IDS).logits, rtol=0, atol=1e-5)
