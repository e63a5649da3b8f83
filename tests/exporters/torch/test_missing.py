"""Models that reckon with missing values are asked with some; others are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack


class Calls(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.linear, x)


def imputed(linear: Any, x: Tensor) -> Tensor:
    mean = x.nanmean(0)
    return linear(torch.where(x.isnan(), mean, x).nan_to_num())


def rows(n: int) -> Tensor:
    return torch.randn(n, 4)


def holed(n: int) -> Tensor:
    return rows(2) if n == 2 else torch.where(torch.rand(n, 4) < 0.3, torch.nan, rows(n))


def test_proven(check: Any) -> None:
    pack = check.proven(lambda: Calls(imputed), holed)
    assert "missing values" in [case.name for case in pack.manifest.parity.cases]


def test_not_asked(check: Any) -> None:
    pack = check.proven(lambda: Calls(lambda f, x: f(x)), rows)
    assert "missing values" not in [case.name for case in pack.manifest.parity.cases]


@pytest.mark.parametrize("best", ["argmax", "argmin"])
def test_an_order_of_nan_is_kept(check: Any, best: str) -> None:
    def places(f: Any, x: Tensor) -> Tensor:
        return getattr(x, best)(1) * x.isfinite().any(1)

    pack = check.proven(lambda: Calls(places), holed)
    assert pack.manifest.source.strategy.endswith("NaN kept")


LOSES = "no case with NaN was tested"


class Scaled(nn.Module):
    """A picture is scaled to 0…1 inside of the model: 0 / 0 where it is black."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1))
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
        found: Tensor = self.head(self.body((x - low) / (high - low)).flatten(1)).softmax(1)
        return found


class First(nn.Module):
    """The answers of all steps, without the last state."""

    def forward(self, found: tuple[Tensor, Any]) -> Tensor:
        """Leave the state."""
        return found[0]


class Recurrent(nn.Module):
    """A wave is brought to one loudness, and read in order: NaN where it is silent."""

    def __init__(self, kind: type[nn.Module], *, bidirectional: bool) -> None:
        super().__init__()
        self.read = kind(1000, 4, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor) -> Tensor:
        x = x / x.abs().amax(-1, keepdim=True)
        found: Tensor = self.read(x.unflatten(1, (-1, 1000)))[0][:, -1]
        return found


def test_a_black_picture_of_a_large_sample_is_nan(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Scaled().eval()
    pack = onnxpack.export(model, torch.rand(1, 3, 96, 96), tmp_path / "pack")
    black = np.zeros((1, 3, 96, 96), np.float32)
    assert np.isnan(onnxpack.Model(pack)(black)).all()


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_silence_of_a_large_sample_is_nan(
    tmp_path: Path, kind: type[nn.Module], *, bidirectional: bool
) -> None:
    torch.manual_seed(0)
    model = Recurrent(kind, bidirectional=bidirectional).eval()
    pack = onnxpack.export(model, torch.randn(1, 32000), tmp_path / "pack")
    silence = np.zeros((2, 32000), np.float32)
    silence[1] = 1
    found = onnxpack.Model(pack)(silence)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], model(torch.from_numpy(silence))[1].detach(), atol=1e-5)


class Sampled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        grid = x.reshape(-1, 1, 2, 2).tanh()
        return nn.functional.grid_sample(x.reshape(-1, 1, 2, 2), grid, align_corners=False)


class Distinct(nn.Module):
    """Counts the distinct numbers; every NaN is one of its own in PyTorch, but not in ONNX."""

    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: Tensor) -> Any:
        return torch.unique(x.long() if self.whole else x.round(), return_counts=True)


@pytest.mark.parametrize(
    ("model", "loses"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU()), ""),
        (Distinct(whole=False), "Unique"),
        (Distinct(whole=True), ""),
        (nn.Sequential(nn.LSTM(4, 3, batch_first=True), First()), "LSTM"),
        (nn.Sequential(nn.GRU(4, 3, batch_first=True), First()), "GRU"),
        (nn.Sequential(nn.Unflatten(1, (1, 4)), nn.MaxPool1d(2)), "MaxPool"),
        (Sampled(), "GridSample"),
    ],
    ids=["dense", "distinct", "distinct integers", "lstm", "gru", "pool", "grid"],
)
def test_the_user_is_told_where_nan_may_be_lost(
    tmp_path: Path, model: nn.Module, loses: str
) -> None:
    torch.manual_seed(0)
    sample = torch.randn(2, 5, 4) if loses in ("GRU", "LSTM") else torch.randn(2, 4)
    pack = onnxpack.export(model.eval(), sample, tmp_path / "pack")
    assert pack.manifest is not None
    told = [note for note in pack.manifest.notes if LOSES in note]
    assert len(told) == bool(loses)
    assert all(f"({loses})" in note for note in told)


class OwnStatistics(nn.Module):
    """Normalises by the batch also in eval mode."""

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.normal = nn.BatchNorm1d(4, momentum=momentum)

    def train(self, mode: bool = True) -> OwnStatistics:
        """Leave the normalisation in training."""
        super().train(mode)
        self.normal.train()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        found: Tensor = self.normal(x)
        return found


def test_one_nan_poisons_no_later_answer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pack = onnxpack.export(OwnStatistics(0.0).eval(), torch.randn(4, 4), tmp_path / "pack")
    model = onnxpack.Model(pack)
    x = np.random.default_rng(0).random((4, 4), np.float32)
    before = model(x)
    model(np.full_like(x, np.nan))
    np.testing.assert_array_equal(model(x), before)


@pytest.mark.parametrize("bounds", [{"min": -1.0}, {"max": 1.0}, {"min": -1.0, "max": 1.0}])
def test_one_bound_leaves_infinity_on_the_other_side(
    tmp_path: Path, bounds: dict[str, float]
) -> None:
    model = Calls(lambda _, x: x.clamp(**bounds)).eval()
    pack = onnxpack.export(model, torch.randn(4, 4), tmp_path / "pack")
    x = np.array([[np.inf, -np.inf, 0.5, 2.0]], np.float32)
    expected = torch.from_numpy(x).clamp(**bounds).numpy()
    np.testing.assert_array_equal(onnxpack.Model(pack)(x), expected)


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["amax", "amin", "sum", "prod", "mean"])
def test_a_segment_of_infinities_alone(tmp_path: Path, reduce: str, include_self: bool) -> None:
    """A pool over the nodes of a graph, all of whose scores are masked."""

    class Pool(nn.Module):
        def forward(self, x: Tensor, segment: Tensor) -> Tensor:
            start = torch.ones(4, x.shape[1])
            places = segment[:, None].expand_as(x)
            return start.scatter_reduce(0, places, x, reduce, include_self=include_self)

    x, segment = torch.randn(6, 3), torch.tensor([0, 1, 1, 2, 2, 1])
    pack = onnxpack.export(Pool(), (x, segment), tmp_path / "pack")
    for infinity in (-torch.inf, torch.inf):
        x[0] = infinity
        wanted = Pool()(x, segment).numpy()
        found = onnxpack.Model(pack)(x.numpy(), segment.numpy())
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert pack.manifest is not None
    told = any("ScatterElements" in note for note in pack.manifest.notes)
    assert told is (reduce in ("amax", "amin"))
