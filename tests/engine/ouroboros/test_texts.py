from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.ouroboros import texts, tokenizers
from engine.ouroboros.errors import Refused

SHARED = Path(__file__).parents[4] / "shared" / "data"
LINES = [
    "Mia has 1,250 apples and buys 36 more. How many are there?",
    "Ünal gives 407 pears (7 boxes) to Bo.",
    "9*8=72",
]


@pytest.fixture(scope="module")
def bpe() -> tokenizers.DigitBpe:
    return tokenizers.train_bpe(LINES * 20, 400)


def shown(made: texts.Texts, row: int) -> list[tuple[int, int]]:
    at = slice(made.starts[row], made.starts[row + 1])
    return [(v, p) for v, p in zip(made.values[at].tolist(), made.places[at].tolist(), strict=True) if v >= 0]


def test_every_digit_is_a_token_of_its_own(bpe: tokenizers.DigitBpe) -> None:
    for line in LINES:
        pieces = [line[start:end] for start, end in bpe.encode(line).spans]
        assert all(len(p.strip()) == 1 for p in pieces if any(c.isdigit() for c in p))


def test_digits_know_their_number_and_their_place(bpe: tokenizers.DigitBpe) -> None:
    made = texts.encode(LINES, bpe, 100)
    assert [pair for pair in shown(made, 0) if pair[0] == 36] == [(36, 1), (36, 0)]
    assert [p for v, p in shown(made, 0) if v == 1250] == [3, 3, 2, 1, 0]  # the comma belongs to the number too
    assert shown(made, 1) == [(407, 2), (407, 1), (407, 0), (7, 0)]
    assert shown(made, 2) == [(9, 0), (8, 0), (72, 1), (72, 0)]


def test_a_text_that_is_too_long_keeps_its_end(bpe: tokenizers.DigitBpe) -> None:
    whole, cut = texts.encode(LINES, bpe, 100), texts.encode(LINES, bpe, 6)
    assert (cut.lengths <= 6).all()
    assert cut.ids[:6].tolist() == whole.ids[whole.starts[1] - 6 : whole.starts[1]].tolist()


def test_the_same_texts_give_the_same_tokenizer_and_it_survives_its_file(
    bpe: tokenizers.DigitBpe, tmp_path: Path
) -> None:
    assert tokenizers.train_bpe(LINES * 20, 400).fingerprint == bpe.fingerprint
    bpe.save(tmp_path / "t.json")
    again = tokenizers.load_bpe(tmp_path / "t.json")
    assert again.fingerprint == bpe.fingerprint
    assert again.encode("Zoë has 99 £").ids == bpe.encode("Zoë has 99 £").ids


def test_padding_agrees_with_padding_by_hand(bpe: tokenizers.DigitBpe) -> None:
    made = texts.encode(LINES, bpe, 100)
    padded = texts.pad(made, np.array([2, 0]))
    for row, text in enumerate((2, 0)):
        length = int(made.lengths[text])
        assert padded.length_B[row] == length
        assert padded.ids_BS[row, :length].tolist() == made.ids[made.starts[text] : made.starts[text + 1]].tolist()
        assert (padded.ids_BS[row, length:] == 0).all()
        assert (padded.values_BS[row, length:] == -1).all()


def test_micro_batches_hold_every_row_once_and_keep_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(5, 200, 500)
    parts = texts.budgeted(lengths, 2000)
    assert sorted(np.concatenate(parts).tolist()) == list(range(500))
    assert all(lengths[p].max() * len(p) <= 2000 for p in parts)
    fill = lengths.sum() / sum(lengths[p].max() * len(p) for p in parts)
    assert fill > 0.9


def test_gpt2_without_its_files_is_one_line_and_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Refused, match=r"put gpt2_vocab\.bpe and gpt2_encoder\.json into \$FRACTAL_DATA"):
        tokenizers.Gpt2()


@pytest.mark.skipif(not (SHARED / "gpt2_vocab.bpe").exists(), reason="no GPT-2 vocabulary beside the repository")
def test_gpt2_works_offline_from_local_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(SHARED))
    gpt2 = tokenizers.Gpt2()
    assert gpt2.size == 50257
    assert gpt2.encode("Hello world").ids == [15496, 995]
    assert "".join("Ünal has 407"[a:b] for a, b in gpt2.encode("Ünal has 407").spans) == "Ünal has 407"
