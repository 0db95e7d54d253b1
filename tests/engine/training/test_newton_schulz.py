import pytest
import torch
from torch import Tensor

from engine.training.mugrokfast import newton_schulz as fast
from engine.training.mugrokfast.newton_schulz import normalised, orthogonal
from tests.engine.training.slow_mugrokfast import newton_schulz

SHAPES = [(64, 64), (64, 256), (256, 64), (48, 96), (8, 64), (400, 400), (390, 1200)]
SPECTRA = ["random", "low rank", "decaying"]


def matrix(shape: tuple[int, int], spectrum: str, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(shape, generator=generator, dtype=torch.float64)
    if spectrum == "random":
        return u
    small = min(shape)
    left = torch.linalg.qr(torch.randn(shape[0], small, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(shape[1], small, generator=generator, dtype=torch.float64))[0]
    at = torch.arange(small, dtype=torch.float64)
    values = (at < max(2, small // 16)).double() if spectrum == "low rank" else (at + 1) ** -1.5
    return left * values @ right.T


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("gram", [False, True], ids=["plain", "gram"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_forms_are_the_polynomial_in_float64(shape: tuple[int, int], gram: bool, spectrum: str) -> None:
    u = matrix(shape, spectrum)
    found = orthogonal(normalised(u, torch.float64), 5, gram)
    torch.testing.assert_close(found, newton_schulz(u, 5), rtol=0, atol=1e-9)


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("gram", [False, True], ids=["plain", "gram"])
def test_float32_is_close(gram: bool, spectrum: str) -> None:
    u = matrix((128, 512), spectrum)
    found = orthogonal(normalised(u.float(), torch.float32), 5, gram).double()
    exact = newton_schulz(u, 5)
    assert (found - exact).norm() / exact.norm() < 1e-3


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("gram", [False, True], ids=["plain", "gram"])
def test_bfloat16_never_blows_up(gram: bool, spectrum: str) -> None:
    u = matrix((256, 1024), spectrum)
    found = orthogonal(normalised(u.float(), torch.bfloat16), 5, gram).double()
    exact = newton_schulz(u, 5)
    assert torch.linalg.matrix_norm(found, 2) < 1.4
    cosine = (found * exact).sum() / (found.norm() * exact.norm())
    assert cosine > 0.9  # noise in the missing directions of a low rank matrix is amplified by the plain form as well


def test_the_restart_is_what_keeps_the_gram_form_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    u = normalised(matrix((256, 1024), "decaying").float(), torch.bfloat16)
    with_restart = torch.linalg.matrix_norm(orthogonal(u, 5, True).float(), 2)
    monkeypatch.setattr(fast, "_RESTART_AFTER", 5)
    without = torch.linalg.matrix_norm(orthogonal(u, 5, True).float(), 2)
    assert with_restart < 1.4 < 3 < without


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_any_number_of_rounds(steps: int) -> None:
    u = matrix((32, 128), "random")
    found = orthogonal(normalised(u, torch.float64), steps, True)
    torch.testing.assert_close(found, newton_schulz(u, steps), rtol=0, atol=1e-9)


def test_a_stack_is_its_matrices() -> None:
    stack = torch.stack([matrix((16, 64), s) for s in SPECTRA])
    one_by_one = torch.stack([orthogonal(normalised(m, torch.float64)) for m in stack])
    torch.testing.assert_close(orthogonal(normalised(stack, torch.float64)), one_by_one, rtol=0, atol=1e-12)


def test_zeros_stay_zeros() -> None:
    assert not orthogonal(normalised(torch.zeros(4, 8), torch.bfloat16)).any()


def test_a_huge_or_tiny_gradient_is_the_same_direction() -> None:
    u = matrix((16, 32), "random").float()
    torch.testing.assert_close(
        orthogonal(normalised(u * 1e15, torch.float32)), orthogonal(normalised(u * 1e-5, torch.float32))
    )
