"""A pack beside the model that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from torch import nn

import onnxpack
from onnxpack.benchmark import bench as module
from onnxpack.benchmark.bench import bench
from onnxpack.benchmark.chart import check_chart, draw_chart
from onnxpack.benchmark.record import record_outcome
from onnxpack.benchmark.start import Source, measure_start
from onnxpack.errors import ParityError, SampleError, UsageError, WorkerError
from onnxpack.pack.model import Pack
from onnxpack.pack.validate import validate
from onnxpack.signature import Array

SECONDS = 1e-3


class Pair(nn.Module):
    """Takes a pair, as no array can stand for it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """The sum of both, through a layer."""
        result: torch.Tensor = self.layer(pair[0] + pair[1])
        return result


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)).eval()


@pytest.fixture(scope="module")
def pack(net: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return onnxpack.export(net, torch.randn(2, 1, 8, 8), tmp_path_factory.mktemp("net") / "net")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a call or two, and no compilation, which takes half a minute."""
    monkeypatch.setattr("onnxpack.benchmark.clock.BLOCK", 1e-6)
    monkeypatch.setattr("onnxpack.benchmark.clock.SETTLE", 1e-6)


def without_compile(monkeypatch: pytest.MonkeyPatch, message: str = "no compiler") -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError(message)

    monkeypatch.setattr(torch, "compile", fail)


def test_every_way_of_pytorch(
    fast: None, net: nn.Module, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_compile(monkeypatch)
    before = torch.get_num_threads()
    layout = net[0].weight.stride()
    found = bench(pack, net, batch=(1, 3), seconds=SECONDS, threads=1, profile=True)
    assert [dict(point.dims) for point in found.points] == [{"batch": 1}, {"batch": 3}]
    names = [row.name for row in found.points[0].rows]
    assert names == [
        "eager", "channels last", "bfloat16 autocast", "torch.compile",
        "torch.compile, bfloat16", "pack",
    ]  # fmt: skip
    rows = {row.name: row for row in found.points[1].rows}
    assert rows["torch.compile"].timing is None
    assert rows["torch.compile"].failure == "RuntimeError: no compiler"
    for name in ("channels last", "bfloat16 autocast", "pack"):
        timing = rows[name].timing
        assert timing is not None
        assert timing.ratio is not None
        assert timing.interval is not None
        assert timing.interval[0] <= timing.ratio <= timing.interval[1]
        assert rows[name].rate == pytest.approx(3 / timing.seconds)
    assert rows["eager"].difference == pytest.approx(0, abs=1e-5)
    assert 1e-5 < (rows["bfloat16 autocast"].difference or 0) < 0.1
    assert found.threads == 1
    assert any("Conv" in each.name for each in found.operators)
    assert sum(each.share for each in found.operators) == pytest.approx(1)
    assert torch.get_num_threads() == before
    assert net[0].weight.stride() == layout


def test_a_compiled_module_answers(fast: None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2).eval()
    pack = onnxpack.export(model, torch.randn(2, 3), tmp_path / "linear")
    found = bench(pack, model, seconds=SECONDS)
    row = found.points[0].row("torch.compile")
    assert row.timing is not None, row.failure
    assert row.difference == pytest.approx(0, abs=1e-5)


def test_alone_there_is_no_ratio(fast: None, pack: Pack) -> None:
    found = bench(pack, seconds=SECONDS)
    (row,) = found.points[0].rows
    assert row.timing is not None
    assert row.timing.ratio is None
    assert found.framework == ""


def test_another_model_is_refused(fast: None, pack: Pack) -> None:
    torch.manual_seed(1)
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    with pytest.raises(ParityError, match="not the model that the pack was made from"):
        bench(pack, other, seconds=SECONDS)


def test_a_sample_with_a_structure_is_asked_for(fast: None, tmp_path: Path) -> None:
    model = Pair().eval()
    sample = ((torch.randn(2, 3), torch.randn(2, 3)),)
    pack = onnxpack.export(model, sample, tmp_path / "pair")
    with pytest.raises(SampleError) as caught:
        bench(pack, model, seconds=SECONDS)
    assert "it is not the torch model that the pack was made from" in caught.value.message
    assert caught.value.remedy is not None
    assert caught.value.remedy.endswith("give the same sample as at export: --sample SPEC")
    found = bench(pack, model, sample=sample, seconds=SECONDS)
    assert found.points[0].rows[0].timing is not None


def test_an_estimator_by_its_own_methods(fast: None, tmp_path: Path) -> None:
    x, y = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=500).fit(x, y)
    pack = onnxpack.export(model, x, tmp_path / "iris")
    found = bench(pack, model, batch=(1, 7), seconds=SECONDS)
    assert [row.name for row in found.points[0].rows] == ["predict_proba", "predict", "pack"]
    assert found.points[1].rows[0].difference == pytest.approx(0, abs=1e-6)
    assert found.versions["scikit-learn"]


def test_the_user_is_told_of_a_busy_machine(
    fast: None, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load", lambda: 2.0)
    assert "the machine was busy: 2.0" in bench(pack, seconds=SECONDS).notes[0]
    monkeypatch.setattr(module, "load", lambda: 0.0)
    assert bench(pack, seconds=SECONDS).notes == ()


def test_it_is_recorded_and_the_pack_stays_whole(fast: None, net: nn.Module, pack: Pack) -> None:
    found = bench(pack, seconds=SECONDS)
    recorded = record_outcome(pack.path, found)
    assert recorded.manifest is not None
    assert recorded.digest != pack.digest
    assert recorded.manifest.measurements == tuple(found.measurements())
    assert validate(recorded).ok
    assert onnxpack.Model(recorded).prove().ok
    with pytest.raises(onnxpack.errors.PackError, match="changed while it was being timed"):
        record_outcome(pack.path, found)
    msgspec.json.decode(msgspec.json.encode(found))


def test_charts(fast: None, net: nn.Module, pack: Pack, tmp_path: Path) -> None:
    found = bench(pack.path, batch=(1, 2), seconds=SECONDS)
    draw_chart(found, tmp_path / "a.svg")
    draw_chart(found, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    draw_chart(found, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="must end in one of"):
        check_chart(tmp_path / "a.pdf")
    with pytest.raises(UsageError, match="does not exist"):
        check_chart(tmp_path / "none" / "a.svg")


def test_a_fresh_process_answers(pack: Pack) -> None:
    feeds: dict[str, Array] = {"input": np.zeros((1, 1, 8, 8), np.float32)}
    names = [spec.name for spec in onnxpack.Model(pack.path).signature.inputs]
    started = measure_start(
        Source("pack", str(pack.path), 1), dict(zip(names, feeds.values(), strict=True))
    )
    assert started.seconds > 0
    assert started.memory > 10**7


def test_a_fresh_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"did not answer: .*does not exist"):
        measure_start(Source("pack", str(tmp_path / "none"), 1), {"x": np.zeros(1)})
