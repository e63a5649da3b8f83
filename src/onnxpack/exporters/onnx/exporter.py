"""The exporter for existing ONNX graphs, proven against onnx's reference evaluator."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from onnxpack.comparison.detections import compare_all
from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import PackError, ParityError, SampleError
from onnxpack.exporters.onnx.causes import open_model, read_graph, refuse_draws
from onnxpack.exporters.onnx.evaluator import Evaluator
from onnxpack.exporters.onnx.inputs import make_constant, notes_of_constants
from onnxpack.exporters.onnx.nonfinite import FAR, notes_of_nonfinite
from onnxpack.exporters.target.loaded import LoadedTarget
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.pack.tensor import read_tensor
from onnxpack.parity.beside import save_beside
from onnxpack.parity.cases import Axes
from onnxpack.parity.subject import Probes, Strategy, Subject
from onnxpack.signature import Array, Signature, TensorSpec

FREE_SIZE = 2
"""The size at which a dynamic dim is first tried if the user gave no sample."""


def load(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    """Return the path of an ``.onnx`` file or a model-zoo folder; it is read at export."""
    return LoadedTarget(path, path.stem)


class OnnxExporter:
    """Exports the graph at the path of an ``.onnx`` file or of a model-zoo folder."""

    refines = ""

    def accepts(self, model: object) -> bool:
        """Return whether the model is a path."""
        return isinstance(model, str | Path)

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[OnnxSubject]:
        """Open the graph; the default sample is its golden data, or else random."""
        yield OnnxSubject(open_pack(model), sample)


class OnnxSubject(Subject):
    """A graph under adoption; its reference is onnx's own evaluator, in NumPy."""

    framework = "onnx"
    framework_version = version("onnx")

    def __init__(self, pack: Pack, sample: Any) -> None:
        self.model_class = pack.model_path.name
        self._pack = pack
        self._graph = read_graph(pack.model_path)
        self._constants = make_constant(self._graph)
        self._model = open_model(pack, self._graph)
        signature = self._model.signature
        self.axes = {
            spec.name: {a: d for a, d in enumerate(spec.shape or ()) if isinstance(d, str)}
            for spec in signature.inputs
        }
        self._names = [spec.name for spec in signature.outputs]
        self.loops = any(node.op_type in FAR for node in self._graph.graph.all_nodes())
        refuse_draws(pack.model_path, self._graph)
        self._evaluate = Evaluator(
            pack.model_path, self._names, self._model, opset=self._graph.opset_imports.get("", 1)
        )
        self.sample = self._choose_sample(signature, sample)

    @cached_property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        """Notes about optional inputs, and about NaN and infinities."""
        graph = self._graph.graph
        nonfinite = notes_of_nonfinite(graph, self.sample, self._evaluate, self._model)
        return (*notes_of_constants(self._constants), *nonfinite)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the reference evaluator's answer."""
        return self._evaluate(feeds)

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """Yield the only strategy: the unchanged graph."""
        yield Strategy("adopted", self._copy)

    def fix_of_size(self, dim: str, size: int) -> str:
        """Return a command that writes a file in which the dim has this size."""
        given = shlex.quote(self.model_class)
        return (
            "python -m onnxruntime.tools.make_dynamic_shape_fixed "
            f"--dim_param {shlex.quote(dim)} --dim_value {size} {given} fixed.onnx"
        )

    def _copy(self, to: Path) -> Probes:
        """Write the graph, with all its weights in one file next to it."""
        save_beside(self._graph, to)
        return ()

    def _choose_sample(self, signature: Signature, sample: Any) -> dict[str, Array]:
        if sample is not None:
            named = sample if isinstance(sample, Mapping) else {}
            args = () if named else sample if isinstance(sample, tuple) else (sample,)
            return signature.bind(args, named)
        if self._pack.golden:
            return self._golden_sample(signature)
        return {spec.name: _random(spec) for spec in signature.inputs}

    def _golden_sample(self, signature: Signature) -> dict[str, Array]:
        """Return the inputs of the first golden set, after a check of its outputs."""
        first = self._pack.golden[0]
        if len(first.outputs) != len(self._names):
            raise PackError(
                f"{first.name} has {len(first.outputs)} outputs, but the graph gives "
                f"{len(self._names)}."
            )
        feeds = signature.bind([read_tensor(path)[1] for path in first.inputs], {})
        expected = dict(
            zip(self._names, (read_tensor(path)[1] for path in first.outputs), strict=True)
        )
        wrong = [e for e in compare_all(expected, self.run(feeds), Tolerance()) if not e.passed]
        if wrong:
            raise ParityError(
                f"the graph does not reproduce its own golden data {first.name}: output "
                f"{wrong[0].output!r} {wrong[0].reason}."
            )
        return feeds


def _random(spec: TensorSpec) -> Array:
    if spec.shape is None or spec.dtype == "str":
        raise SampleError(
            f"no input can be generated for {spec.name!r}, {spec}.",
            remedy=f"--sample {spec.name}=file.npy",
        )
    shape = [FREE_SIZE if isinstance(dim, str) else dim for dim in spec.shape]
    values = np.random.default_rng(0).standard_normal(shape)
    return values.astype(spec.numpy_dtype)
