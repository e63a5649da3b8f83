"""Systems of linear equations, which ONNX cannot solve, by elimination step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LARGEST = 16
"""The side of the largest matrix that is worked out so: each row is a dozen nodes."""
WIDEST, SWEEPS = 4, 6
"""The most columns of which singular values are worked out, and how often each pair is turned."""


def fixed_size(x: Tensor, axis: int) -> int | None:
    """Return the size of an axis; None where it is to vary."""
    size: Any = x.shape[axis]
    return None if isinstance(size, torch.SymInt) else int(size)


def solve(matrix: Tensor, wanted: Tensor, *, left: bool = True) -> Any:
    """Gauss and Jordan's elimination, each time by the largest pivot."""
    side = fixed_size(matrix, -1)
    if not left or side is None or side > LARGEST:
        return NotImplemented
    vector = wanted.dim() < matrix.dim()
    columns = wanted.unsqueeze(-1) if vector else wanted
    square = matrix + torch.zeros_like(columns[..., :1])
    table = torch.cat([square, columns + torch.zeros_like(matrix[..., :1])], -1)
    place = torch.arange(side, device=matrix.device)
    for step in range(side):
        table = _eliminated(table, step, place)
    found = table[..., side:]
    return found.squeeze(-1) if vector else found


def _eliminated(table: Tensor, step: int, place: Tensor) -> Tensor:
    candidates = torch.where(place >= step, table[..., step].abs(), -1.0)
    pivot = candidates.argmax(-1, keepdim=True)
    swapped = torch.where(place == pivot, step, place)
    order = torch.where(place == step, pivot, swapped)
    table = table.gather(-2, order.unsqueeze(-1) + torch.zeros_like(table, dtype=torch.int64))
    row = table[..., step : step + 1, :]
    row = row / row[..., step : step + 1]
    own = (place == step).unsqueeze(-1)
    return torch.where(own, row, table - table[..., step : step + 1] * row)


def inverse(matrix: Tensor) -> Any:
    """Return what solves for each column of the identity."""
    side = fixed_size(matrix, -1)
    if side is None:
        return NotImplemented
    return solve(matrix, torch.eye(side, dtype=matrix.dtype) + torch.zeros_like(matrix))


def solve_triangular(
    matrix: Tensor,
    wanted: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
) -> Any:
    """Return the other triangle counts as zeros, whatever it holds."""
    if unitriangular:
        return NotImplemented
    return solve(matrix.triu() if upper else matrix.tril(), wanted, left=left)


def cholesky_solve(wanted: Tensor, root: Tensor, upper: bool = False) -> Any:
    """Return what solves for the product of a triangle with itself."""
    lower = root.transpose(-2, -1) if upper else root
    between = solve(lower, wanted)
    return between if between is NotImplemented else solve(lower.transpose(-2, -1), between)


def cholesky(matrix: Tensor, *, upper: bool = False) -> Any:
    """Column after column."""
    side = fixed_size(matrix, -1)
    if upper or side is None or side > LARGEST:
        return NotImplemented
    place = torch.arange(side, device=matrix.device)
    columns: list[Tensor] = []
    for step in range(side):
        rest = matrix[..., step]
        for known in columns:
            rest = rest - known * known[..., step : step + 1]
        pivot = rest[..., step : step + 1].sqrt()
        columns.append(torch.where(place >= step, rest / pivot, 0.0))
    return torch.stack(columns, -1)


def svdvals(matrix: Tensor) -> Any:
    """``torch.linalg.svdvals``: columns are turned until each stands upright on the others.

    One-sided Jacobi (Golub and Van Loan, 8.6.3): the lengths of the columns are then the singular
    values, small ones as exact as large ones. No exporter of torch 2.14.1 writes them.
    """
    tall, wide = (fixed_size(matrix, axis) for axis in (-2, -1))
    if tall is None or wide is None or min(tall, wide) > WIDEST:
        return NotImplemented
    columns = list((matrix if wide <= tall else matrix.transpose(-2, -1)).unbind(-1))
    for _ in range(SWEEPS if len(columns) > 2 else 1):
        for first in range(len(columns)):
            for second in range(first + 1, len(columns)):
                columns[first], columns[second] = _turned(columns[first], columns[second])
    lengths = torch.stack([(each * each).sum(-1).sqrt() for each in columns], -1)
    return lengths.topk(len(columns), -1).values


def _turned(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Both columns in the plane that they span, turned until they are orthogonal."""
    both = (left * right).sum(-1, keepdim=True)
    apart = ((right * right) - (left * left)).sum(-1, keepdim=True)
    upright = both == 0
    ratio = apart / torch.where(upright, 1.0, 2 * both)
    side = torch.where(ratio < 0, -1.0, 1.0)
    tangent = torch.where(upright, 0.0, side / (ratio.abs() + (1 + ratio * ratio).sqrt()))
    cosine = 1 / (1 + tangent * tangent).sqrt()
    sine = cosine * tangent
    return cosine * left - sine * right, sine * left + cosine * right
