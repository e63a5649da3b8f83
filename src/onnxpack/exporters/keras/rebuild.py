"""Export a Keras model in a process that loads it on another backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from onnxpack.errors import ExportError, OnnxpackError
from onnxpack.exporters.keras.own_code import refuse_own_classes, refuse_own_functions
from onnxpack.parity.cases import Axes
from onnxpack.parity.subject import Probes, Strategy
from onnxpack.signature import Array

LADDER = (
    ("torch", "onnxscript", "dynamo"),
    ("jax", "jax2onnx", "jax2onnx"),
    ("jax", "jax2onnx", "jax2onnx by steps"),
)
"""Backends, each with the module that its strategy needs and the strategy's name."""
MODEL, SAMPLE, REQUEST, ANSWER = "model.keras", "sample.npz", "request.json", "answer.json"


@dataclass(frozen=True)
class Request:
    """The work for the other process.

    Attributes:
        backend: the Keras backend of that process.
        strategy: the name of the strategy in that process.
    """

    backend: str
    strategy: str
    axes: Axes
    opset: int
    outputs: tuple[str, ...]


def rebuilt(
    model: Any, sample: Mapping[str, Array], axes: Axes, opset: int, outputs: Sequence[str]
) -> Iterator[Strategy]:
    """Yield the strategies of the installed backends other than the model's own."""
    import keras

    own = keras.config.backend()
    for backend, module, name in LADDER:
        if backend != own and find_spec(module) is not None:
            request = Request(backend, name, axes, opset, tuple(outputs))
            yield Strategy(
                f"{name} on the {backend} backend", partial(rebuild, model, sample, request)
            )


def rebuild(model: Any, sample: Mapping[str, Array], request: Request, to: Path) -> Probes:
    """Save the model, and make its graph in a process with another backend.

    Raises:
        ExportError: the model cannot be saved, or loaded or exported there, or it holds code that
            is not Keras's own.
    """
    refuse_own_functions(model)
    with TemporaryDirectory() as work:
        folder = Path(work)
        try:
            model.save(folder / MODEL)
        except Exception as exc:
            raise ExportError(f"the model cannot be saved: {exc}") from exc
        refuse_own_classes(folder / MODEL)
        arrays: dict[str, Any] = {str(place): each for place, each in enumerate(sample.values())}
        np.savez(folder / SAMPLE, **arrays)
        (folder / REQUEST).write_text(json.dumps({**asdict(request), "names": list(sample)}))
        done = subprocess.run(
            [sys.executable, "-m", __name__, folder, to],
            env={
                **os.environ,
                "KERAS_BACKEND": request.backend,
                "JAX_PLATFORMS": "cpu",
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if not (folder / ANSWER).is_file():
            raise ExportError(f"the other process failed: {_last_line(done.stderr)}")
        answer = json.loads((folder / ANSWER).read_text())
    if "error" in answer:
        raise ExportError(answer["error"])
    return list(answer["probes"])


def serve(folder: Path, to: Path) -> None:
    """Load the model, export it by the one strategy, and write the answer.

    Runs in the other process.
    """
    request = json.loads((folder / REQUEST).read_text())
    try:
        answer: dict[str, Any] = {"probes": _export(folder, request, to)}
    except OnnxpackError as exc:
        answer = {"error": exc.message}
    (folder / ANSWER).write_text(json.dumps(answer))


def _export(folder: Path, request: Mapping[str, Any], to: Path) -> list[dict[str, int]]:
    import keras

    from onnxpack.exporters.keras.exporter import KerasExporter
    from onnxpack.exporters.keras.retype import retype_inputs

    model = keras.saving.load_model(folder / MODEL, compile=False)
    with np.load(folder / SAMPLE) as saved:
        arrays = [saved[str(place)] for place in range(len(request["names"]))]
    axes = {
        name: {int(axis): dim for axis, dim in named.items()}
        for name, named in request["axes"].items()
    }
    sample = dict(zip(request["names"], arrays, strict=True))
    with KerasExporter().open(model, sample) as subject:
        for strategy in subject.strategies(axes, request["opset"], request["outputs"]):
            if strategy.name == request["strategy"]:
                probes = strategy.make(to)
                retype_inputs(to, sample)
                return [dict(dims) for dims in probes]
    raise ExportError(f"there is no strategy {request['strategy']!r}")


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
