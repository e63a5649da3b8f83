"""Run a graph with OpenVINO; the only module that imports it and handles its exceptions.

Only variants of a pack use OpenVINO, and only on the CPU.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from onnxpack.errors import PackError, ProviderError
from onnxpack.pack import paths
from onnxpack.runtime.private_copy import PrivateGraph
from onnxpack.signature import Array, Dim, Signature, TensorSpec, describe, dtype_name

_TELEMETRY = "openvino_telemetry"
_IMPORTING = threading.Lock()
_NOT_NODES = ("Parameter", "Result", "Constant")


class OpenVinoSession:
    """A compiled graph; may be called from several threads at once.

    Attributes:
        signature: signature of the compiled graph.
        nodes: number of nodes that it runs.

    Args:
        compiled: result of ``openvino.Core.compile_model``.
        expected: signature that the graph should have.
        foreign: exceptions that OpenVINO raises.
    """

    def __init__(
        self, compiled: Any, expected: Signature, foreign: tuple[type[Exception], ...]
    ) -> None:
        self.signature = _read_signature(compiled, expected)
        self.nodes = _count_nodes(compiled)
        self._compiled = compiled
        self._expected = expected
        self._foreign = foreign
        self._inputs = tuple(spec.name for spec in self.signature.inputs)
        self._places = {spec.name: at for at, spec in enumerate(self.signature.outputs)}
        # Requests that wait for the next call; each is used by one call at a time.
        self._idle: list[Any] = []

    def run(self, outputs: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        """Run the graph, and return the outputs of these names.

        Raises:
            PackError: the graph failed, or an output's shape contradicts the inputs.
        """
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        arrays = {at: feed[name] for at, name in enumerate(self._inputs)}
        try:
            # Outputs are copied, since the next call of this request overwrites them.
            answer = request.infer(arrays, share_inputs=True, share_outputs=False).to_tuple()
        except self._foreign as exc:
            raise PackError(f"the graph failed on OpenVINO: {plain(exc)}.") from exc
        self._idle.append(request)
        self._check_shapes(feed, answer)
        return [answer[self._places[name]] for name in outputs]

    def _check_shapes(self, feed: Mapping[str, Array], answer: Sequence[Array]) -> None:
        """Raise an error if the outputs' sizes contradict the inputs'.

        If sizes do not match inside a graph, as in a matrix product, OpenVINO (2026.4) raises
        nothing: it returns an empty array.
        """
        dims: dict[str, int] = {}
        for spec in self._expected.inputs:
            spec.fits(feed[spec.name].shape, dims)
        for spec, array in zip(self._expected.outputs, answer, strict=True):
            if not spec.fits(array.shape, dims):
                found = describe(dtype_name(array.dtype), array.shape)
                sizes = ", ".join(f"{dim} = {size}" for dim, size in dims.items())
                raise PackError(
                    f"the graph failed on OpenVINO: output {spec.name!r} is {found}, expected "
                    f"{spec}" + (f" where {sizes}." if sizes else ".")
                )


def open_openvino(
    graph: Path | PrivateGraph, signature: Signature, *, precision: str = "f32", threads: int
) -> OpenVinoSession:
    """Compile a graph for the CPU.

    Args:
        graph: path or private copy of the graph.
        signature: signature that the graph should have. OpenVINO gives a tensor several names if
            its passes merge values; the signature identifies the right one.
        precision: precision of the computation: ``f32`` or ``bf16``.
        threads: threads of one operator.

    Raises:
        PackError: the graph cannot be loaded, or OpenVINO lacks one of its operators.
        ProviderError: OpenVINO is not installed.
    """
    openvino = load_openvino()
    foreign = foreign_errors(openvino)
    settings = {
        "INFERENCE_PRECISION_HINT": precision or "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        # With pinning, several processes of one machine would share the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    try:
        # Core.read_model queries every front end, and some of them print.
        reader = openvino.frontend.FrontEndManager().load_by_framework("onnx")
        with _in_files(graph) as path:
            model = reader.convert(reader.load(path))
            compiled = openvino.Core().compile_model(model, "CPU", settings)
    except foreign as exc:
        raise PackError(f"{graph.name!r} cannot be loaded by OpenVINO: {plain(exc)}.") from exc
    return OpenVinoSession(compiled, signature, foreign)


@contextmanager
def _in_files(graph: Path | PrivateGraph) -> Iterator[str]:
    """Yield a path beside which OpenVINO (2026.4) finds weights: it takes none from memory."""
    if isinstance(graph, Path) or not graph.weights:
        yield os.fspath(graph)
        return
    with TemporaryDirectory(prefix="onnxpack-") as made:
        folder = Path(made)
        copyfile(graph, folder / graph.name)
        for location, content in graph.weights.items():
            place = folder.joinpath(*paths.split(location))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        yield os.fspath(folder / graph.name)


def load_openvino() -> ModuleType:
    """Import OpenVINO, without its telemetry.

    Raises:
        ProviderError: OpenVINO is not installed, or its library cannot be loaded.
    """
    try:
        with _IMPORTING, _WithoutTelemetry():
            return sys.modules.get("openvino") or import_module("openvino")
    except ImportError as exc:
        # Ctrl-C during the import of an extension module is raised as ImportError.
        if isinstance(exc.__context__ or exc.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from exc
        raise ProviderError(
            f"OpenVINO, which runs this variant, cannot be imported: {exc}.",
            remedy="pip install 'onnxpack[openvino]'",
        ) from exc


def foreign_errors(openvino: ModuleType) -> tuple[type[Exception], ...]:
    """Return the exceptions that OpenVINO raises, which have no common base of their own."""
    named = (value for value in vars(openvino.frontend).values() if isinstance(value, type))
    own = (kind for kind in named if issubclass(kind, Exception))
    return (*own, RuntimeError, TypeError, ValueError)


def plain(exc: Exception) -> str:
    """Return an OpenVINO message without its source locations."""
    lines = [line.strip() for line in str(exc).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from ", "Check '"))]
    return " ".join(told).rstrip(". ") or type(exc).__name__


class _WithoutTelemetry:
    """Hides the telemetry package while OpenVINO is imported.

    ``openvino.tools.ovc`` (2026.4) sends an event when it is imported, and has no setting against
    it. If the package cannot be imported, it uses its own stub.
    """

    def __enter__(self) -> None:
        self._hidden = {
            name: sys.modules.pop(name)
            for name in list(sys.modules)
            if name == _TELEMETRY or name.startswith(f"{_TELEMETRY}.")
        }
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        del sys.modules[_TELEMETRY]
        sys.modules.update(self._hidden)


def _read_signature(compiled: Any, expected: Signature) -> Signature:
    return Signature(
        inputs=_specs("input", compiled.inputs, expected.inputs),
        outputs=_specs("output", compiled.outputs, expected.outputs),
    )


def _specs(
    side: str, ports: Sequence[Any], expected: Sequence[TensorSpec]
) -> tuple[TensorSpec, ...]:
    wanted = [spec.name for spec in expected] + [""] * len(ports)
    return tuple(_spec(side, port, name) for port, name in zip(ports, wanted, strict=False))


def _spec(side: str, port: Any, wanted: str) -> TensorSpec:
    # Ports match by position; a wrong name is reported when the signatures are compared.
    name = wanted if wanted in port.names else min(port.names, default=f"unnamed {side}")
    kind = port.element_type.get_type_name()
    dtype = _DTYPES.get(kind)
    if dtype is None:
        raise PackError(f"{side} {name!r} is {kind}, which OpenVINO cannot pass to numpy.")
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        return TensorSpec(name, dtype, None)
    dims: tuple[Dim, ...] = tuple(
        f"{name}_dim_{axis}" if dim.is_dynamic else dim.get_length()
        for axis, dim in enumerate(shape)
    )
    return TensorSpec(name, dtype, dims)


_DTYPES = {
    "boolean": "bool", "f16": "float16", "f32": "float32", "f64": "float64",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
}  # fmt: skip
"""numpy's name of each element type; strings are missing, as OpenVINO has its own text tensors."""


def _count_nodes(compiled: Any) -> int:
    nodes = compiled.get_runtime_model().get_ops()
    return sum(node.get_type_name() not in _NOT_NODES for node in nodes)
