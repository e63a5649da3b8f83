"""Convert a function of JAX arrays to a graph with jax2onnx.

JAX traces with symbolic sizes and refuses to decide by one, so its graph holds for all sizes.
jax2onnx replaces layers of Flax and Equinox by operators of its own. If it misreads a layer, the
graph is made from the layer's single steps.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax2onnx

from onnxpack.errors import ExportError
from onnxpack.exporters.jax.folded import folded
from onnxpack.exporters.jax.plugins import layers_known, layers_unknown
from onnxpack.exporters.jax.watch import Decisions, watched
from onnxpack.exporters.names import name_ends, placeholders
from onnxpack.exporters.silence import hidden
from onnxpack.parity.cases import Axes
from onnxpack.parity.subject import Probes, Strategy
from onnxpack.signature import Array

CONVERTING = "lower_equation_with_plugin"
"""jax2onnx's function that converts one primitive."""


@dataclass(frozen=True)
class Job:
    """A function to convert, with its sample and options.

    Attributes:
        function: takes one array for each of the sample's and returns a tuple of arrays.
        sample: arrays of the inputs by name.
        outputs: the names of the outputs, in order.
    """

    function: Callable[..., tuple[Any, ...]]
    sample: Mapping[str, Array]
    axes: Axes
    opset: int
    outputs: tuple[str, ...]


def ladder(job: Job) -> Iterator[Strategy]:
    """Yield the strategies, best first; those in float64 only if JAX has x64 enabled."""
    for double in (False, True) if jax.config.jax_enable_x64 else (False,):
        suffix = " in double" if double else ""
        yield Strategy(f"jax2onnx{suffix}", partial(_by_layers, job, double))
        yield Strategy(f"jax2onnx by steps{suffix}", partial(_by_steps, job, double))


def _by_layers(job: Job, double: bool, to: Path) -> Probes:
    with layers_known():
        return _convert(job, double, to)


def _by_steps(job: Job, double: bool, to: Path) -> Probes:
    with layers_unknown():
        return _convert(replace(job, function=folded(job.function)), double, to)


def _convert(job: Job, double: bool, to: Path) -> Probes:
    """Write the graph; without ``double`` jax2onnx converts float64 to float32.

    Raises:
        ExportError: JAX cannot trace the function with symbolic sizes, or jax2onnx lacks a
            primitive.
    """
    _refuse_shared_names(job)
    specs = [
        jax.ShapeDtypeStruct(_shape(array, job.axes.get(name, {})), array.dtype)
        for name, array in job.sample.items()
    ]
    found = Decisions()
    try:
        # Set for the thread: jax2onnx would set it for the process, and not put it back.
        with hidden(), jax.enable_x64(double):
            jax2onnx.to_onnx(
                _giving_new(watched(job.function, found)),
                inputs=specs,
                opset=job.opset,
                enable_double_precision=double,
                return_mode="file",
                output_path=to,
                # jax2onnx 0.17 refuses a name that it has given to a value within the graph.
                input_names=placeholders("input", len(job.sample)),
                output_names=placeholders("output", len(job.outputs)),
            )
    except Exception as exc:
        raise ExportError(plain_words(exc)) from exc
    found.refuse()
    name_ends(to, list(job.sample), job.outputs)
    return ()


def _refuse_shared_names(job: Job) -> None:
    shared = sorted(set(job.sample) & set(job.outputs))
    if shared:
        raise ExportError(
            f"an input and an output are both called {shared[0]!r}, but value names in a graph "
            "must be unique"
        )


def _giving_new(function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Return the function with returned inputs copied, since a graph's value has only one name."""

    def call(*arrays: Any) -> tuple[Any, ...]:
        answer = function(*arrays)
        return tuple(
            jax.numpy.copy(each) if any(each is array for array in arrays) else each
            for each in answer
        )

    return call


def plain_words(exc: BaseException) -> str:
    """Return an error's first line, with the primitive that jax2onnx was converting, if any."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    primitive = _converted(exc)
    kind = type(exc).__name__ + (f" where jax2onnx converts {primitive!r}" if primitive else "")
    return f"{kind}: {lines[0][:300]}" if lines else kind


def _converted(exc: BaseException) -> str:
    """Return the primitive whose conversion raised the error; empty if JAX's tracing raised it."""
    found = ""
    for frame, _ in traceback.walk_tb(exc.__traceback__):
        if frame.f_code.co_name == CONVERTING:
            found = str(frame.f_locals.get("primitive_name", ""))
    return found


def _shape(array: Array, axes: Mapping[int, str]) -> tuple[int | str, ...]:
    return tuple(axes.get(axis, size) for axis, size in enumerate(array.shape))
