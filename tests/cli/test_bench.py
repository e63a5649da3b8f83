"""``onnxpack bench``, as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import onnxpack as package
from onnxpack.benchmark.outcome import Outcome, Point, Row
from onnxpack.cli.bench import verdicts
from onnxpack.cli.speed import times
from onnxpack.pack.manifest import Timing


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack, and beside it the file that it was made from."""
    folder = tmp_path_factory.mktemp("tree")
    x, y = load_iris(return_X_y=True)
    model = DecisionTreeClassifier(random_state=0).fit(x, y)
    joblib.dump(model, folder / "tree.joblib")
    package.export(model, x, folder / "tree")
    return folder


def test_the_table(onnxpack: Callable[..., Any], tree: Path) -> None:
    told = onnxpack(
        "bench", tree / "tree", "--against", tree / "tree.joblib", "--trust", "--batch", "1,5",
        "--seconds", "0.001", "--profile", "--record", "--chart", tree / "chart.svg",
    )  # fmt: skip
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].startswith("tree beside sklearn ")
    assert "batch=5" in lines
    assert [line.split()[0] for line in lines if "ms" in line or "µs" in line][:3] == [
        "predict_proba", "predict", "pack",
    ]  # fmt: skip
    assert any(line.startswith("framework ") for line in lines)
    assert "TreeEnsembleClassifier" in told.out or "TreeEnsemble" in told.out
    assert lines[-1].startswith("batch=5: the pack is ")
    assert (tree / "chart.svg").read_text().startswith("<?xml")
    manifest = package.open_pack(tree / "tree").manifest
    assert manifest is not None
    assert [each.dims for each in manifest.measurements] == [{"batch": 1}, {"batch": 5}]


def test_json(onnxpack: Callable[..., Any], tree: Path) -> None:
    told = onnxpack("bench", tree / "tree", "--seconds", "0.001", "--json")
    assert told.code == 0, told.err
    found = told.json
    assert found["points"][0]["rows"][0]["name"] == "pack"
    assert found["starts"][0]["memory"] > 0
    assert found["verdicts"] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--batch", "1,x"], "--batch 1,x is not a list of sizes"),
        (["--batch", "0"], "→ --batch 1,8,32"),
        (["--size", "batch=0"], "→ --size batch=1,8,32"),
        (["--batch", "2", "--size", "batch=3"], "the batch size is given twice: [2] and [3]."),
        (["--seconds", "nan"], "nan is not a finite number, expected at least 0."),
        (["--seconds", "inf"], "inf is not a finite number, expected at least 0."),
        (["--chart", "{tree}.svg"], ".svg cannot be written: it is a folder"),
        (["--size", "tokens"], "--size 'tokens' is not NAME=N,N."),
        (
            ["--size", "tokens=3"],
            "'tokens' is not a dynamic dim of this pack; its dynamic dims are: batch.",
        ),
        (["--chart", "chart.pdf"], "chart.pdf is not a chart file"),
        (["--against", "nothing.joblib"], "the file nothing.joblib does not exist."),
    ],
)
def test_mistakes(onnxpack: Callable[..., Any], tree: Path, options: list[str], says: str) -> None:
    (tree / "tree.svg").mkdir(exist_ok=True)
    told = onnxpack("bench", tree / "tree", *(each.format(tree=tree / "tree") for each in options))
    assert told.code == 2
    assert says in told.err


def test_fixed_sizes(onnxpack: Callable[..., Any], tmp_path: Path) -> None:
    x, y = load_iris(return_X_y=True)
    model = DecisionTreeClassifier(random_state=0).fit(x, y)
    package.export(model, x[:3], tmp_path / "fixed", static=True)
    told = onnxpack("bench", tmp_path / "fixed", "--seconds", "0.001")
    assert told.code == 0, told.err
    assert "its fixed sizes" in told.out


def row(name: str, seconds: float, ratio: float | None, spread: float = 0.01) -> Row:
    interval = None if ratio is None else (ratio - spread, ratio + spread)
    timing = Timing(
        name=name, seconds=seconds, quartiles=(seconds, seconds), ratio=ratio, interval=interval
    )
    return Row(name, timing)


@pytest.mark.parametrize(
    ("pack", "line"),
    [
        (row("pack", 1.0, 2.0), "the pack is 2.00 × as fast as eager"),
        (row("pack", 8.0, 0.25), "the pack is 4.00 × slower than eager"),
        (row("pack", 2.0, 1.0), "the pack is as fast as eager, within the noise."),
    ],
)
def test_what_is_said(pack: Row, line: str) -> None:
    point = Point({"batch": 1}, (row("eager", 2.0, None), pack))
    found = Outcome("p", None, None, "torch 2", 2, "cpu", "a processor", {}, (point,))
    assert line in verdicts(found)[0]


def test_a_faster_way_of_the_framework_is_named() -> None:
    point = Point(
        {"batch": 1},
        (row("eager", 4.0, None), row("torch.compile", 1.0, 4.0), row("pack", 2.0, 2.0)),
    )
    found = Outcome("p", None, None, "torch 2", 2, "cpu", "a processor", {}, (point,))
    (line,) = verdicts(found)
    assert line == (
        "batch=1: the pack is 2.00 × as fast as eager, and 2.00 × slower than torch.compile, the "
        "framework's fastest."
    )


def test_figures() -> None:
    assert [times(each) for each in (0.27, 1.554, 12.34, 136.7, 1234.0)] == [
        "0.27", "1.55", "12.3", "137", "1,234",
    ]  # fmt: skip
