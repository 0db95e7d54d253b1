"""Newton-Schulz: from a matrix to (nearly) the orthogonal one of the same directions, by products alone.

Five rounds of X <- aX + (bA + cA^2)X with A = XX^T take every singular value that is not tiny to between about 0.7 and 1.2.
Two forms give the same polynomial:

- plain: as written; right for matrices that are nearly square;
- gram: iterate on the small Gram matrix, and multiply onto X in the end: a third fewer operations at 1:4. Started once and never
  looked at again it blows up in bfloat16 (singular values above 100 on decaying spectra: rounding makes A lose its meaning). So
  it starts over from X after two rounds, which costs two products and keeps it as accurate as the plain form.

Letters: S matrices of a stack, R rows, C columns. R <= C after the transposition that `orthogonal` does.
"""

from __future__ import annotations

import torch
from torch import Tensor

A, B, C = 3.4445, -4.7750, 2.0315  # the quintic's slope at zero is as steep as it may be while it stays bounded
EPS = 1e-7
_RESTART_AFTER = 2
_GRAM_FROM = 3.0  # columns over rows; at 2:1 both forms need as many operations
_PANELS = 4  # rows of blocks: 10 of 16 blocks are computed; more of them are too thin for the processor
_PANEL_FROM = 384


def orthogonal(x_SRC: Tensor, steps: int = 5, gram: bool | None = None) -> Tensor:
    """Of one matrix or a stack, in the dtype it comes in. A matrix of zeros stays zero. `gram` None: by the shape."""
    tall = x_SRC.size(-2) > x_SRC.size(-1)
    x = x_SRC.mT if tall else x_SRC
    if gram is None:
        gram = x.size(-1) >= _GRAM_FROM * x.size(-2)
    x = _by_gram(x, steps) if gram else _plain(x, steps)
    return x.mT if tall else x


def normalised(x_SRC: Tensor, dtype: torch.dtype) -> Tensor:
    """Divided by its Frobenius norm, so that no singular value is above one. The norm is taken before rounding."""
    norm = torch.linalg.matrix_norm(x_SRC, keepdim=True).clamp_min_(EPS)
    return (x_SRC / norm).to(dtype)


def _plain(x: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        gram = _symmetric(x, x.mT)
        x = _product(_symmetric(gram, gram, gram, B, C), x, x, A)
    return x


def _by_gram(x: Tensor, steps: int) -> Tensor:
    first = min(steps, _RESTART_AFTER)
    for rounds in (first, steps - first):
        if rounds:
            x = _gram_rounds(_symmetric(x, x.mT), rounds) @ x
    return x


def _gram_rounds(gram: Tensor, rounds: int) -> Tensor:
    """The polynomial P with P X = what so many rounds make of X. Each round is a factor aI + M; all of them commute."""
    p: Tensor | None = None
    for at in range(rounds):
        m = _symmetric(gram, gram, gram, B, C)
        if at + 1 < rounds:
            once = _symmetric(m, gram, gram, A)
            gram = _symmetric(once, m, once, A)
        if p is None:
            p = m.clone()
            p.diagonal(dim1=-2, dim2=-1).add_(A)
        else:
            p = _symmetric(m, p, p, A)
    assert p is not None
    return p


def _product(left: Tensor, right: Tensor, plus: Tensor, times: float, scale: float = 1.0) -> Tensor:
    """times * plus + scale * left @ right, in one go."""
    join = torch.addmm if left.ndim == 2 else torch.baddbmm
    return join(plus, left, right, beta=times, alpha=scale)


def _symmetric(
    left: Tensor, right: Tensor, plus: Tensor | None = None, times: float = 0.0, scale: float = 1.0
) -> Tensor:
    """The same where the result is known to be symmetric: large ones on a CPU are computed below the diagonal and mirrored."""
    n = left.size(-2)
    if left.ndim == 2 and n >= _PANEL_FROM and not left.is_cuda:
        return _mirrored(left, right, plus, times, scale)
    return left @ right if plus is None else _product(left, right, plus, times, scale)


def _mirrored(left: Tensor, right: Tensor, plus: Tensor | None, times: float, scale: float) -> Tensor:
    n = left.size(0)
    out = left.new_empty(n, n)
    wide = -(-n // _PANELS)
    for top in range(0, n, wide):
        end = min(top + wide, n)
        rows, columns, here = left[top:end], right[:, :end], out[top:end, :end]
        if plus is None:
            torch.mm(rows, columns, out=here)
        else:
            torch.addmm(plus[top:end, :end], rows, columns, beta=times, alpha=scale, out=here)
        out[:top, top:end].copy_(here[:, :top].contiguous().mT)  # from a block of its own: a third less time
    return out
