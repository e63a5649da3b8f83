"""Answer questions about classes, such as ``isinstance``, as if nothing were traced.

``isinstance(x.shape[0], int)``, ``type(x.shape[0])`` and ``case int():`` distinguish a symbol from
a number, and ``isinstance(x, jax.core.Tracer)`` distinguishes a trace from a call. So the user's
modules get an ``isinstance``, a ``type`` and a ``hasattr`` that answer as they would without a
trace. The code then takes the branch that it takes in use, and its further questions to the size
itself are recorded. A ``case`` cannot be replaced in this way, and is searched for in the byte
code.
"""

from __future__ import annotations

import builtins
import dis
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from onnxpack.exporters.frames import Place, place_in
from onnxpack.exporters.replaced import replaced_item


@dataclass(frozen=True, slots=True)
class StandIn:
    """Something that exists only while a model is traced.

    Attributes:
        real: the object that would be in its place without a trace.
        places: receives the lines that ask for a class that only one of the two has; None if the
            lines are not needed, since each further question to the object itself is recorded.
    """

    real: Any
    places: dict[Place, None] | None = None


@contextmanager
def classes_answered(
    stands_in: Callable[[Any], StandIn | None],
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield a function that puts functions that answer in this way into a module of the user's.

    Args:
        stands_in: returns the stand-in's description for an object; None if it is not a stand-in.
    """

    def answered(question: Callable[[Any, Any], bool], thing: Any, asked: Any) -> bool:
        known = stands_in(thing)
        if known is None:
            return question(thing, asked)
        answer = question(known.real, asked)
        if known.places is not None and answer != question(thing, asked):
            known.places[place_in(sys._getframe(1))] = None  # noqa: SLF001 - the line that asks
        return answer

    def type_of(thing: Any) -> type:
        known = stands_in(thing)
        if known is None:
            return type(thing)
        if known.places is not None:
            known.places[place_in(sys._getframe(2))] = None  # noqa: SLF001 - the line that asks
        return type(known.real)

    stand_ins = {
        "hasattr": partial(answered, hasattr),
        "isinstance": partial(answered, isinstance),
        "type": _type_by(type_of),
    }
    seen: set[int] = set()
    with ExitStack() as stack:

        def open_module(names: dict[str, Any]) -> None:
            if id(names) not in seen:
                seen.add(id(names))
                for name in stand_ins.keys() - names.keys():
                    stack.enter_context(replaced_item(names, name, stand_ins[name]))

        yield open_module


def matches_numbers(frame: FrameType) -> bool:
    """Return whether code has a ``case`` of a class of integers, or of an unknown class."""
    loaded: Any = None
    names: tuple[Mapping[str, Any], ...] = (frame.f_globals, vars(builtins))
    for step in dis.get_instructions(frame.f_code):
        if step.opname == "MATCH_CLASS":
            if not isinstance(loaded, builtins.type) or issubclass(int, loaded):
                return True
        elif step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            loaded = next((each[step.argval] for each in names if step.argval in each), None)
        elif step.opname == "LOAD_ATTR":
            loaded = getattr(loaded, step.argval, None)
    return False


def _type_by(type_of: Callable[[Any], type]) -> type:
    """Return a stand-in for ``type`` that is also a metaclass and supports ``isinstance``."""

    class Answering(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if len(args) == 1 and not kwargs:
                return type_of(args[0])
            return builtins.type(*args, **kwargs)

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, builtins.type)

        def __subclasscheck__(cls, subclass: Any) -> bool:
            return issubclass(subclass, builtins.type)

    return Answering("type", (builtins.type,), {})
