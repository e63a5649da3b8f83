"""Find out whether the model draws from a random generator of Python or NumPy.

A graph keeps the number that was drawn while it was made. A model that drops a row once in a
hundred calls may answer all cases of a proof consistently. So the states of the generators are
compared, not the answers. PyTorch's own draws are operators, which
:mod:`onnxpack.exporters.torch.watch.nondeterminism` sees.
"""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import torch

from onnxpack.exporters.catching import KNOWN, STANDARD
from onnxpack.exporters.frames import OURS, Place, module_of, package_of, place_in
from onnxpack.parity.subject import Cause

States = dict[str, bytes]


def find_draw(model: torch.nn.Module, run: Callable[[], Any]) -> Cause | None:
    """Run, and return which line draws; None if none does, or only a known library's.

    Some libraries draw whether to skip a layer before they check whether the model trains.
    """
    before = _states(model)
    try:
        run()
    except Exception:  # noqa: BLE001 - the proof refuses the sample with a message
        return None
    moved = [name for name, state in _states(model).items() if before.get(name) != state]
    if not moved:
        return None
    with _traced(model) as found:
        run()
    places = [place for place in found if place is not None]
    if found and not places:
        return None
    at = f", at {places[0]}" if places else ""
    return Cause(
        f"forward() draws from {', '.join(moved)}{at}; a graph would always use the numbers of "
        "one draw",
        "make the random number an input of forward(), or draw it only if self.training",
    )


def _states(model: torch.nn.Module) -> States:
    """Return the state of the global generators, and of those that the modules hold."""
    found = {
        "Python's random": pickle.dumps(random.getstate()),
        "numpy.random": pickle.dumps(np.random.get_state()),
    }
    for path, part in model.named_modules():
        for name, value in vars(part).items():
            state = _state(value)
            if state is not None:
                found[f"self.{path}.{name}" if path else f"self.{name}"] = state
    return found


def _state(value: Any) -> bytes | None:
    if isinstance(value, random.Random):
        return pickle.dumps(value.getstate())
    if isinstance(value, np.random.Generator):
        return pickle.dumps(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return pickle.dumps(value.get_state())
    return None


@contextmanager
def _traced(model: torch.nn.Module) -> Iterator[list[Place | None]]:
    """Record the lines after which a generator has moved; None for a line of a library."""
    found: list[Place | None] = []
    state = _states(model)
    last: list[tuple[FrameType, int]] = []

    def trace(frame: FrameType, _event: str, _argument: Any) -> Any:
        nonlocal state
        if package_of(module_of(frame)) == OURS:
            return None
        now = _states(model)
        if now != state and last:
            found.append(_place(*last[0]))
        state = now
        last[:] = [(frame, frame.f_lineno)]
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield found
    finally:
        sys.settrace(before)


def _place(frame: FrameType, line: int) -> Place | None:
    """Return the user's line for which a line draws; None if a known library draws."""
    drawing: FrameType | None = frame
    while drawing is not None and _serves(drawing):
        drawing = drawing.f_back
    if drawing is None or package_of(module_of(drawing)) in KNOWN:
        return None
    return place_in(drawing, line if drawing is frame else None)


def _serves(frame: FrameType) -> bool:
    """Return whether a frame, of Python's library, NumPy or torch, draws for its caller."""
    file = frame.f_code.co_filename
    standard = file.startswith(STANDARD) and "site-packages" not in file
    return standard or package_of(module_of(frame)) in ("numpy", "torch")
