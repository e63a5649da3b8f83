"""``onnxpack optimize``, as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import onnxpack as package
from onnxpack.benchmark.ratio import Ratio
from onnxpack.optimizer import space


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack, and beside it rows."""
    folder = tmp_path_factory.mktemp("net")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4)).eval()
    pack = package.export(model, torch.randn(2, 16), folder / "net", labels=list("abcd"))
    assert pack.manifest is not None
    name = pack.manifest.signature.inputs[0].name
    rows = np.random.default_rng(0).standard_normal((700, 16)).astype(np.float32)
    np.savez(folder / "rows.npz", **{name: rows})
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small space, little timing, and a candidate that is always faster."""
    monkeypatch.setattr("onnxpack.benchmark.clock.BLOCK", 1e-3)
    monkeypatch.setattr("onnxpack.benchmark.clock.SETTLE", 1e-4)
    monkeypatch.setattr(space, "ON_ONNXRUNTIME", (("rewrite",), ("int8-dynamic",)))
    monkeypatch.setattr(space, "has_openvino", lambda: False)
    monkeypatch.setattr(
        "onnxpack.benchmark.ratio.faster", lambda call, reference: Ratio(2.0, 1.9, 2.1)
    )


def test_the_table_and_the_page(
    onnxpack: Callable[..., Any], quick: None, net: Path, tmp_path: Path
) -> None:
    told = onnxpack(
        "optimize", net / "net", "-o", tmp_path / "fast", "--data", net / "rows.npz",
        "--max-loss", "0.05", "--report", tmp_path / "page.html",
    )  # fmt: skip
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].split()[:3] == ["graph", "verdict", "faster"]
    assert {line.split()[0] for line in lines[1:3]} == {"rewrite", "int8-dynamic"}
    assert " is 2.00 × as fast as the proven graph; " in told.out
    assert lines[-1] == f"next: onnxpack bench {tmp_path / 'fast'}"
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    shown = onnxpack("inspect", tmp_path / "fast")
    assert "variant" in shown.out
    assert onnxpack("check", tmp_path / "fast").code == 0


def test_json(onnxpack: Callable[..., Any], quick: None, net: Path, tmp_path: Path) -> None:
    told = onnxpack("optimize", net / "net", "-o", tmp_path / "fast", "--json")
    assert told.code == 0, told.err
    found = told.json
    assert found["variants"] == ["rewrite"]
    assert found["trials"][0]["name"] == "rewrite"
    assert found["notes"][0].startswith("no --data was given")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--data", "nothing.npz"], 2, "the file nothing.npz does not exist"),
        (["--data", "nothing"], 2, "is not a folder, .npz"),
        (["--passes", "fusion"], 2, "'fusion' is not a pass"),
        (["--max-loss", "0"], 2, "0"),
        (["--report", "page.pdf"], 2, "must end in .html"),
        (["--metric", "best"], 2, "'best' is not a metric"),
    ],
)
def test_mistakes(
    onnxpack: Callable[..., Any],
    quick: None,
    net: Path,
    tmp_path: Path,
    options: list[str],
    code: int,
    says: str,
) -> None:
    data = [] if "--data" in options else ["--data", net / "rows.npz", "--max-loss", "0.05"]
    taken = data[:2] if "--max-loss" in options else data
    told = onnxpack("optimize", net / "net", "-o", tmp_path / "fast", *taken, *options)
    assert (told.code, list(tmp_path.iterdir())) == (code, [])
    assert says in told.err


def test_too_few_rows(onnxpack: Callable[..., Any], quick: None, net: Path, tmp_path: Path) -> None:
    rows = dict(np.load(net / "rows.npz"))
    np.savez(tmp_path / "few.npz", **{name: array[:60] for name, array in rows.items()})
    told = onnxpack(
        "optimize", net / "net", "-o", tmp_path / "fast", "--data", tmp_path / "few.npz"
    )
    assert told.code == 1
    assert "299 rows" in told.err
