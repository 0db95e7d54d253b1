import pytest
import torch

from engine.quietstar.body import Body, Cache, Size, causal


@pytest.fixture(params=[None, 2], ids=["full", "grouped"])
def body(request: pytest.FixtureRequest) -> Body:
    size = Size(vocabulary=21, width=32, layers=2, heads=4, key_heads=request.param)
    return Body(size, torch.Generator().manual_seed(0)).double()


IDS = torch.randint(0, 21, (3, 9), generator=torch.Generator().manual_seed(1))


def test_reading_token_by_token_with_a_cache_is_reading_at_once(body: Body) -> None:
    cache = Cache()
    pieces = [body(IDS[:, at : at + 1], cache=cache).logits for at in range(IDS.shape[1])]
    torch.testing.assert_close(torch.cat(pieces, 1), body(IDS).logits, rtol=0, atol=1e-12)


def test_several_tokens_after_a_cache_see_what_they_may(body: Body) -> None:
    cache = Cache()
    body(IDS[:, :4], cache=cache)
    torch.testing.assert_close(body(IDS[:, 4:], cache=cache).logits, body(IDS).logits[:, 4:], rtol=0, atol=1e-12)


def test_a_causal_mask_is_no_mask(body: Body) -> None:
    masked = body(IDS, mask=causal(9, 9)).logits
    torch.testing.assert_close(masked, body(IDS).logits, rtol=0, atol=1e-12)


def test_rows_padded_on_the_left_read_as_if_alone(body: Body) -> None:
    padded = torch.cat([torch.zeros(3, 2, dtype=torch.long), IDS], 1)
    real = torch.arange(11) >= 2
    mask = (causal(11, 11) & real)[None, None] | torch.eye(11, dtype=torch.bool)
    positions = (torch.arange(11) - 2).clamp_min(0)
    torch.testing.assert_close(body(padded, positions, mask).logits[:, 2:], body(IDS).logits, rtol=0, atol=1e-12)


def test_only_the_distance_between_positions_matters(body: Body) -> None:
    moved = body(IDS, torch.arange(9) + 100).logits
    torch.testing.assert_close(moved, body(IDS).logits, rtol=0, atol=1e-9)


def test_attention_of_ones_own_takes_its_place(body: Body) -> None:
    seen = []

    def nothing(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        seen.append((layer, q.shape[1], k.shape[1]))
        return torch.zeros_like(q)

    body(IDS, attend=nothing)
    assert seen == [(0, 4, body.size.groups), (1, 4, body.size.groups)]


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="width 30 does not divide into 4 heads"):
        Size(vocabulary=5, width=30)
    with pytest.raises(ValueError, match="4 heads can't share 3 key heads"):
        Size(vocabulary=5, key_heads=3)
