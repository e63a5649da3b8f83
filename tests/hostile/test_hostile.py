"""Models that mislead exporters: each is refused, or its pack is right on inputs never asked.

``python -m pytest tests/hostile -k masks`` runs those of one kind.
"""

from __future__ import annotations

import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from tests.hostile.given import Given, Hostile, difference, leaves

import onnxpack
from onnxpack.errors import OnnxpackError

FILES = sorted(
    path.stem for path in Path(__file__).with_name("models").glob("*.py") if path.stem != "__init__"
)
MODELS: list[Hostile] = [
    model
    for file in FILES
    for model in import_module(f"tests.hostile.models.{file}").collection.models
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("hostile", MODELS, ids=str)
def test_is_refused_or_right(hostile: Hostile, tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):  # what frameworks say of such models
        given = hostile.make()
        refusal = _refused(given, tmp_path / "pack")
        if refusal is None:
            _hold(given, tmp_path / "pack")
    if hostile.proven and refusal is not None:
        pytest.fail(f"was to be proven, and is refused: {refusal}")


def test_there_are_enough_of_each_kind() -> None:
    counts = Counter(model.kind for model in MODELS)
    assert len(MODELS) >= 150
    assert {kind: count for kind, count in counts.items() if count < 4} == {}
    assert len({str(model) for model in MODELS}) == len(MODELS)


def _refused(given: Given, folder: Path) -> OnnxpackError | None:
    try:
        onnxpack.export(given.model, given.sample, folder, **given.options)
    except OnnxpackError as exc:
        return exc
    return None


def _hold(given: Given, folder: Path) -> None:
    """Ask the pack and the model the same, which the proof has not asked."""
    model = onnxpack.Model(folder, provider="cpu")
    for number, probe in enumerate(given.probes):
        wanted = list(leaves(given.answer(probe)))
        feeds = {name: next(leaves(value)) for name, value in probe.items()}
        found = [np.asarray(array) for array in model.run(feeds).values()]
        assert len(wanted) == len(found)
        for place, (want, got) in enumerate(zip(wanted, found, strict=True)):
            wrong = difference(want, got, given.tolerance)
            assert not wrong, f"probe {number}, output {place}: {wrong}"
