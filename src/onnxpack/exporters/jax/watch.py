"""Record what Python code asks about symbolic sizes, to decide if a graph can be trusted.

JAX answers ``x.shape[0] == 4`` with False if the size is a symbol, as it says itself (`shape
polymorphism <https://docs.jax.dev/en/latest/export/shape_poly.html>`_): the branch for 4 rows is
lost without an error. A dict lookup by a size finds nothing, ``if size % 100`` is always true, and
``except`` hides the errors of all other questions. So while a function is traced, each such
question from code outside of JAX is recorded, and the graph is refused. Questions about classes are
handled in :mod:`onnxpack.exporters.classes`.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import _lru_cache_wrapper, cache
from itertools import islice
from types import CodeType, FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.errors import InconclusiveDimensionOperation
from jax.export import is_symbolic_dim, symbolic_shape

from onnxpack.errors import ExportError
from onnxpack.exporters.catching import catching, is_of_python, is_watched, looked_up
from onnxpack.exporters.classes import StandIn, classes_answered, matches_numbers
from onnxpack.exporters.frames import Place, module_of, package_of, place_in
from onnxpack.exporters.profiled import profiled
from onnxpack.exporters.replaced import added, existing
from onnxpack.parity.user_code import is_users

SOUND = {"jax", "jaxlib", "jax2onnx", "onnxpack"}
"""Packages whose questions about sizes are part of how JAX traces with symbols."""

JITTED = "PjitFunction"
"""The name of the type that ``jax.jit`` returns; the type has no public name."""
NEVER_SIZES = (bytes, dict, list, set, str, tuple, type(None))
"""Classes whose values never equal a size."""
METHODS = ("__eq__", "__ne__", "__hash__", "__str__", "__repr__")
"""Methods of a size that answer even for a symbol; the others raise an error."""


@dataclass
class Decisions:
    """Questions of a traced function that a graph cannot answer.

    Attributes:
        sizes: lines that decide by a size.
        tracer: lines that ask whether they are traced.
        caught: lines that catch an error of JAX and go on.
    """

    sizes: dict[Place, None] = field(default_factory=dict)
    tracer: dict[Place, None] = field(default_factory=dict)
    caught: dict[Place, None] = field(default_factory=dict)

    def stands_in(self, thing: Any) -> StandIn | None:
        """Return the stand-in for a symbol or a tracer; a tracer exists in ``jax.jit`` too."""
        if is_symbolic_dim(thing):
            return StandIn(1)
        if not isinstance(thing, jax.core.Tracer):
            return None
        return StandIn(_an_array(), self.tracer)

    def refuse(self) -> None:
        """Raise an error that names the first recorded line, if there is one.

        Raises:
            ExportError: a line was recorded.
        """
        for places, what in (
            (self.sizes, "Python code depends on a dynamic size"),
            (self.tracer, "the function asks whether it is being traced"),
            (self.caught, "a JAX error is caught"),
        ):
            if places:
                raise ExportError(f"not traced, because {what} at {next(iter(places))}")


@cache
def _an_array() -> Any:
    """Return an array that is not a tracer, even if it is made while a function is traced."""
    with jax.ensure_compile_time_eval():
        return jnp.zeros(())


def watched(function: Callable[..., Any], found: Decisions) -> Callable[..., Any]:
    """Return the function; its decisions while it runs are added to ``found``."""

    def call(*arrays: Any) -> Any:
        with (
            classes_answered(found.stands_in) as open_module,
            _truth_asked(found.sizes),
            profiled(_Calls(found, open_module)),
        ):
            return function(*arrays)

    return call


class _Calls:
    """A profile function that records calls of a size's methods and the lines that make them."""

    def __init__(self, found: Decisions, open_module: Callable[[dict[str, Any]], None]) -> None:
        self._found, self._open_module = found, open_module
        self._asked = _questions()
        self._watched: dict[CodeType, bool] = {}
        self._builtin: dict[FrameType, Any] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            caller = frame.f_back
            if self._is_watched(frame):
                self._open_module(frame.f_globals)
            if frame.f_code in self._asked:
                self._note_size(frame, self._asked[frame.f_code])
            elif caller is not None and self._is_watched(caller) and _is_of_jax(frame):
                place = catching(caller)
                if place is not None:
                    self._found.caught[place] = None
        elif event == "c_call" and self._is_watched(frame):
            self._builtin[frame] = argument
        elif event in ("c_return", "c_exception", "return"):
            self._builtin.pop(frame, None)

    def _is_watched(self, frame: FrameType) -> bool:
        if frame.f_code not in self._watched:
            self._watched[frame.f_code] = is_watched(frame)
            if is_users(frame.f_code.co_filename) and matches_numbers(frame):
                self._found.sizes[place_in(frame)] = None
        return self._watched[frame.f_code]

    def _note_size(self, frame: FrameType, method: str) -> None:
        asking = _asking(frame.f_back)
        if asking is None:
            return
        if method in ("__eq__", "__ne__"):
            names = frame.f_code.co_varnames
            undecided = _is_undecided(*(frame.f_locals[name] for name in names[:2]))
        elif method == "__hash__":
            undecided = asking in self._builtin or not _keeps_for_later(asking)
        else:
            undecided = True
        if undecided:
            self._found.sizes[place_in(asking)] = None


@contextmanager
def _truth_asked(sizes: dict[Place, None]) -> Iterator[None]:
    """Record who asks if a size is true: JAX 0.10 defines no answer, so Python says yes."""

    def truth(size: Any) -> bool:
        asking = _asking(sys._getframe(1))  # noqa: SLF001 - the line that asks
        if asking is not None and _is_undecided(size, 0):
            sizes[place_in(asking)] = None
        return True

    with added(type(symbolic_shape("n")[0]), "__bool__", truth):
        yield


def _asking(frame: FrameType | None) -> FrameType | None:
    """Return the frame for which a question is asked; None if it is one of JAX's own."""
    while frame is not None and _passes_on(frame):
        frame = frame.f_back
    return None if frame is None or package_of(module_of(frame)) in SOUND else frame


def _keeps_for_later(asking: FrameType) -> bool:
    """Return whether a frame calls something that keys its results by a size.

    ``jax.jit`` does so with static arguments, and so does ``lru_cache``: each result is computed
    from the size itself. Dicts and sets do not count.
    """
    positions = next(islice(asking.f_code.co_positions(), asking.f_lasti // 2, None))
    lines = linecache.getlines(asking.f_code.co_filename, asking.f_globals)
    try:
        calling = looked_up(_called(lines, *positions), asking)
    except (LookupError, AttributeError, TypeError, SyntaxError):
        return False
    return isinstance(calling, _lru_cache_wrapper) or type(calling).__name__ == JITTED


def _called(
    lines: list[str], first: int | None, last: int | None, start: int | None, end: int | None
) -> ast.expr:
    """Return the expression that a piece of source calls.

    Raises:
        LookupError: the source is missing, or is not a call.
        SyntaxError: the source is not an expression.
    """
    if first is None or last is None or not lines:
        raise LookupError
    piece = [line.encode() for line in lines[first - 1 : last]]
    piece[-1] = piece[-1][:end]
    piece[0] = piece[0][start:]
    expression = ast.parse(b"".join(piece).decode().strip(), mode="eval").body
    if not isinstance(expression, ast.Call):
        raise LookupError
    return expression.func


def _passes_on(frame: FrameType) -> bool:
    """Return whether a frame compares for its caller: Python's, NumPy's or a dataclass's."""
    made = frame.f_code.co_filename == "<string>" and frame.f_code.co_name.startswith("__")
    return made or is_of_python(frame) or package_of(module_of(frame)) == "numpy"


def _is_of_jax(frame: FrameType) -> bool:
    return package_of(module_of(frame)) in ("jax", "jaxlib")


def _is_undecided(size: Any, other: Any) -> bool:
    """Return whether a size equals something for only some values of its symbols."""
    if isinstance(other, NEVER_SIZES):
        return False
    if isinstance(other, float | np.floating):  # 300 == 300.0
        if not float(other).is_integer():
            return False
        other = int(other)
    try:
        gap = size - other
    except Exception:  # noqa: BLE001 - what cannot be compared here may still be equal there
        return True
    if not is_symbolic_dim(gap):
        return not isinstance(gap, int)
    return not (_holds(lambda: gap >= 1) or _holds(lambda: gap <= -1))


def _holds(comparison: Callable[[], bool]) -> bool:
    try:
        return comparison()
    except InconclusiveDimensionOperation:
        return False


def _questions() -> dict[CodeType, str]:
    """Return the code of each method of a symbolic size that reveals something about it.

    Raises:
        ExportError: a size lacks one of the methods that it has in JAX 0.10.
    """
    (size,) = symbolic_shape("n")
    return {existing(getattr(type(size), name), "__code__"): name for name in METHODS}
