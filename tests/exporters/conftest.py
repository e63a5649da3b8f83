"""A pack is held against the model by hand: other inputs, other sizes, bare onnxruntime."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import onnxpack
from onnxpack.comparison.detections import pair
from onnxpack.errors import OnnxpackError
from onnxpack.pack.model import Pack

FRESH_SIZES = (1, 4, 7, 17, 33)
FACTORS = (1.0, -1.0, 20.0)


@dataclass(frozen=True)
class Check:
    """Export a model; then hold the pack against it on inputs that the export has not seen.

    ``make`` makes the model, ``inputs`` its input at a batch size.
    """

    folder: Path

    def proven(
        self,
        make: Any,
        inputs: Any,
        *,
        named: bool = False,
        size: int = 2,
        fresh: Iterable[int] = FRESH_SIZES,
        factors: Iterable[float] = FACTORS,
        **options: Any,
    ) -> Pack:
        torch.manual_seed(0)
        model = make()
        pack = onnxpack.export(model, inputs(size), self.folder / "pack", **options)
        self.compare(pack, model, [inputs(n) for n in fresh], named=named, factors=factors)
        return pack

    def refused(
        self,
        make: Any,
        inputs: Any,
        error: type[OnnxpackError],
        word: str,
        *,
        size: int = 2,
        **options: Any,
    ) -> OnnxpackError:
        torch.manual_seed(0)
        with pytest.raises(error) as caught:
            onnxpack.export(make(), inputs(size), self.folder / "pack", **options)
        assert type(caught.value) is error
        assert word in str(caught.value)
        assert list(self.folder.iterdir()) == []
        return caught.value

    def compare(
        self,
        pack: Pack,
        model: Any,
        samples: Iterable[Any],
        *,
        named: bool = False,
        factors: Iterable[float] = FACTORS,
    ) -> None:
        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(pack.model_path, providers=providers)
        names = [port.name for port in session.get_outputs()]
        for given in (scaled(sample, factor) for sample in samples for factor in factors):
            expected = answer(model, given, named=named)
            ports = zip(session.get_inputs(), leaves(given), strict=True)
            found = session.run(None, {port.name: tensor.numpy() for port, tensor in ports})
            wanted = dict(zip(names, (leaf.numpy() for leaf in leaves(expected)), strict=True))
            sets = pack.manifest.parity.unordered if pack.manifest else ()
            paired = pair(wanted, dict(zip(names, found, strict=True)), sets)
            for name, array in wanted.items():
                assert_equal(array, paired[name])


def answer(model: Any, sample: Any, *, named: bool) -> Any:
    """The model's answer in eval mode, by plain Python calling."""
    if isinstance(model, torch.export.ExportedProgram):
        with torch.no_grad():
            return model.module()(copy.deepcopy(sample))
    modes = {part: part.training for part in model.modules() if hasattr(part, "training")}
    if any(modes.values()):
        model.eval()
    try:
        with torch.no_grad():
            given = copy.deepcopy(sample)
            if named:
                return model(**given)
            return model(*given) if type(given) is tuple else model(given)
    finally:
        for part, training in modes.items():
            part.training = training


def leaves(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from (leaf for child in value.values() for leaf in leaves(child))
    elif dataclasses.is_dataclass(value):
        yield from leaves([getattr(value, each.name) for each in dataclasses.fields(value)])
    elif isinstance(value, list | tuple):
        yield from (leaf for child in value for leaf in leaves(child))


def scaled(value: Any, factor: float) -> Any:
    """The same structure with every float tensor multiplied."""
    if isinstance(value, torch.Tensor):
        return value * factor if value.is_floating_point() else value.clone()
    if isinstance(value, Mapping):
        return type(value)({key: scaled(child, factor) for key, child in value.items()})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value)]
        return dataclasses.replace(value, **{n: scaled(getattr(value, n), factor) for n in names})
    if isinstance(value, list | tuple):
        made = [scaled(child, factor) for child in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    return value


def assert_equal(wanted: Any, actual: Any) -> None:
    assert actual.dtype == wanted.dtype
    assert actual.shape == wanted.shape
    if wanted.dtype.kind in "fc":
        size = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
        fraction = max(1e-4, 2 * float(np.finfo(wanted.dtype).eps))
        np.testing.assert_allclose(actual, wanted, rtol=2e-3, atol=fraction * size)
    else:
        np.testing.assert_array_equal(actual, wanted)


@pytest.fixture
def check(tmp_path: Path) -> Check:
    folder = tmp_path / "packs"
    folder.mkdir()
    return Check(folder)
