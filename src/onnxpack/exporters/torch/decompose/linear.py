"""Decompose systems of linear equations, which ONNX cannot solve, by elimination."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onnxpack.exporters.torch.decompose.known_sizes import fixed_size

LARGEST = 16
"""The side of the largest matrix that is eliminated in this way: each row takes a dozen nodes."""
WIDEST, SWEEPS = 4, 6
"""The most columns for which singular values are computed, and the number of sweeps over all
pairs."""


def solve(matrix: Tensor, wanted: Tensor, *, left: bool = True) -> Any:
    """Decompose ``torch.linalg.solve`` by Gauss-Jordan elimination with the largest pivot."""
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
    """Decompose ``torch.linalg.inv`` by solving for the identity matrix."""
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
    """Decompose ``torch.linalg.solve_triangular``; the other triangle counts as zeros."""
    if unitriangular:
        return NotImplemented
    return solve(matrix.triu() if upper else matrix.tril(), wanted, left=left)


def cholesky_solve(wanted: Tensor, root: Tensor, upper: bool = False) -> Any:
    """Decompose ``torch.cholesky_solve`` into two triangular systems."""
    lower = root.transpose(-2, -1) if upper else root
    between = solve(lower, wanted)
    return between if between is NotImplemented else solve(lower.transpose(-2, -1), between)


def cholesky(matrix: Tensor, *, upper: bool = False) -> Any:
    """Decompose ``torch.linalg.cholesky``, column by column."""
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
    """Decompose ``torch.linalg.svdvals`` by rotating columns until they are orthogonal.

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
    """Return both columns, rotated in their plane until they are orthogonal."""
    both = (left * right).sum(-1, keepdim=True)
    apart = ((right * right) - (left * left)).sum(-1, keepdim=True)
    upright = both == 0
    ratio = apart / torch.where(upright, 1.0, 2 * both)
    side = torch.where(ratio < 0, -1.0, 1.0)
    tangent = torch.where(upright, 0.0, side / (ratio.abs() + (1 + ratio * ratio).sqrt()))
    cosine = 1 / (1 + tangent * tangent).sqrt()
    sine = cosine * tangent
    return cosine * left - sine * right, sine * left + cosine * right
