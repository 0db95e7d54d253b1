from __future__ import annotations

import torch

from engine.ouroboros.muon import Muon, orthogonal


def test_singular_values_come_near_to_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 16, 16), (2, 64, 16), (2, 16, 64)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert float(values.min()) > 0.5
        assert float(values.max()) < 1.4


def test_matrices_together_move_as_each_alone() -> None:
    torch.manual_seed(0)
    stack = torch.randn(4, 8, 8)
    alone = torch.stack([orthogonal(m[None])[0] for m in stack])
    torch.testing.assert_close(orthogonal(stack), alone)


def test_a_joined_qkv_is_three_matrices() -> None:
    torch.manual_seed(0)
    joined = torch.nn.Parameter(torch.randn(24, 8))
    apart = [torch.nn.Parameter(p.clone()) for p in joined.detach().split(8)]
    gradient = torch.randn(24, 8)
    joined.grad = gradient
    for p, g in zip(apart, gradient.split(8), strict=True):
        p.grad = g.clone()
    Muon([joined], lr=0.1).step()
    Muon(apart, lr=0.1).step()
    torch.testing.assert_close(joined.detach(), torch.cat([p.detach() for p in apart]))
