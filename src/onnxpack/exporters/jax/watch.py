"""May a graph be trusted that was traced with symbols for sizes? What Python asked of them.

JAX answers ``x.shape[0] == 4`` with False if the size is a symbol, as it says itself (`shape
polymorphism <https://docs.jax.dev/en/latest/export/shape_poly.html>`_): the branch for 4 rows is
lost without an error. A dict that is looked up by a size finds nothing, ``isinstance(size, int)``
is False, and ``except`` hides the errors of all other questions. So while a function is traced,
each question of this kind that code outside of JAX asks is recorded, and the graph is refused.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import jax
import jax.numpy as jnp
from jax.errors import InconclusiveDimensionOperation
from jax.export import is_symbolic_dim, symbolic_shape

from onnxpack.errors import ExportError
from onnxpack.exporters.catching import catching, is_of_python, is_watched
from onnxpack.exporters.frames import Place, module_of, package_of, place_in
from onnxpack.exporters.profiled import profiled
from onnxpack.exporters.replaced import existing, replaced_item

SOUND = {"jax", "jaxlib", "jax2onnx", "numpy"}
"""Packages whose questions about sizes are part of how JAX traces with symbols."""

METHODS = ("__eq__", "__ne__", "__hash__", "__str__", "__repr__")
"""Methods of a size that answer although it is a symbol; the others raise an error."""


@dataclass
class Decisions:
    """What a traced function asked that a graph cannot answer.

    Attributes:
        sizes: lines that decide by a size.
        tracer: lines that ask whether they are traced.
        caught: lines that catch an error of JAX and go on.
    """

    sizes: dict[Place, None] = field(default_factory=dict)
    tracer: dict[Place, None] = field(default_factory=dict)
    caught: dict[Place, None] = field(default_factory=dict)

    def refuse(self) -> None:
        """Raise an error that names the first line.

        Raises:
            ExportError: there is one.
        """
        for places, what in (
            (self.sizes, "a size that varies decides"),
            (self.tracer, "the function asks whether it is traced"),
            (self.caught, "an error of JAX is caught"),
        ):
            if places:
                raise ExportError(f"not traced, since {what} at {next(iter(places))}")


def watched(function: Callable[..., Any], found: Decisions) -> Callable[..., Any]:
    """Return the function; what it decides while it runs is added to ``found``."""

    def call(*arrays: Any) -> Any:
        with _own_questions(found) as entered, profiled(_Calls(found, entered)):
            return function(*arrays)

    return call


class _Calls:
    """A profile function that sees each method of a size, and which line it was called from."""

    def __init__(self, found: Decisions, entered: Callable[[FrameType], None]) -> None:
        self._found, self._entered = found, entered
        self._asked = _questions()
        self._watched: dict[CodeType, bool] = {}
        self._builtin: dict[FrameType, Any] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            caller = frame.f_back
            if self._is_watched(frame):
                self._entered(frame)
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
        return self._watched[frame.f_code]

    def _note_size(self, frame: FrameType, method: str) -> None:
        asking = frame.f_back
        while asking is not None and _passes_on(asking):
            asking = asking.f_back
        if asking is None or package_of(module_of(asking)) in SOUND | {"onnxpack"}:
            return
        if method in ("__eq__", "__ne__"):
            names = frame.f_code.co_varnames
            undecided = _is_undecided(*(frame.f_locals[name] for name in names[:2]))
        elif method == "__hash__":
            undecided = self._looks_up(asking)
        else:
            undecided = True
        if undecided:
            self._found.sizes[place_in(asking)] = None

    def _looks_up(self, asking: FrameType) -> bool:
        """Whether a hash is for a look-up; what is called with a size may keep it as a key."""
        if asking in self._builtin:
            return True
        steps = {step.offset: step.opname for step in dis.get_instructions(asking.f_code)}
        return not steps.get(asking.f_lasti, "").startswith("CALL")


def _passes_on(frame: FrameType) -> bool:
    """Whether a frame compares for its caller: Python's own, or code made by a dataclass."""
    return is_of_python(frame) or frame.f_code.co_filename == "<string>"


def _is_of_jax(frame: FrameType) -> bool:
    return package_of(module_of(frame)) in ("jax", "jaxlib")


def _is_undecided(size: Any, other: Any) -> bool:
    """Whether sizes are equal for some values of the symbols, and different for others."""
    try:
        gap = size - other
        if not is_symbolic_dim(gap):
            return False
        return not (_holds(lambda: gap >= 1) or _holds(lambda: gap <= -1))
    except Exception:  # noqa: BLE001 - what cannot be subtracted from a size does not equal it
        return False


def _holds(comparison: Callable[[], bool]) -> bool:
    try:
        return comparison()
    except InconclusiveDimensionOperation:
        return False


def _questions() -> dict[CodeType, str]:
    """Return the code of each method of a symbolic size that tells something about it.

    Raises:
        ExportError: a size has no such method of Python's, as it has in JAX 0.10.
    """
    (size,) = symbolic_shape("n")
    return {existing(getattr(type(size), name), "__code__"): name for name in METHODS}


@contextmanager
def _own_questions(found: Decisions) -> Iterator[Callable[[FrameType], None]]:
    """Let modules of the user's, once they are entered, find an ``isinstance`` that records."""

    def asked(thing: Any, kinds: Any) -> bool:
        answer = isinstance(thing, kinds)
        beside = _untraced(thing)
        if beside is not None and isinstance(beside, kinds) != answer:
            places = found.sizes if is_symbolic_dim(thing) else found.tracer
            places[place_in(sys._getframe(1))] = None  # noqa: SLF001 - the line that asks
        return answer

    with ExitStack() as stack:
        seen: set[int] = set()

        def enter(frame: FrameType) -> None:
            names = frame.f_globals
            if id(names) not in seen:
                seen.add(id(names))
                if "isinstance" not in names:
                    stack.enter_context(replaced_item(names, "isinstance", asked))

        yield enter


def _untraced(thing: Any) -> Any:
    """What would be there if nothing were traced; None where the same would be."""
    if is_symbolic_dim(thing):
        return 1
    if not isinstance(thing, jax.core.Tracer):
        return None
    with jax.ensure_compile_time_eval():
        return jnp.zeros(())
