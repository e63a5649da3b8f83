"""Operators that ONNX lacks, spelled out: right on ties, signs and rows of any number."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import ops

import onnxpack
from onnxpack.comparison.tolerance import Tolerance


class Calls(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def table(n: int) -> Tensor:
    """With ties, and zeros of a sign."""
    return torch.randn(n, 5).mul(2).round().div(2)


FUNCTIONS: dict[str, Any] = {
    "transposed": lambda x: (x.mT, x.unsqueeze(0).mH, torch.adjoint(x)),
    "cummax": lambda x: x.cummax(1),
    "cummin": lambda x: torch.cummin(x, 0),
    "cummax of integers": lambda x: x.long().cummax(1).values,
    "cummax of truth values": lambda x: (*(x > 0).cummax(1), (x > 0).cummin(1).values),
    "cumprod": lambda x: torch.cumprod(x.tanh(), 1),
    "kthvalue": lambda x: x.kthvalue(2, keepdim=True).values,
    "median": lambda x: x.median(1).values,
    "median of all": torch.median,
    "mode": lambda x: x.round().mode(1),
    "sort, stable": lambda x: x.sign().sort(dim=1, stable=True),
    "argsort, stable": lambda x: x.sign().argsort(dim=1, descending=True, stable=True),
    "hypot": lambda x: torch.hypot(x, x.flip(1)),
    "searchsorted": lambda x: torch.searchsorted(torch.tensor([-1.0, 0.0, 1.0]), x, side="right"),
    "searchsorted in rows": lambda x: torch.searchsorted(x.cumsum(1).abs().cumsum(1), x),
    "bucketize": lambda x: torch.bucketize(x, torch.tensor([-1.0, 0.5]), out_int32=True),
    "kron": lambda x: torch.kron(x, torch.ones(2, 3)),
    "take along": lambda x: torch.take_along_dim(x, x.argmax(1, keepdim=True), 1),
    "index put": lambda x: x.index_put(((x[:, 0] > 0).long() - 1,), x[0], accumulate=True),
    "index put of two": lambda x: torch.zeros(7, 5).index_put(
        (x[:, 0].long() % 7, x[:, 1].long() % -4), x[:, 2], accumulate=True
    ),
    "index put of rows": lambda x: torch.ones(3, 4, 5).index_put(
        (x[:, 0].long() % 3, x[:, 1].long() % 4), x, accumulate=True
    ),
    "smoothed labels": lambda x: tuple(
        torch.nn.functional.cross_entropy(
            x, x.argmin(1), ignore_index=2, label_smoothing=0.2, reduction=reduction
        )
        for reduction in ("none", "sum")
    ),
    "smoothed labels, on average": lambda x: torch.nn.functional.cross_entropy(
        x, x.argmax(1), label_smoothing=0.2
    ),
    "pairs": lambda x: torch.triu_indices(x.shape[0], x.shape[0], 1),
    "pairs below": lambda x: (x @ x.T)[tuple(torch.tril_indices(x.shape[0], x.shape[0]))],
    "index modulo rows": lambda x: x[(torch.arange(7) * 3) % x.shape[0]],
    "cdist of one": lambda x: torch.cdist(x, x.flip(1), p=1),
    "cdist of three": lambda x: torch.cdist(x.unsqueeze(0), x.unsqueeze(0) + 1, p=3.0),
    "cdist of zero": lambda x: torch.cdist(x, x[:2], p=0),
    "cdist of the largest": lambda x: torch.cdist(x, x[:2], p=torch.inf),
    "copysign": lambda x: torch.copysign(x.flip(1), x * 0),
    "normal": torch.special.ndtr,
    "log sigmoid": lambda x: torch.nn.functional.logsigmoid(x * 40),
    "threshold": lambda x: torch.nn.functional.threshold(x, 0.5, -2.0),
    "leaky at random": torch.nn.RReLU(0.2, 0.6).eval(),
    "covariance": lambda x: torch.cov(torch.cat([x, x.sin()]).T, correction=0),
    "correlation": lambda x: torch.corrcoef(torch.cat([x, x.sin(), x.cos()]).T),
    "inverse": lambda x: torch.linalg.inv(well(x)),
    "inverse, pivoted": lambda x: torch.inverse(well(x).flip(-1)),
    "solved": lambda x: torch.linalg.solve(well(x), x[:, :4]),
    "solved for columns": lambda x: torch.linalg.solve(well(x)[:1], x[:, :4, None] * x[:, None]),
    "solved triangular": lambda x: torch.linalg.solve_triangular(
        well(x), x[:, :4, None], upper=False
    ),
    "cholesky": lambda x: torch.linalg.cholesky(well(x) @ well(x).mT),
    "unique consecutive": lambda x: torch.unique_consecutive(x.sign()),
    "fmax": lambda x: torch.fmax(x.sqrt(), x),
    "fmin": lambda x: torch.fmin(x.sqrt(), x),
    "isin": lambda x: torch.isin(x, torch.tensor([0.5, -1.0]), invert=True),
    "levels": lambda x: torch.stack(
        [(x.abs() * 0 + 2.0**15).log2().floor(), (x.abs() * 0 + 1e9).log10().floor()]
    ),
    "scatter mean": lambda x: x.scatter_reduce(1, (x > 0).long(), x.flip(1), "mean"),
    "scatter mean without itself": lambda x: x.scatter_reduce(
        1, (x > 0).long(), x.flip(1), "mean", include_self=False
    ),
}


def well(x: Tensor) -> Tensor:
    """A matrix a row, which has an inverse."""
    return (
        x[:, :4].tanh().diag_embed(1)[:, :4, :4] * 0.3 + torch.eye(4) * 2 + x[:, None, :4].sin() / 4
    )


PICTURES: dict[str, Any] = {
    "average, odd": lambda x: torch.nn.functional.adaptive_avg_pool2d(x, (5, None)),
    "average of one axis": lambda x: torch.nn.functional.adaptive_avg_pool1d(x[:, 0], 4),
    "largest, odd": lambda x: torch.nn.functional.adaptive_max_pool2d(x, (5, 3)),
    "largest of volumes": lambda x: torch.nn.functional.adaptive_max_pool3d(x[:, None], (2, 5, 4)),
    "own divisor": lambda x: torch.nn.functional.avg_pool2d(x, (2, 3), 2, 1, divisor_override=5),
    "antialiased": lambda x: torch.nn.functional.interpolate(
        x, (5, 13), mode="bicubic", antialias=True
    ),
    "antialiased by a factor": lambda x: torch.nn.functional.interpolate(
        x, scale_factor=0.6, mode="bicubic", antialias=True
    ),
}


def looked_up(x: Tensor, mode: str = "bilinear", padding: str = "zeros") -> Tensor:
    """What lies at places of the input in a picture of it."""
    places = x[:, :4].reshape(-1, 1, 2, 2)
    picture = torch.arange(12.0).sin().reshape(1, 1, 3, 4).expand(x.shape[0], 1, 3, 4)
    return torch.nn.functional.grid_sample(picture, places, mode, padding, align_corners=False)


HARD: dict[str, tuple[Any, Any]] = {
    "angles of zeros": (lambda x: torch.atan2(x[:, :1], x), lambda n: torch.randn(n, 5).sign() * 0),
    "division between": (lambda x: x // 0.4, lambda n: torch.arange(n * 5).view(n, 5) * 0.4),
    "division by a name": (
        lambda x: torch.div(x, -0.1, rounding_mode="floor"),
        lambda n: torch.arange(n * 5).view(n, 5) * 0.1,
    ),
    "division of a number": (lambda x: 2 // (x.abs() + 0.1), lambda n: torch.full((n, 5), 0.3)),
    "tiny": (lambda x: (x.expm1(), x.log1p()), lambda n: torch.randn(n, 5) * 1e-7),
    "sure": (
        lambda x: torch.nn.functional.binary_cross_entropy_with_logits(
            x, (x[:, :1] > 0).float().expand_as(x), x.abs(), pos_weight=torch.arange(5.0)
        ),
        lambda n: torch.randn(n, 5) * 200,
    ),
    **{
        f"pixels far outside, {mode}, {padding}": (
            partial(looked_up, mode=mode, padding=padding),
            lambda n: torch.randn(n, 5) * 1e9,
        )
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("border", "zeros")
    },
    "pixels at no place": (
        looked_up,
        lambda n: torch.randn(n, 5).log(),
    ),
    "infinity beside NaN": (
        lambda x: torch.hypot(x, x.flip(1)),
        lambda n: torch.tensor([[torch.inf, 1.0, -torch.inf, torch.nan, -torch.inf]]).expand(n, 5),
    ),
    "far apart": (lambda x: x.logcumsumexp(1), lambda n: torch.randn(n, 5) * 1e4),
}


@pytest.mark.parametrize("name", HARD)
def test_numbers_that_a_sample_rarely_holds(check: Any, name: str) -> None:
    function, hard = HARD[name]
    check.proven(
        lambda: Calls(function),
        lambda n: table(n) if n == 2 else hard(n),
        fresh=(1, 4),
        factors=(1,),
    )


def test_large_integers(check: Any) -> None:
    def numbers(n: int) -> Tensor:
        return torch.randint(-9, 9, (n, 5)) if n == 2 else torch.randint(-(2**60), 2**60, (n, 5))

    def divided(x: Tensor) -> tuple[Tensor, ...]:
        floor, trunc = ({"rounding_mode": mode} for mode in ("floor", "trunc"))
        other = torch.tensor([3, -7, 1, 2, -5])
        return (
            x // 7,
            torch.div(x, -7, **floor),
            torch.div(x, 3, **trunc),
            torch.div(x, other, **trunc),
        )

    check.proven(lambda: Calls(divided), numbers, fresh=(1, 4), factors=(1,))


@pytest.mark.parametrize("pool", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
def test_adaptive_pools_of_any_picture(check: Any, pool: str) -> None:
    function = getattr(torch.nn.functional, pool)
    check.proven(
        lambda: Calls(lambda x: function(x, (5, 3))),
        lambda n: torch.randn(n, 2, 3 + 4 * n, 2 + 5 * n),
        fresh=(1, 4),
        dynamic={"x": {2: "height", 3: "width"}},
    )


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_spatial_transformer_of_any_picture(check: Any, align_corners: bool) -> None:
    def turned(x: Tensor) -> Tensor:
        theta = x.mean((1, 3))[:, :3].repeat(1, 2).reshape(-1, 2, 3).tanh() * 2
        grid = torch.nn.functional.affine_grid(theta, x.shape, align_corners)
        return torch.nn.functional.grid_sample(x, grid, align_corners=align_corners)

    check.proven(
        lambda: Calls(turned),
        lambda n: torch.randn(n, 2, 3 + 4 * n, 2 + 5 * n),
        fresh=(1, 4),
        dynamic={"x": {2: "height", 3: "width"}},
    )


def test_windows_of_any_number(check: Any) -> None:
    check.proven(
        lambda: Calls(lambda x: x.unfold(-1, 4, 2).amax(-1)),
        lambda n: torch.randn(n, 7 + 2 * n),
        fresh=(1, 4),
        dynamic={"x": {1: "steps"}},
    )


COMPLEX: dict[str, Any] = {
    "matrix": lambda z, w: z @ w,
    "einsum": lambda z, w: torch.einsum("bi,io->bo", z, w),
    "batches": lambda z, w: torch.bmm(z.unsqueeze(0), w.unsqueeze(0)).squeeze(0),
    "moved": lambda z, w: (z @ w).flip(1).roll(1, 0).transpose(0, 1).sum(0, keepdim=True),
    "written": lambda z, w: written(z @ w),
}


def written(z: Tensor) -> Tensor:
    whole = torch.zeros(z.shape[0], 4, dtype=torch.cfloat)
    whole[..., 1:3] = z[:, :2]
    return whole


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_products(check: Any, name: str) -> None:
    weight = torch.randn(3, 3, dtype=torch.cfloat)
    check.proven(
        lambda: Calls(lambda x: torch.view_as_real(COMPLEX[name](torch.fft.rfft(x), weight))),
        table,
        fresh=(1, 4),
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_added_where_several_go(check: Any, axis: int) -> None:
    places = torch.tensor([0, 2, 0, 0, 1])
    check.proven(
        lambda: Calls(
            lambda x: x.new_zeros(3, 3).index_add(axis, places, square(x)[axis], alpha=2)
        ),
        table,
        fresh=(1, 4),
    )


def square(x: Tensor) -> tuple[Tensor, Tensor]:
    """Five rows of three, and three of five, of all rows."""
    whole = x.sum(0).outer(torch.ones(3))
    return whole, whole.T


class Deformed(nn.Module):
    """torchvision's convolution at learned places; with a stride of its own, groups and masks."""

    def __init__(self, *, groups: int = 1, mask: bool = False, **options: Any) -> None:
        super().__init__()
        self.conv = ops.DeformConv2d(4, 6, (3, 2), padding=(1, 0), groups=groups, **options)
        self.offset = nn.Conv2d(4, 12 * groups, (3, 2), padding=(1, 0), **options)
        self.mask = nn.Conv2d(4, 6 * groups, (3, 2), padding=(1, 0), **options) if mask else None

    def forward(self, x: Tensor) -> Tensor:
        mask = None if self.mask is None else self.mask(x).sigmoid()
        return self.conv(x, self.offset(x) * 2, mask)


@pytest.mark.parametrize(
    "options",
    [{}, {"groups": 2, "mask": True, "stride": (2, 1)}, {"bias": False, "dilation": (1, 2)}],
    ids=str,
)
def test_deformable_convolutions(check: Any, options: dict[str, Any]) -> None:
    # The proof asks at pictures ten times as wide: a place near 95 in float32, which is what the
    # weights between two pixels are made of, is known to 4e-6 and not to 4e-7 as in the sample.
    check.proven(
        lambda: Deformed(**options),
        lambda n: torch.randn(n, 4, 5 + n, 12 - n),
        fresh=(1, 4),
        dynamic={"x": {2: "height", 3: "width"}},
        tolerance=Tolerance(atol=1e-4),
    )


class Neighbours(nn.Module):
    """A graph kept as a sparse matrix."""

    def __init__(self, *, operator: bool) -> None:
        super().__init__()
        self.register_buffer("graph", (torch.rand(5, 5) > 0.5).float().to_sparse())
        self.operator = operator

    def forward(self, x: Tensor) -> Tensor:
        return self.graph @ x.T if self.operator else torch.sparse.mm(self.graph, x.T)


class Edges(nn.Module):
    """A sparse matrix made of edges, some of them twice."""

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        size = (x.shape[0], x.shape[0])
        weights = torch.ones(edges.shape[1])
        graph = torch.sparse_coo_tensor(edges, weights, size)
        again = graph.to_dense().to_sparse()
        return torch.sparse.mm(graph, x) + again.to_dense() @ x


@pytest.mark.parametrize("operator", [True, False])
def test_a_sparse_matrix(check: Any, operator: bool) -> None:
    check.proven(lambda: Neighbours(operator=operator), table, fresh=(1, 4))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_a_sparse_matrix_of_edges(check: Any) -> None:
    check.proven(
        Edges,
        lambda n: (table(n + 2), torch.randint(0, n + 2, (2, 3 * n))),
        fresh=(1, 4),
        static=True,
        dynamic={"x": {0: "nodes"}, "edges": {1: "edges"}},
    )


def test_a_diagonal_is_filled_in_place(check: Any) -> None:
    def filled(x: Tensor) -> Tensor:
        near = x @ x.T
        near.fill_diagonal_(7)
        return near.softmax(-1) @ x

    check.proven(lambda: Calls(filled), table, fresh=(1, 4))


def test_the_mean_of_none(check: Any) -> None:
    check.proven(lambda: Calls(lambda x: (x[x > 2].mean(), x[x[:, 0] > 1].mean(0))), table)


class Words(nn.Module):
    """Rows are shortened in place once they are looked up."""

    def __init__(self, *, function: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(60, 4, max_norm=None if function else 0.5)
        self.function = function

    def forward(self, ids: Tensor) -> Tensor:
        if self.function:
            return torch.nn.functional.embedding(ids, self.table.weight, max_norm=0.5)
        return self.table(ids)


@pytest.mark.parametrize("function", [True, False])
def test_rows_that_the_proof_never_saw(check: Any, function: bool) -> None:
    check.proven(
        lambda: Words(function=function),
        lambda n: torch.randint(0, 3 if n == 2 else 60, (n, 5)),
        fresh=(1, 17),
    )


@pytest.mark.parametrize("inside", [True, False])
def test_rows_that_traced_code_shortens(check: Any, inside: bool) -> None:
    with warnings.catch_warnings(action="ignore"):
        traced = torch.jit.trace(nn.Embedding(60, 4, max_norm=0.5), torch.zeros(2, 5).long())
    model = nn.Sequential(traced, nn.ReLU()) if inside else traced
    check.refused(
        lambda: model,
        lambda n: torch.randint(0, 3, (n, 5)),
        onnxpack.errors.ExportError,
        "max_norm",
    )


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(check: Any, name: str) -> None:
    check.proven(lambda: Calls(PICTURES[name]), lambda n: torch.rand(n, 3, 8, 11), fresh=(1, 4))


def test_a_system_that_is_too_large_is_not_spelled_out(check: Any) -> None:
    check.refused(
        lambda: Calls(lambda x: torch.linalg.inv(x[:, :, None] * x[:, None] + torch.eye(17))),
        lambda n: torch.randn(n, 17),
        onnxpack.errors.ExportError,
        "linalg_inv",
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_proven(check: Any, name: str) -> None:
    check.proven(lambda: Calls(FUNCTIONS[name]), table, fresh=(1, 4, 9))
