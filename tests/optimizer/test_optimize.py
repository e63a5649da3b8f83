"""A pack goes in, and comes out with graphs that are faster and right, or as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

import onnxpack
from onnxpack.errors import OptimizeError, PackError, UsageError
from onnxpack.optimizer import optimize as module
from onnxpack.optimizer import space
from onnxpack.optimizer.data import bind_rows
from onnxpack.optimizer.optimize import optimize
from onnxpack.optimizer.report import check_report, write_report
from onnxpack.optimizer.space import Pass
from onnxpack.optimizer.trial import Verdict
from onnxpack.pack.manifest import Step
from onnxpack.pack.model import Pack
from onnxpack.pack.validate import validate
from onnxpack.signature import Array

Rows = Mapping[str, Array]


def content_of(path: Path) -> dict[str, bytes]:
    files = (each for each in path.rglob("*") if each.is_file())
    return {str(each.relative_to(path)): each.read_bytes() for each in files}


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the space smaller: these chains, on ONNX Runtime alone."""

    def choose(*chains: tuple[str, ...]) -> None:
        monkeypatch.setattr(space, "ON_ONNXRUNTIME", chains)
        monkeypatch.setattr(space, "has_openvino", lambda: False)

    return choose


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Put a pass of the test's own among the others."""

    def put(name: str, apply: Any, **known: bool) -> None:
        monkeypatch.setattr(space, "PASSES", {**space.PASSES, name: Pass(apply, **known)})
        monkeypatch.setattr("onnxpack.optimizer.search.PASSES", space.PASSES)

    return put


def scaled(factor: float) -> Callable[[Path, Path], Step]:
    """A pass that multiplies the last weights."""

    def apply(source: Path, to: Path) -> Step:
        model = onnx.load(source)
        weight = max(model.graph.initializer, key=lambda each: each.name)
        weight.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(weight) * factor, weight.name)
        )
        onnx.save(model, to)
        return Step("scaled", {"by": factor})

    return apply


def test_int8_is_taken_with_its_evidence(
    always_faster: None, only: Any, digits: Pack, rows: Rows, tmp_path: Path
) -> None:
    only(("int8-dynamic",))
    before = content_of(digits.path)
    found = optimize(digits, tmp_path / "fast", data=rows, max_loss=0.02)
    assert found.variants == ("int8-dynamic",)
    assert content_of(digits.path) == before
    written = found.pack
    assert validate(written).ok
    assert (written.path / "model.onnx").read_bytes() == before["model.onnx"]
    entry = written.variants["int8-dynamic"].entry
    assert entry.kept.measure == "agreement"
    assert entry.kept.lower >= 0.98
    assert entry.kept.samples >= 299
    assert [step.name for step in entry.steps] == ["int8-dynamic"]
    assert entry.evidence
    assert 0 < entry.evidence[0].distance < 0.1
    assert entry.recipe.runtime == "onnxruntime"
    model = onnxpack.Model(written)
    assert model.variant == "int8-dynamic"
    assert model.prove().ok
    assert not list(tmp_path.glob(".*"))


def test_without_rows_only_exact_graphs_are_tried(
    always_faster: None, only: Any, digits: Pack, tmp_path: Path
) -> None:
    only(("rewrite",), ("int8-dynamic",))
    found = optimize(digits, tmp_path / "fast")
    assert [trial.name for trial in found.trials] == ["rewrite"]
    assert found.variants == ("rewrite",)
    assert found.pack.variants["rewrite"].entry.kept.measure == "parity"
    assert "no --data was given" in found.notes[0]
    assert onnxpack.Model(found.pack).variant == "rewrite"


@pytest.mark.parametrize("factor", [-1.0, 0.0, float("nan")])
def test_a_wrong_graph_is_never_taken(
    always_faster: None,
    only: Any,
    plant: Any,
    digits: Pack,
    rows: Rows,
    tmp_path: Path,
    factor: float,
) -> None:
    plant("wrong", scaled(factor))
    only(("wrong",))
    found = optimize(digits, tmp_path / "fast", data=rows)
    (trial,) = found.trials
    assert trial.verdict in (Verdict.LOSES, Verdict.FAILED)
    assert found.variants == ()
    assert onnxpack.Model(found.pack).variant is None
    assert validate(found.pack).ok


def rewired(*nodes: onnx.NodeProto) -> Callable[[Path, Path], Step]:
    """A pass that puts nodes from ``inner`` to the graph's output behind it."""

    def apply(source: Path, to: Path) -> Step:
        model = onnx.load(source)
        output = model.graph.output[0].name
        for node in model.graph.node:
            node.output[:] = ["inner" if name == output else name for name in node.output]
        zeros = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
        first = numpy_helper.from_array(np.zeros(1, np.int64), "first")
        model.graph.initializer.extend([zeros, first])
        for node in nodes:
            made = model.graph.node.add()
            made.CopyFrom(node)
            made.output[:] = [output if name == "last" else name for name in node.output]
        onnx.save(model, to)
        return Step("rewired", {})

    return apply


def test_a_row_is_judged_among_others_too(
    always_faster: None, only: Any, plant: Any, digits: Pack, rows: Rows, tmp_path: Path
) -> None:
    plant(
        "first row for all",
        rewired(
            helper.make_node("Gather", ["inner", "first"], ["row"], axis=0),
            helper.make_node("Mul", ["inner", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "row"], ["last"]),
        ),
    )
    only(("first row for all",))
    found = optimize(digits, tmp_path / "fast", data=rows)
    (trial,) = found.trials
    assert trial.verdict is Verdict.LOSES
    assert trial.screened == 1.0
    assert found.variants == ()


def test_a_graph_that_gives_other_sizes(
    always_faster: None, only: Any, plant: Any, digits: Pack, rows: Rows, tmp_path: Path
) -> None:
    plant(
        "one row more",
        rewired(
            helper.make_node("Gather", ["inner", "first"], ["row"], axis=0),
            helper.make_node("Concat", ["inner", "row"], ["last"], axis=0),
        ),
    )
    only(("one row more",))
    found = optimize(digits, tmp_path / "fast", data=rows)
    (trial,) = found.trials
    assert trial.verdict is Verdict.FAILED
    assert trial.why == "test_data_set_0: output 'output' is [3, 10], expected [2, 10]"


def test_a_graph_that_claims_to_be_exact_is_proven(
    always_faster: None, only: Any, plant: Any, digits: Pack, tmp_path: Path
) -> None:
    plant("claims", scaled(1.01), exact=True)
    only(("claims",))
    found = optimize(digits, tmp_path / "fast")
    assert found.trials[0].verdict is Verdict.LOSES
    assert found.trials[0].why.startswith("test_data_set_0/")


def test_what_is_not_faster_is_not_taken(
    quick: None, only: Any, digits: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxpack.benchmark.ratio import Ratio

    only(("rewrite",))
    monkeypatch.setattr(
        "onnxpack.benchmark.ratio.faster", lambda call, reference: Ratio(1.02, 0.98, 1.05)
    )
    found = optimize(digits, tmp_path / "fast")
    assert found.variants == ()
    assert found.trials[0].verdict is Verdict.SLOWER


def test_layers_stay_in_float32_where_int8_loses(
    always_faster: None, only: Any, digits: Pack, rows: Rows, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from onnxpack.graph.passes.int8_dynamic import quantize_dynamic

    def fragile(source: Path, to: Path, *, exclude: Any = ()) -> Step:
        """Wrong unless something is left alone."""
        if exclude:
            return quantize_dynamic(source, to, exclude=exclude, narrow=True)
        return scaled(-1.0)(source, to)

    monkeypatch.setattr(space, "PASSES", {**space.PASSES, "int8-fragile": Pass(fragile)})
    monkeypatch.setattr("onnxpack.optimizer.search.PASSES", space.PASSES)
    only(("int8-fragile",))
    found = optimize(digits, tmp_path / "fast", data=rows, max_loss=0.02)
    assert found.variants == ("int8-fragile-but-1",)
    (step,) = found.pack.variants["int8-fragile-but-1"].entry.steps
    assert len(step.options["exclude"]) == 1


def test_too_few_rows_are_refused_with_how_many_are_needed(
    digits: Pack, rows: Rows, tmp_path: Path
) -> None:
    few = {name: array[:50] for name, array in rows.items()}
    with pytest.raises(OptimizeError, match="299"):
        optimize(digits, tmp_path / "fast", data=few)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda array: array.astype(np.float64), "float64"),
        (lambda array: array[:, :3], "float32"),
        (lambda array: array[:0], "no row"),
        (lambda array: np.ones_like(array), "the same values"),
    ],
)
def test_data_that_does_not_fit(
    digits: Pack, rows: Rows, tmp_path: Path, change: Any, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        optimize(digits, tmp_path / "fast", data={n: change(a) for n, a in rows.items()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError('no')", "failed: ValueError: no"),
        ("return float('nan')", "returned nan"),
        ("return 0.5", "returns 0.5 for two equal answers, expected 1"),
    ],
)
def test_a_metric_that_fails(
    digits: Pack, rows: Rows, tmp_path: Path, body: str, says: str
) -> None:
    (tmp_path / "metrics.py").write_text(f"def score(reference, candidate):\n    {body}\n")
    with pytest.raises(OptimizeError, match=says):
        optimize(digits, tmp_path / "fast", data=rows, metric=f"{tmp_path / 'metrics.py'}:score")


def test_a_pack_without_evidence(digits: Pack, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no golden data"):
        optimize(digits.model_path, tmp_path / "fast")


def test_a_spent_budget_still_ends_with_a_pack(
    quick: None, only: Any, digits: Pack, tmp_path: Path
) -> None:
    only(("rewrite",), ("slim",))
    found = optimize(digits, tmp_path / "fast", budget=1e-9)
    assert found.variants == ()
    assert any(
        note.startswith("2 of 2 plans were not started or not evaluated") for note in found.notes
    )
    assert validate(found.pack).ok
    told: list[str] = []
    again = optimize(digits, tmp_path / "fast", force=True, progress=told.append)
    assert [trial.verdict for trial in again.trials].count(Verdict.OPEN) < 2
    assert [each.name for each in tmp_path.iterdir()] == ["fast"]


def test_ctrl_c_takes_what_was_found(
    always_faster: None, only: Any, plant: Any, digits: Pack, tmp_path: Path
) -> None:
    def stop(source: Path, to: Path) -> Step:
        raise KeyboardInterrupt

    plant("stop", stop, exact=True)
    only(("rewrite",), ("stop",))
    found = optimize(digits, tmp_path / "fast")
    assert {trial.name: trial.verdict for trial in found.trials} == {
        "rewrite": Verdict.KEPT,
        "stop": Verdict.OPEN,
    }
    assert found.variants == ("rewrite",)
    assert validate(found.pack).ok


class Killed(BaseException):
    """As SIGKILL: nothing catches it."""


def test_a_killed_search_goes_on(
    always_faster: None, only: Any, plant: Any, digits: Pack, tmp_path: Path
) -> None:
    made: list[str] = []

    def first(source: Path, to: Path) -> Step:
        made.append("first")
        return scaled(1.0)(source, to)

    def second(source: Path, to: Path) -> Step:
        made.append("second")
        if len(made) == 2:
            raise Killed
        return scaled(1.0)(source, to)

    plant("first", first, exact=True)
    plant("second", second, exact=True)
    only(("first",), ("second",))
    with pytest.raises(Killed):
        optimize(digits, tmp_path / "fast")
    assert not (tmp_path / "fast").exists()
    told: list[str] = []
    found = optimize(digits, tmp_path / "fast", progress=told.append)
    assert made == ["first", "second", "second"]
    assert told[0] == "continuing a search that was stopped: 1 plans are done"
    assert found.variants
    assert [each.name for each in tmp_path.iterdir()] == ["fast"]


def test_a_full_disk_leaves_nothing_half_made(
    always_faster: None, only: Any, digits: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise PackError(f"{tmp_path / 'fast'} cannot be written: No space left on device.")

    only(("rewrite",))
    monkeypatch.setattr(module, "amend_pack", full)
    before = content_of(digits.path)
    with pytest.raises(PackError, match="No space left"):
        optimize(digits, tmp_path / "fast")
    assert not (tmp_path / "fast").exists()
    assert content_of(digits.path) == before


def test_a_place_that_is_taken_is_refused_before_the_search(digits: Pack, tmp_path: Path) -> None:
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast" / "precious.txt").write_text("mine")
    with pytest.raises(PackError, match="exists already"):
        optimize(digits, tmp_path / "fast")


def test_the_same_search_writes_the_same_graphs(
    always_faster: None, only: Any, digits: Pack, rows: Rows, tmp_path: Path
) -> None:
    only(("int8-dynamic",), ("int8-minmax",))
    made = [
        optimize(digits, tmp_path / name, data=rows, max_loss=0.02).pack.path
        for name in ("one", "two")
    ]
    one, two = (content_of(path / "variants") for path in made)
    assert one == two


def test_the_page(always_faster: None, only: Any, digits: Pack, rows: Rows, tmp_path: Path) -> None:
    only(("int8-dynamic",), ("fuse",))
    found = optimize(digits, tmp_path / "fast", data=rows, max_loss=0.02)
    write_report(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page
    assert "int8-dynamic" in page
    assert "nothing to fuse" in page
    assert "http-equiv" not in page
    assert "<script" not in page
    with pytest.raises(UsageError, match=r"must end in \.html"):
        check_report(tmp_path / "page.pdf")


def test_ranges_are_measured_once(digits: Pack, rows: Rows, tmp_path: Path) -> None:
    pass_ = space.PASSES["int8-minmax"]
    assert digits.manifest is not None
    given = bind_rows(
        {name: array[:20] for name, array in rows.items()}, digits.manifest.signature, "rows"
    )
    ranges = tmp_path / "ranges.json"
    larger = bind_rows({name: array[:20] * 9 for name, array in rows.items()}, given.signature, "x")
    calls = [
        pass_(digits.model_path, tmp_path / name, fed, ranges=ranges)
        for name, fed in (("one.onnx", given), ("two.onnx", larger))
    ]
    assert ranges.exists()
    assert calls[0] == calls[1]
    assert calls[0].options["rows"] == 20
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_other_ranges_of_a_slow_graph_are_not_measured(
    quick: None, only: Any, digits: Pack, rows: Rows, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from onnxpack.benchmark.ratio import Ratio

    monkeypatch.setattr(
        "onnxpack.benchmark.ratio.faster", lambda call, reference: Ratio(0.5, 0.4, 0.6)
    )
    only(("int8-minmax",), ("int8-entropy",))
    found = optimize(digits, tmp_path / "fast", data=rows)
    assert [trial.verdict for trial in found.trials] == [Verdict.SLOWER, Verdict.SLOWER]
    assert found.trials[1].why == "the graph of int8-minmax with other ranges, so it is as slow"
    assert found.trials[1].speed is None


def test_a_place_within_the_pack_is_refused(digits: Pack, tmp_path: Path) -> None:
    before = content_of(digits.path)
    with pytest.raises(UsageError, match="is inside the pack"):
        optimize(digits, digits.path / "fast")
    assert content_of(digits.path) == before


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_batch(
    always_faster: None, only: Any, digits: Pack, rows: Rows, tmp_path: Path, batch: int
) -> None:
    """Rows are asked as many at a time as the model takes, and so is the evidence."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10)).eval()
    x = next(iter(rows.values()))
    labels = [str(each) for each in range(10)]
    sample = torch.from_numpy(x[:batch])
    fixed = onnxpack.export(model, sample, tmp_path / "fixed", static=True, labels=labels)
    only(("int8-dynamic",))
    assert fixed.manifest is not None
    (spec,) = fixed.manifest.signature.inputs
    found = optimize(fixed, tmp_path / "fast", data={spec.name: x}, max_loss=0.1)
    assert found.variants == ("int8-dynamic",), found.trials
    assert onnxpack.Model(found.pack).variant == "int8-dynamic"
    assert found.pack.manifest is not None
    assert found.pack.manifest.derived_from == fixed.digest
