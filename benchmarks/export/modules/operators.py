"""Operators, one after the other, at their corners."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from case import Case
from torch import Tensor, nn
from torch.nn import functional as F

from modules.entry import Call, Calls, entry, picture, rows


def scattered(how: str, *, own: bool = True) -> Any:
    def run(f: nn.Module, x: Tensor) -> Tensor:
        index = x.argsort(1).flip(1) // 2
        return f(x).scatter_reduce(1, index, x, how, include_self=own)

    return run


def put(x: Tensor, i: Tensor, j: Tensor) -> Tensor:
    grid = torch.zeros(5, 4)
    grid.index_put_((i, j), x[:, 0], accumulate=True)
    return grid


def put_rows(x: Tensor, i: Tensor, j: Tensor) -> Tensor:
    grid = torch.ones(5, 4, 4)
    return grid.index_put((i, j), x, accumulate=True)


def put_one(x: Tensor, i: Tensor, j: Tensor) -> Tensor:
    return torch.zeros(5).index_put((i,), torch.tensor(1.0), accumulate=True) + j.sum()


def put_assigned(x: Tensor, i: Tensor, j: Tensor) -> Tensor:
    y = x.clone()
    y[:, j[0]] += 1
    y[torch.arange(x.shape[0]), j] += 2
    return y


def put_negative(x: Tensor, i: Tensor, j: Tensor) -> Tensor:
    return torch.zeros(6, 4).index_put((-i - 1, j - 4), x.sum(1), accumulate=True)


def histogram(x: Tensor) -> Tensor:
    return torch.histc(x, bins=6, min=-2.0, max=2.0)


def bilinear(f: nn.Module, x: Tensor) -> Tensor:
    return F.bilinear(f(x), x, torch.linspace(-1, 1, 32).view(2, 4, 4), torch.ones(2))


def nan_stats(f: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    y = torch.where(x > 1, torch.nan, f(x))
    return y.nanmean(1), y.nansum(0), torch.nan_to_num(y, nan=-1.0), y.isnan().float().mean()


def stft_back(x: Tensor) -> Tensor:
    window = torch.hann_window(16)
    spec = torch.stft(x, 16, 4, window=window, return_complex=True)
    return torch.view_as_real(spec)


def polar(x: Tensor) -> Tensor:
    z = torch.polar(x[:, :2].abs(), x[:, 2:])
    return torch.view_as_real(z * z.conj()).sum(-1)


def complex_product(x: Tensor) -> tuple[Tensor, Tensor]:
    a, b = torch.complex(x[:, :2], x[:, 2:]), torch.complex(x[:, 1:3], x[:, :2])
    c = a * b
    return c.real, c.imag


OF_ROWS: dict[str, Any] = {
    "scatter sum": scattered("sum"),
    "scatter product": scattered("prod"),
    "scatter mean": scattered("mean"),
    "scatter mean without own": scattered("mean", own=False),
    "scatter least": scattered("amin"),
    "scatter largest without own": scattered("amax", own=False),
    "scatter value": lambda f, x: f(x).scatter(1, x.argmax(1, keepdim=True), 9.0),
    "index copy": lambda f, x: f(x).index_copy(1, torch.tensor([2, 0]), x[:, :2]),
    "index fill": lambda f, x: f(x).index_fill(1, torch.tensor([1, 3]), -1.0),
    "masked scatter": lambda f, x: f(x).masked_scatter(x > 0, x.flatten() * 10),
    "put along": lambda f, x: f(x).scatter_add(1, x.argsort(1) // 2, x),
    "negative remainder": lambda f, x: (x % 0.7, torch.fmod(x, -0.7), torch.remainder(-x, 1.3)),
    "division modes": lambda f, x: (
        torch.div(x, 0.3, rounding_mode="floor"),
        torch.div(x, -0.3, rounding_mode="trunc"),
        x // 0.4,
    ),
    "nan statistics": nan_stats,
    "pairwise distance": lambda f, x: F.pairwise_distance(f(x), x, p=1.0),
    "cosine matrix": lambda f, x: F.cosine_similarity(f(x)[:, None], x[None], dim=-1),
    "cdist by one norm": lambda f, x: torch.cdist(f(x), x, p=1),
    "many-letter einsum": lambda f, x: torch.einsum(
        "abc,cbd,ae->ebd", x.view(-1, 2, 2), f(x)[:2].view(-1, 2, 2)[:2].expand(2, 2, 2), x
    ),
    "einsum diagonal": lambda f, x: torch.einsum("bii->bi", x.view(-1, 2, 2)),
    "bilinear form": bilinear,
    "outer and trace": lambda f, x: (torch.outer(f(x)[0], x[0]), torch.trace(x.T @ f(x))),
    "inverse": lambda f, x: torch.linalg.inv(x.view(-1, 2, 2).tanh() * 0.3 + torch.eye(2)),
    "solve": lambda f, x: torch.linalg.solve(
        x.view(-1, 2, 2).tanh() * 0.3 + torch.eye(2), f(x).view(-1, 2, 2)
    ),
    "cholesky": lambda f, x: torch.linalg.cholesky(x.T @ x / x.shape[0] + torch.eye(4)),
    "matrix norm": lambda f, x: (
        torch.linalg.norm(f(x), dim=1),
        torch.linalg.vector_norm(x, 3.0, 1),
    ),
    "histogram": lambda f, x: histogram(f(x)),
    "exponents": lambda f, x: (torch.expm1(x * 0.1), torch.log1p(x.abs()), torch.exp2(x * 0.1)),
    "gammas": lambda f, x: torch.lgamma(x.abs() + 0.5),
    "digamma": lambda f, x: torch.digamma(x.abs() + 1.5),
    "probit": lambda f, x: torch.special.ndtri(x.sigmoid() * 0.9 + 0.05),
    "normal cdf": lambda f, x: (torch.special.ndtr(x), torch.erfinv(x.tanh() * 0.9)),
    "logit and log sigmoid": lambda f, x: (x.sigmoid().logit(1e-3), F.logsigmoid(x)),
    "sinc": lambda f, x: torch.sinc(x),
    "copysign": lambda f, x: torch.copysign(f(x), x),
    "trapezoid": lambda f, x: (torch.trapezoid(x, dx=0.5, dim=1), x.diff(dim=1, n=2)),
    "covariance": lambda f, x: torch.cov(torch.cat([x, f(x)], 0).T),
    "correlation": lambda f, x: torch.corrcoef(torch.cat([x, f(x), x.sin()]).T),
    "rotated": lambda f, x: torch.rot90(x.view(-1, 2, 2), 1, (1, 2)),
    "stacks": lambda f, x: torch.cat([torch.hstack([x, x]), torch.dstack([x, x]).flatten(1)], 1),
    "block diagonal": lambda f, x: torch.block_diag(f(x)[:1], x[:1]),
    "cartesian": lambda f, x: torch.cartesian_prod(x[0], f(x)[0]),
    "combinations": lambda f, x: torch.combinations(f(x)[0], 2),
    "vander": lambda f, x: torch.vander(x[0].tanh(), 4),
    "aminmax": lambda f, x: torch.aminmax(f(x), dim=1),
    "nan quantile": lambda f, x: f(x).nanquantile(torch.tensor([0.25, 0.75]), dim=1),
    "median of all": lambda f, x: f(x).median(),
    "renorm": lambda f, x: torch.renorm(f(x), 2, 0, 1.0),
    "argsort stable down": lambda f, x: torch.argsort(
        x.sign(), dim=1, descending=True, stable=True
    ),
    "sort of booleans": lambda f, x: (x > 0).long().sort(dim=1, stable=True),
    "unique with inverse": lambda f, x: torch.unique(
        x.round(), return_inverse=True, return_counts=True
    ),
    "unique rows": lambda f, x: torch.unique(x.sign(), dim=0),
    "is close": lambda f, x: torch.isclose(f(x), x, atol=0.5),
    "threshold and shrink": lambda f, x: (
        F.threshold(x, 0.1, -3.0) + F.hardshrink(x) + F.softshrink(x) + F.rrelu(x) + F.celu(x)
    ),
    "glu and maxout": lambda f, x: F.glu(f(x)) + f(x).view(-1, 2, 2).amax(-1),
    "losses": lambda f, x: (
        F.cross_entropy(f(x), x.argmax(1), label_smoothing=0.1),
        F.huber_loss(f(x), x),
        F.binary_cross_entropy_with_logits(f(x), (x > 0).float()),
        F.kl_div(f(x).log_softmax(1), x.softmax(1), reduction="batchmean"),
        F.nll_loss(f(x).log_softmax(1), x.argmin(1), reduction="none"),
    ),
    "triplet": lambda f, x: F.triplet_margin_loss(f(x), x, x.flip(1), reduction="none"),
    "polar": lambda f, x: polar(x),
    "complex product by parts": lambda f, x: complex_product(f(x)),
    "fft 2d": lambda f, x: torch.fft.fft2(x.view(-1, 2, 2)).abs(),
    "inverse real fft": lambda f, x: torch.fft.irfft(torch.fft.rfft(f(x)), n=4),
    "fft shift": lambda f, x: torch.fft.fftshift(torch.fft.rfft(f(x), norm="ortho").abs(), dim=1),
    "sparse product": lambda f, x: torch.sparse.mm(torch.eye(4).to_sparse(), f(x).T),
    "tensor dot": lambda f, x: torch.tensordot(f(x), x.view(-1, 2, 2), dims=([0], [0])),
    "chunked sums": lambda f, x: sum(p.sum(1) for p in f(x).tensor_split([1, 3], dim=1)),
    "select scatter": lambda f, x: torch.slice_scatter(
        torch.select_scatter(f(x), x[:, 0], 1, 2), x[:, :2], 1, 0, 4, 2
    ),
    "diagonal scatter": lambda f, x: torch.diagonal_scatter(x.view(-1, 2, 2), f(x)[:, :2], 0, 1, 2),
    "as strided": lambda f, x: f(x)[:1].contiguous().as_strided((2, 3), (1, 1)),
    "gumbel hard, given noise": lambda f, x: (
        (
            F.one_hot((f(x) - (-x.sigmoid().clamp(1e-4, 1 - 1e-4).log()).log()).argmax(-1), 4).to(x)
            - f(x).softmax(-1)
        ).detach()
        + f(x).softmax(-1)
    ),
}
ON_PICTURES: dict[str, Any] = {
    "bicubic antialias": lambda x: F.interpolate(
        x, scale_factor=0.6, mode="bicubic", antialias=True
    ),
    "corners aligned": lambda x: F.interpolate(
        x, size=(5, 31), mode="bilinear", align_corners=True
    ),
    "recomputed scale": lambda x: F.interpolate(
        x, scale_factor=(1.3, 0.7), mode="bilinear", recompute_scale_factor=True
    ),
    "upsample linear and trilinear": lambda x: (
        F.interpolate(x.flatten(2), scale_factor=2, mode="linear"),
        F.interpolate(x[:, :, None], size=(3, 6, 9), mode="trilinear"),
    ),
    "mixed pads": lambda x: F.pad(
        F.pad(x, (3, 0, 0, 1), mode="circular"), (0, 1, 2, 0), mode="replicate"
    ),
    "circular conv": lambda x: F.conv2d(
        F.pad(x, (1, 1, 1, 1), mode="circular"), torch.ones(2, 3, 3, 3) / 27
    ),
    "transposed, grouped": lambda x: F.conv_transpose2d(
        x, torch.linspace(-1, 1, 54).view(3, 2, 3, 3), stride=(3, 2), padding=1,
        output_padding=(2, 0), groups=3, dilation=(1, 2),
    ),
    "same even kernel": lambda x: F.conv2d(x, torch.ones(2, 3, 4, 2), padding="same", dilation=2),
    "ceil pools": lambda x: F.avg_pool2d(x, (5, 3), stride=(3, 2), padding=(2, 1), ceil_mode=True),
    "ceil max, dilated": lambda x: F.max_pool2d(x, 3, stride=2, dilation=2, ceil_mode=True),
    "divisor pool": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "adaptive 1d and 3d": lambda x: (
        F.adaptive_avg_pool1d(x.flatten(2), 5),
        F.adaptive_max_pool3d(x[:, None], (2, 5, 3)),
    ),
    "adaptive with indices": lambda x: F.adaptive_max_pool2d(x, (5, 3), return_indices=True),
    "unpooled": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "fold with stride": lambda x: F.fold(
        F.unfold(x, (4, 2), stride=(2, 3), padding=(1, 0)), (12, 16), (4, 2), stride=(2, 3),
        padding=(1, 0),
    ),
    "grid reflected": lambda x: F.grid_sample(
        x, torch.linspace(-2.3, 2.2, 60).view(1, 5, 6, 2).expand(x.shape[0], -1, -1, -1),
        mode="bilinear", padding_mode="reflection", align_corners=False,
    ),
    "grid of volumes": lambda x: F.grid_sample(
        x[:, None],
        torch.linspace(-1.1, 1.2, 120).view(1, 2, 4, 5, 3).expand(x.shape[0], -1, -1, -1, -1),
        align_corners=True,
    ),
    "local response odd": lambda x: F.local_response_norm(x.repeat(1, 2, 1, 1), 4, 0.1, 0.5, 2.0),
    "colour matrix": lambda x: (
        torch.einsum("oc,bchw->bohw", torch.ones(2, 3), x).clamp(0, 1) ** 2.2
    ),
    "sobel": lambda x: torch.hypot(
        *F.conv2d(x.mean(1, keepdim=True), torch.linspace(-1, 1, 18).view(2, 1, 3, 3)).unbind(1)
    ),
    "integral image": lambda x: (
        x.cumsum(2).cumsum(3)[:, :, 2:, 2:] - x.cumsum(2).cumsum(3)[:, :, :-2, :-2]
    ),
    "non-maximum heat": lambda x: (
        (F.max_pool2d(x, 3, 1, 1) == x).float() * x
    ).flatten(1).topk(4).values,
    "median filter": lambda x: F.unfold(x, 3).view(x.shape[0], 3, 9, -1).median(2).values,
    "soft argmax": lambda x: (
        x.flatten(2).softmax(-1) @ torch.stack(
            torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij"), -1
        ).view(-1, 2)
    ),
}  # fmt: skip
OF_INTEGERS: dict[str, Any] = {
    "wrapping": lambda i: i * 4611686018427387904 + (i << 62),
    "signed division": lambda i: (
        i // 3,
        i % -3,
        torch.div(i, -4, rounding_mode="trunc"),
        i.fmod(5),
    ),
    "bit tricks": lambda i: (
        (i & 12) | (i ^ 5),
        ~i,
        (i >> 1),
        torch.bitwise_left_shift(i.abs(), 2),
    ),
    "popcount": lambda i: ((i.unsqueeze(-1) >> torch.arange(8)) & 1).sum(-1),
    "integer sums": lambda i: (i.sum(), i.cumsum(0), i.prod(), i.to(torch.int8).sum()),
    "uint8 arithmetic": lambda i: (i.abs().to(torch.uint8) * 40 + 200, i.to(torch.uint8) // 7),
    "is in": lambda i: torch.isin(i, torch.tensor([2, -5, 7])),
    "gcd": lambda i: torch.gcd(i, torch.tensor(12)),
    "integer pow": lambda i: (i**3, 2 ** i.clamp(0, 6), i.float() ** i.clamp(-2, 2)),
    "integer clamp and sort": lambda i: (i.clamp(-4, 4).sort().values, i.argmax(), i.unique()),
    "embedded": lambda i: F.embedding(
        i.abs() % 9, torch.linspace(0, 1, 27).view(9, 3), max_norm=None
    ),
    "counts": lambda i: torch.bincount(i.abs(), weights=i.double(), minlength=21)[:21],
    "run lengths": lambda i: torch.unique_consecutive(i // 8, return_counts=True),
    "ragged ranges": lambda i: torch.repeat_interleave(torch.arange(i.shape[0]), i.abs() % 4),
}


def indexed(n: int) -> tuple[Tensor, Tensor, Tensor]:
    return rows(n), torch.randint(0, 5, (n,)), torch.randint(0, 4, (n,))


def integers(n: int) -> Tensor:
    return torch.randint(-20, 20, (n + 6,))


def cases() -> Iterator[Case]:
    for name, function in OF_ROWS.items():
        yield entry(name, partial(Calls, function), rows)
    for name, function in ON_PICTURES.items():
        yield entry(name, partial(Call, function), picture)
    for name, function in OF_INTEGERS.items():
        yield entry(name, partial(Call, function), integers, factors=(1.0,))
    for function in (put, put_rows, put_one, put_assigned, put_negative):
        yield entry(f"index {function.__name__}", partial(Call, function), indexed)
    yield entry("stft complex", partial(Call, stft_back), lambda n: torch.randn(n, 64))
