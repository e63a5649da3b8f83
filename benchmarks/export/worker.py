"""Runs cases of one family and prints a line of JSON for each: see ``prove_all.py``."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
from case import WITHOUT, Case, Given
from numpy.typing import NDArray

import onnxpack
from onnxpack.comparison.detections import pair
from onnxpack.errors import OnnxpackError

LIMIT = 1e-3
"""A float may be off by this fraction of itself or of what is typical of its array."""
EXPORTING, PROVING, OTHER = "export_seconds", "proof_seconds", "other_seconds"
_PHASES = {"asking": PROVING, "trying": EXPORTING, "proving": PROVING, "proven": OTHER}


class Clock:
    """How long the phases took that :func:`onnxpack.export` told of.

    Other time is what opening the model and writing the pack take.
    """

    def __init__(self) -> None:
        self._spent = {EXPORTING: 0.0, PROVING: 0.0, OTHER: 0.0}
        self._phase, self._since = OTHER, perf_counter()

    def __call__(self, line: str) -> None:
        now = perf_counter()
        self._spent[self._phase] += now - self._since
        self._phase, self._since = _PHASES.get(line.partition(" ")[0], self._phase), now

    def read(self) -> dict[str, float]:
        """The seconds of each phase until now."""
        self("")
        return dict(self._spent)


def main() -> None:
    """List the cases, or run those that are named."""
    family, *names = sys.argv[1:]
    if WITHOUT in names:
        names.remove(WITHOUT)
        without_torchscript()
    warnings.simplefilter("ignore")
    with redirect_stdout(sys.stderr):
        cases: Sequence[Case] = list(importlib.import_module(family).cases())
    if names == ["--list"]:
        print("\n".join(f"= {case.name}" for case in cases))
        return
    by_name = {case.name: case for case in cases}
    for name in names:
        with redirect_stdout(sys.stderr):
            row = run(by_name[name])
        print(json.dumps(row), flush=True)


def without_torchscript() -> None:
    """Hide PyTorch's TorchScript exporter, as it will be where PyTorch has dropped it."""
    import torchvision  # noqa: F401 - which imports it itself, as torch.onnx does

    sys.modules["torch.onnx._internal.torchscript_exporter"] = None  # type: ignore[assignment]


def run(case: Case) -> dict[str, Any]:
    """Export one model and hold its pack against the checks."""
    row: dict[str, Any] = {"name": case.name, "outcome": "failed", "reason": "", "strategy": ""}
    try:
        given = case.make()
    except Exception:  # noqa: BLE001 - a case that cannot be made is told as such
        return row | {"reason": f"not made: {traceback.format_exc(limit=-3)}"}
    clock = Clock()
    with TemporaryDirectory() as folder:
        try:
            pack = onnxpack.export(
                given.model, given.sample, Path(folder) / "pack", progress=clock, **given.options
            )
            row |= clock.read()
            row |= _check(pack, given)
        except OnnxpackError as exc:
            row |= {"outcome": "refused", "reason": f"{exc.message}\n→ {exc.remedy}"}
        except Exception:  # noqa: BLE001 - a bug is a finding
            row |= {"reason": traceback.format_exc(limit=-5)}
    return row


def _check(pack: Any, given: Given) -> dict[str, Any]:
    model = onnxpack.Model(pack)
    strategy = pack.manifest.source.strategy
    for number, (feeds, expected) in enumerate(given.checks):
        named = feeds if isinstance(feeds, Mapping) else {}
        args = () if named else feeds if isinstance(feeds, tuple) else (feeds,)
        try:
            found = model.run(model.signature.bind(args, named))
        except OnnxpackError as exc:
            return {"outcome": "wrong", "reason": f"check {number}: {exc}", "strategy": strategy}
        wanted = dict(zip(found, expected, strict=True))
        paired = pair(wanted, found, pack.unordered)
        for name, array in wanted.items():
            fault = difference(array, paired[name])
            if fault:
                reason = f"check {number}: {name} {fault}"
                return {"outcome": "wrong", "reason": reason, "strategy": strategy}
    return {"outcome": "proven", "strategy": strategy, "checks": len(given.checks)}


def difference(expected: NDArray[Any], found: NDArray[Any]) -> str:
    """How an answer differs from the framework's; empty where it does not."""
    expected = np.asarray(expected)
    if expected.shape != found.shape:
        return f"has shape {found.shape}, expected {expected.shape}"
    if expected.dtype.kind not in "fc":
        wrong = int(np.count_nonzero(expected != found))
        return f"{wrong} of {expected.size} differ" if wrong else ""
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    wanted, actual = expected.astype(wide), found.astype(wide)
    finite = np.isfinite(wanted)
    if not np.array_equal(
        np.where(finite, 0, wanted), np.where(np.isfinite(actual), 0, actual), equal_nan=True
    ):
        return "has NaN or infinity in other places"
    magnitude = np.abs(wanted[finite])
    typical = _typical(magnitude)
    gap = np.abs(actual[finite] - wanted[finite])
    wrong = int(np.count_nonzero(gap > LIMIT * np.maximum(magnitude, typical)))
    if not wrong:
        return ""
    return (
        f"{wrong} of {expected.size} differ, by up to {gap.max():.3g} where {typical:.3g} is usual"
    )


def _typical(magnitude: NDArray[Any]) -> float:
    """The median of what is not 0: a mask of −1e8 must not hide what stands beside it."""
    given = magnitude[magnitude > 0]
    return float(np.median(given)) if given.size else 0.0


if __name__ == "__main__":
    main()
