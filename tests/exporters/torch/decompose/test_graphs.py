"""Decomposed operators in graphs: at the values and sizes where ONNX's own would differ."""

from __future__ import annotations

import importlib.util
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

_spec = importlib.util.spec_from_file_location("graphs", Path(__file__).parent / "graphs.py")
assert _spec is not None
assert _spec.loader is not None
graphs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(graphs)

T = torch.tensor
INF, NAN = float("inf"), float("nan")
BENDS = T(
    [[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, -0.0, 0.0], [INF, -INF, NAN, 1e30, -1e30, 1e-30, 3e2, -3e2]]
)
WHOLE = torch.arange(-12, 12).reshape(2, 12)
BYTES = T([[0, 255, 128, 127, 1, 2, 200, 100]], dtype=torch.uint8).repeat(2, 1)
ONE_AXIS = {"x": {1: "n"}}
FLOORED, CUT = ({"rounding_mode": mode} for mode in ("floor", "trunc"))


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows(*sizes: int) -> list[tuple[Tensor]]:
    return [(randn(2, size, seed=size),) for size in sizes]


def sounds(*sizes: int) -> list[tuple[Tensor]]:
    return [(randn(2, 3, size, seed=size),) for size in sizes]


def near(x: Tensor) -> Tensor:
    return torch.where(x == 0, 1, x)


def in_place(name: str, *args: Any, **options: Any) -> Any:
    def changed(x: Tensor) -> Tensor:
        y = x + 1
        getattr(y, name)(*args, **options)
        return y

    return changed


def added(x: Tensor, y: Tensor) -> Tensor:
    rows = torch.arange(x.shape[0]).unsqueeze(1).expand_as(y)
    counts = torch.zeros(x.shape[0], 8)
    counts.index_put_((rows, y), torch.ones(y.shape), accumulate=True)
    return counts


# name: function, its sample, probes
VALUES: dict[str, tuple[Any, list[Tensor], list[tuple[Tensor, ...]]]] = {
    "//": (lambda x: (x // 7, x // -7, x % 7, x % -7), [WHOLE.abs() + 1], [(WHOLE,)]),
    "// of a difference": (
        lambda x, y: (x - y) // 7,
        [WHOLE.abs() + 20, WHOLE.abs()],
        [(WHOLE, WHOLE.flip(1))],
    ),
    "// of tensors": (
        lambda x, y: (x // y, x % y, torch.fmod(x, y)),
        [WHOLE.abs() + 1] * 2,
        [(WHOLE, near(WHOLE.flip(1)))],
    ),
    "// of a number": (lambda x: (100 // x, 100 % x), [WHOLE.abs() + 1], [(near(WHOLE),)]),
    "// of int32": (
        lambda x: (x // 5, torch.div(x, -5, **CUT)),
        [WHOLE.abs().int()],
        [(WHOLE.int(),)],
    ),
    "// of int8": (
        lambda x: (x // 7, x % 7),
        [(WHOLE.abs() + 1).to(torch.int8)],
        [((WHOLE * 10).to(torch.int8),)],
    ),
    "// of uint8": (lambda x: x // 7, [BYTES // 2 + 1], [(BYTES,)]),
    "//=": (in_place("floor_divide_", 7), [WHOLE.abs()], [(WHOLE,)]),
    "div_": (in_place("div_", -7, **FLOORED), [WHOLE.abs()], [(WHOLE,)]),
    "// of floats": (
        lambda x: (x // 0.4, torch.div(x, 0.4, **CUT)),
        [randn(2, 8)],
        [(BENDS,), (torch.arange(-8, 8).reshape(2, 8) * 0.4,)],
    ),
    "% of floats": (
        lambda x, y: (x % 0.4, x % y),
        [randn(2, 8)] * 2,
        [(BENDS, BENDS.flip(1)), (randn(2, 8) * 1e4, randn(2, 8, seed=1))],
    ),
    "trunc": (lambda x: (x.trunc(), torch.fix(x), x.frac()), [randn(2, 8)], [(BENDS,)]),
    "logaddexp": (
        lambda x, y: (torch.logaddexp(x, y), torch.logaddexp2(x, y)),
        [randn(2, 8)] * 2,
        [(randn(2, 8) * 300, randn(2, 8, seed=1) * 300), (BENDS, BENDS.flip(1)), (BENDS, BENDS)],
    ),
    "softplus": (
        lambda x: (F.softplus(x, 2.0, 5.0), F.softplus(x, 1.0, 0.5), F.softplus(x, 0.5)),
        [randn(2, 8)],
        [(BENDS,), (torch.arange(-16.0, 16.0).reshape(4, 8) / 4,)],
    ),
    "logsumexp": (
        lambda x: (x.logsumexp(1), x.logsumexp((0, 1), True)),
        [randn(2, 8)],
        [(BENDS,), (T([[-INF] * 8, [INF] * 8]),)],
    ),
    "log1p": (lambda x: (x.log1p(), x.expm1()), [randn(2, 8).abs()], [(BENDS,), (BENDS * 1e-6,)]),
    "logit": (lambda x: (x.logit(), x.logit(1e-3)), [randn(2, 8).sigmoid()], [(BENDS.sigmoid(),)]),
    "cross entropy": (
        lambda x: F.binary_cross_entropy(x.sigmoid(), (x > 0).float(), reduction="none"),
        [randn(2, 8)],
        [(randn(2, 8) * 300,)],
    ),
    "angle": (torch.angle, [randn(2, 8)], [(BENDS,)]),
    "atan2": (
        torch.atan2,
        [randn(2, 8)] * 2,
        [(BENDS, BENDS.flip(1)), (BENDS, BENDS), (BENDS * 0, -BENDS)],
    ),
    "sign": (lambda x: (x.sign(), x.sgn(), x.signbit(), 1 / x.sign()), [randn(2, 8)], [(BENDS,)]),
    "copysign": (
        lambda x, y: (torch.copysign(x, y), torch.copysign(x, -1.0)),
        [randn(2, 8)] * 2,
        [(BENDS, BENDS.nan_to_num().flip(1))],
    ),
    "step": (lambda x: torch.heaviside(x, T(0.5)), [randn(2, 8)], [(BENDS,)]),
    "shrink": (lambda x: (F.hardshrink(x), F.softshrink(x)), [randn(2, 8)], [(BENDS,)]),
    "similarity": (
        lambda x: F.cosine_similarity(x, x.flip(1)),
        [randn(2, 8)],
        [(randn(2, 8) * 1e-9,), (torch.zeros(2, 8),)],
    ),
    "distance from itself": (lambda x: torch.cdist(x, x), [randn(2, 8)], [(randn(9, 8) * 1e3,)]),
    "whole powers": (lambda x: (x**2, x**3, 2**x), [WHOLE.abs()], [(WHOLE.abs() * 10**5,)]),
    "powers of tensors": (
        lambda x, y: x**y,
        [WHOLE.abs(), WHOLE.abs()],
        [(WHOLE * 1001, WHOLE.abs() // 2), (near(WHOLE), WHOLE - 3)],
    ),
    "large powers": (
        lambda x, y: x ** y.abs(),
        [WHOLE, WHOLE.abs() % 5],
        [(WHOLE, (WHOLE * 97).abs()), (WHOLE * 2 + 1, WHOLE.abs() * 10**15)],
    ),
    "shifts": (
        lambda x, y: (x << y, x >> y),
        [WHOLE, WHOLE.abs() % 5],
        [(WHOLE, WHOLE.abs() + 60), (WHOLE, WHOLE), (-WHOLE, (WHOLE * 5).abs())],
    ),
    "powers of bytes": (lambda x: x**2, [BYTES // 16], [(BYTES,)]),
    "roots": (lambda x: (x**0.5, x**-0.5), [randn(2, 8).abs()], [(BENDS,)]),
    "clamped integers": (lambda x: x.clamp(0.5, 5.5), [WHOLE], [(WHOLE * 2,)]),
    "any": (lambda x: (x.any(1), x.all(1)), [randn(2, 8)], [(randn(2, 8) * 0.1,), (BENDS,)]),
    "any of bytes": (lambda x: (x.any(1), x.all(1)), [BYTES], [(BYTES.flip(1),), (BYTES * 0,)]),
    "sums of truth": (
        lambda x: ((x > 0).cumsum(1), x.int().cumsum(1)),
        [randn(2, 8)],
        [(randn(2, 8) * 9,)],
    ),
    "searchsorted": (
        lambda x: (
            torch.searchsorted(T([-1.0, 0.0, 0.0, 1.0]), x),
            torch.bucketize(x, T([0.5]), right=True),
        ),
        [randn(2, 8)],
        [(BENDS,)],
    ),
    "added up in place": (
        added,
        [randn(2, 3), T([[0, 1, 2], [3, 4, 5]])],
        [(randn(2, 3), T([[0, 0, 0], [7, 7, -1]])), (randn(5, 3), torch.zeros(5, 3).long())],
    ),
    "added up below zero": (
        lambda x, y: torch.zeros(8, 3).index_put((y[:, 0] - 3,), x, accumulate=True),
        [randn(4, 3), torch.arange(4)[:, None]],
        [(randn(4, 3), T([[0], [0], [2], [5]]))],
    ),
    "added up by a mask": (
        in_place("index_put_", (T([True, False]),), T(1.0), accumulate=True),
        [randn(2, 8)],
        [(randn(2, 8, seed=3),)],
    ),
    "erfc": (
        lambda x: (torch.erfc(x), torch.special.ndtr(x)),
        [randn(2, 8)],
        [(BENDS,), (torch.arange(-32.0, 32.0).reshape(8, 8) / 4,)],
    ),
    "log of a normal": (
        lambda x: (torch.special.log_ndtr(x), torch.special.erfcx(x.clamp_min(-8))),
        [torch.rand(2, 8)],
        [(BENDS,), (torch.arange(-32.0, 32.0).reshape(8, 8) / 2,), (torch.full((1, 8), -200.0),)],
    ),
    "erfinv": (
        torch.erfinv,
        [randn(2, 8).tanh()],
        [
            (
                T(
                    [
                        [0.0, -0.0, 0.5, -0.999, 0.99999, 1, -1, 1e-20],
                        [NAN, 1.5, 0.1, 0.2, 0.7, 0.9, -0.99, -1e-9],
                    ]
                ),
            )
        ],
    ),
    "singular values": (
        lambda x: torch.linalg.svdvals(x.reshape(-1, 4, 2)),
        [randn(2, 8)],
        [(randn(2, 8, seed=3),), (torch.ones(2, 8),), (torch.zeros(2, 8),)],
    ),
    "distributions": (
        lambda x: torch.distributions.Normal(x, x.abs() + 1, validate_args=True).log_prob(x * 2),
        [randn(2, 8)],
        [(randn(3, 8, seed=3),)],
    ),
}

# name: function, its sample, probes; the axis that varies
SIZES: dict[str, tuple[Any, list[tuple[Tensor]]]] = {
    "linspace": (lambda x: x + torch.linspace(-1, 3, x.shape[1]), rows(6, 1, 2, 5, 40)),
    "linspace of integers": (
        lambda x: x + torch.linspace(0, 10, x.shape[1], dtype=torch.int64),
        rows(6, 1, 2, 5, 40),
    ),
    "logspace": (lambda x: x + torch.logspace(-1, 1, x.shape[1]), rows(6, 1, 2, 5)),
    "roll": (
        lambda x: (x.roll(-3, 1), torch.roll(x, x.shape[1] // 2, 1), torch.roll(x, 2)),
        rows(6, 1, 2, 9),
    ),
    "roll of both": (lambda x: torch.roll(x, (1, 2), (0, 1)), rows(6, 1, 3)),
    "shift": (lambda x: (torch.fft.fftshift(x), torch.fft.ifftshift(x, 1)), rows(6, 1, 2, 9)),
    "difference": (
        lambda x: (torch.diff(x, dim=1), torch.diff(x > 0, dim=1), torch.diff(x, n=2)),
        rows(6, 1, 2, 9),
    ),
    "difference from the first": (lambda x: torch.diff(x, dim=1, prepend=x[:, :1]), rows(6, 1, 9)),
    "half": (lambda x: x[:, (x.shape[1] - 9) // 2 :], rows(16, 1, 3, 4, 9)),
    "running best": (lambda x: x.cummax(1), rows(6, 1, 9)),
}


def nearest(**options: Any) -> Any:
    return lambda x: F.interpolate(x, **options)


RESAMPLED: dict[str, Any] = {
    "to a size": nearest(size=64),
    "to a smaller size": nearest(size=7),
    "by a factor": nearest(scale_factor=1.7),
    "by a small factor": nearest(scale_factor=0.3),
    "by a factor, as a size": nearest(scale_factor=1.7, recompute_scale_factor=True),
    "by three": nearest(scale_factor=3),
    "twice": nearest(scale_factor=2),
    "exact to a size": nearest(size=33, mode="nearest-exact"),
    "exact by a factor": nearest(scale_factor=2.5, mode="nearest-exact"),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(tmp_path: Path, name: str) -> None:
    function, sample, probes = VALUES[name]
    model = graphs.module_of(function, len(sample))
    session = graphs.session_of(model, sample, tmp_path / "model.onnx")
    graphs.compare(session, model, [tuple(sample), *probes])


@pytest.mark.parametrize("name", SIZES)
def test_sizes(tmp_path: Path, name: str) -> None:
    function, probes = SIZES[name]
    model = graphs.module_of(function, 1)
    session = graphs.session_of(model, probes[0], tmp_path / "model.onnx", dynamic=ONE_AXIS)
    graphs.compare(session, model, probes)


@pytest.mark.parametrize("name", RESAMPLED)
def test_nearest(tmp_path: Path, name: str) -> None:
    model = graphs.module_of(RESAMPLED[name], 1)
    sample, *probes = sounds(16, 4, 5, 13, 14, 26, 28, 30, 52, 56, 100)
    session = graphs.session_of(model, sample, tmp_path / "model.onnx", dynamic={"x": {2: "steps"}})
    graphs.compare(session, model, [sample, *probes])


def test_nearest_of_pictures_and_volumes(tmp_path: Path) -> None:
    def resized(x: Tensor) -> Any:
        volume = F.interpolate(x[:, :, None], size=(2, 7, 28))
        return volume, F.interpolate(x, size=(64, 9)), F.interpolate(x, scale_factor=(1.7, 0.6))

    model = graphs.module_of(resized, 1)
    sizes = ((8, 10), (3, 5), (13, 14), (26, 30), (28, 52))
    probes = [(randn(2, 3, *size, seed=size[0]),) for size in sizes]
    dynamic = {"x": {2: "height", 3: "width"}}
    session = graphs.session_of(model, probes[0], tmp_path / "model.onnx", dynamic=dynamic)
    graphs.compare(session, model, probes)


@pytest.mark.parametrize("version", ["", ".v2"])
def test_a_crop_of_a_varying_picture(tmp_path: Path, version: str) -> None:
    transforms: Any = import_module(f"torchvision.transforms{version}")
    model = graphs.module_of(transforms.CenterCrop((5, 8)), 1)
    sizes = ((16, 20), (9, 11), (3, 5), (4, 30), (5, 8), (7, 9), (1, 1))
    probes = [(randn(2, 3, *size, seed=size[0]),) for size in sizes]
    dynamic = {"x": {2: "height", 3: "width"}}
    session = graphs.session_of(model, probes[0], tmp_path / "model.onnx", dynamic=dynamic)
    graphs.compare(session, model, probes)


def test_attention_that_may_look_at_nothing(tmp_path: Path) -> None:
    def attended(x: Tensor, y: Tensor) -> Tensor:
        mask = torch.zeros_like(y).masked_fill(y == 0, -torch.inf)[:, None]
        return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    model = graphs.module_of(attended, 2)
    some = torch.ones(2, 6)
    session = graphs.session_of(model, [randn(2, 6, 4), some], tmp_path / "model.onnx")
    none = T([[1.0, 0, 0, 1, 0, 0], [0.0] * 6])
    graphs.compare(session, model, [(randn(2, 6, 4, seed=1), none)])


@pytest.mark.parametrize("bools", [True, False])
def test_attention_does_not_hide_nan(tmp_path: Path, bools: bool) -> None:
    """A bool mask once gave 0 where a key is NaN, masked or not."""

    def attended(x: Tensor, y: Tensor) -> Tensor:
        mask = y[:, None] > 0
        bias = torch.zeros_like(y)[:, None].masked_fill(~mask, -torch.inf)
        return F.scaled_dot_product_attention(x, x, x, attn_mask=mask if bools else bias)

    model = graphs.module_of(attended, 2)
    some = torch.ones(3, 6)
    session = graphs.session_of(model, [randn(3, 6, 4), some], tmp_path / "model.onnx")
    x = randn(3, 6, 4, seed=1)
    x[0, 2, 1] = NAN
    mask = T([[1.0, 0, 0, 1, 0, 0], [1.0, 0, 1, 1, 0, 0], [0.0] * 6])
    graphs.compare(session, model, [(x, mask), (x, torch.zeros(3, 6))])


def test_boxes_of_pictures_that_are_not_there(tmp_path: Path) -> None:
    ops = import_module("torchvision.ops")
    model = graphs.module_of(lambda x, y: ops.roi_align(x, y, (3, 3), 0.5), 2)
    boxes = T([[0.0, 1, 1, 8, 9], [1.0, 2, 0, 9, 7]])
    session = graphs.session_of(model, [randn(2, 3, 8, 8), boxes], tmp_path / "model.onnx")
    graphs.compare(session, model, [(randn(3, 3, 8, 8), boxes[[1, 0, 1]])])
    for index in (99.0, -5.0, NAN, 1e30):
        feeds = {"x": randn(2, 3, 8, 8).numpy(), "y": boxes.numpy().copy()}
        feeds["y"][:, 0] = index
        assert session.run(None, feeds)[0].shape == (2, 3, 3, 3)
