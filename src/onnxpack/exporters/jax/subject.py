"""The subject of a JAX function: it runs the function and makes its graph."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

from onnxpack.errors import UsageError
from onnxpack.exporters.jax.causes import diagnose
from onnxpack.exporters.jax.convert import Job, ladder
from onnxpack.exporters.jax.inference import Ready
from onnxpack.exporters.jax.structure import Arguments, name_outputs, to_array
from onnxpack.exporters.nonfinite import with_nan_kept
from onnxpack.parity.cases import Axes
from onnxpack.parity.doubts import UNASKED
from onnxpack.parity.nonfinite import nonfinite_values
from onnxpack.parity.subject import Attempt, Baseline, Cause, Strategy, Subject
from onnxpack.parity.ties import hard_values
from onnxpack.runtime.threads import read_budget
from onnxpack.signature import Array

COMPILING = 2**15
"""Cost of a new size: JAX compiles every operation for each shape, longer than a small model
runs."""


class JaxSubject(Subject):
    """A function, or a module that is called like one, with its sample.

    Args:
        model: the function to run and the function to trace.
        sample: the user's sample, see :class:`structure.Arguments`.
        shown: the model whose class the manifest names.
    """

    framework = "jax"
    framework_version = jax.__version__
    per_size = COMPILING

    def __init__(self, model: Ready, sample: Any, *, shown: Any) -> None:
        self._ready = model
        self._arguments = Arguments.of(model.ask, sample)
        self.sample = dict(self._arguments.sample)
        self.model_class = _class_name(shown)
        self.primitives = self._primitives()
        self.loops = "while" in self.primitives  # also one that a fori_loop became
        self.notes = tuple(
            f"argument {name!r} is fixed at {value!r}"
            for name, value in self._arguments.constants.items()
        ) + ((UNASKED,) if self.loops else ())

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the function's answer."""
        arrays = [jnp.asarray(array) for array in feeds.values()]
        answer = self._answer(self._ready.ask, arrays)
        return {name: to_array(value) for name, value in answer.items()}

    def run_float64(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Return the answer to inputs in float64, which JAX then also computes in."""
        try:
            with jax.enable_x64(True):
                wide = [
                    jnp.asarray(array, np.float64 if array.dtype.kind == "f" else array.dtype)
                    for array in feeds.values()
                ]
                answer = self._answer(self._ready.ask, wide)
                return {name: to_array(value) for name, value in answer.items()}
        except Exception:  # noqa: BLE001 - code that fixes float32 fails in its own ways
            return None

    def baselines(self) -> Iterator[Baseline]:
        """Yield the model called directly, and compiled by ``jax.jit``."""
        compiled = jax.jit(self._traced)
        yield Baseline("as called", lambda feeds: self._waiting(self._asked, feeds))
        yield Baseline("jax.jit", lambda feeds: self._waiting(compiled, feeds))

    @contextmanager
    def limited(self, threads: int) -> Iterator[None]:
        """Raise an error unless ``threads`` is XLA's own number, which is fixed for the process.

        Raises:
            UsageError: another number was requested.
        """
        if threads != read_budget().threads:
            raise UsageError(
                f"JAX computes on all {read_budget().threads} threads of this process, and "
                f"cannot be limited to {threads}.",
                remedy="limit the process: taskset -c 0 onnxpack bench ...",
            )
        yield

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """Yield ambiguous values and values with NaN or infinities, as edges."""
        yield from hard_values(self.sample)
        yield from nonfinite_values(self.sample)

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        """Yield the strategies of jax2onnx, each also with NaN kept."""
        yield from with_nan_kept(
            ladder(Job(self._traced, self.sample, axes, opset, tuple(outputs))), saturating=True
        )

    def diagnose(self, attempts: Sequence[Attempt]) -> Cause | None:
        """Return the likely cause of a failure, see :mod:`onnxpack.exporters.jax.causes`."""
        return diagnose(attempts, self.primitives)

    def _primitives(self) -> frozenset[str]:
        """Return the names of the model's primitives; an empty set if JAX cannot trace it."""
        try:
            arrays = [jnp.asarray(array) for array in self.sample.values()]
            return frozenset(_named(jax.make_jaxpr(self._traced)(*arrays).jaxpr))
        except Exception:  # noqa: BLE001 - what JAX cannot trace is refused when it is exported
            return frozenset()

    def _asked(self, *arrays: Any) -> tuple[Any, ...]:
        return tuple(self._answer(self._ready.ask, arrays).values())

    @staticmethod
    def _waiting(function: Callable[..., Any], feeds: Mapping[str, Array]) -> Callable[[], object]:
        """Return a call that waits for its answer, since JAX computes asynchronously."""
        arrays = [jnp.asarray(array) for array in feeds.values()]
        return lambda: jax.block_until_ready(function(*arrays))

    def _traced(self, *arrays: Any) -> tuple[Any, ...]:
        return tuple(self._answer(self._ready.trace, arrays).values())

    def _answer(self, function: Callable[..., Any], arrays: Sequence[Any]) -> dict[str, Any]:
        args, kwargs = self._arguments.rebuild(arrays)
        return name_outputs(function(*args, **kwargs))


def _named(jaxpr: Any) -> Iterator[str]:
    """Yield the names of the primitives of a jaxpr and of the jaxprs within it."""
    for step in jaxpr.eqns:
        yield step.primitive.name
        for parameter in step.params.values():
            for inner in parameter if isinstance(parameter, tuple | list) else [parameter]:
                if isinstance(inner, Jaxpr | ClosedJaxpr):
                    yield from _named(getattr(inner, "jaxpr", inner))


def _class_name(model: Any) -> str:
    """Return ``module.Class`` for a module, ``module.function`` for a function."""
    inner = model.func if isinstance(model, functools.partial) else model
    if isinstance(inner, tuple):
        inner = type(inner[0])
    elif not hasattr(inner, "__qualname__"):
        inner = type(inner)
    return f"{inner.__module__}.{inner.__qualname__}"
