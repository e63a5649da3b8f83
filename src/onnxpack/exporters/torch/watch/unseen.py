"""Find what the witnesses of values and sizes do not show: caught errors, threads, and more.

A model can ask whether it is being traced (``torch.jit.is_tracing()``), and then give the exporter
another answer than its users. It can catch an error and go on. It can turn a tensor into text, or
read its memory, and decide by that. It can hand its work to a thread, in which no watch sees
anything. No exporter follows any of these, so such a model is refused before an exporter is tried.
"""

from __future__ import annotations

import concurrent.futures
import inspect
import multiprocessing.process
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import CodeType, FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from onnxpack.exporters.catching import catching, is_watched
from onnxpack.exporters.classes import matches_numbers
from onnxpack.exporters.frames import (
    Place,
    frames_of_model,
    module_of,
    package_of,
    place_in,
)
from onnxpack.exporters.profiled import profiled
from onnxpack.exporters.torch.watch.calls import calls_script
from onnxpack.exporters.torch.watch.raising import CHECKS, CHECKS_VALUES
from onnxpack.parity.subject import Cause
from onnxpack.parity.user_code import is_users

ABOUT_THE_TRACER = (
    "jit.is_tracing", "compiler.is_compiling", "compiler.is_dynamo_compiling",
    "compiler.is_exporting", "onnx.is_in_onnx_export", "_dynamo.is_compiling",
    "_C._is_tracing", "_C._get_tracing_state", "_C._len_torch_dispatch_stack",
    "_C._len_torch_function_stack", "utils._python_dispatch._get_current_dispatch_mode",
)  # fmt: skip
"""Functions of torch that answer differently under a tracer."""
ABOUT_THE_CALLER: tuple[Any, ...] = (
    inspect.currentframe, inspect.stack, sys._getframe, traceback.extract_stack,  # noqa: SLF001
)  # fmt: skip
"""Functions of Python that show an exporter among the callers."""
SCRIPTING = "jit.is_scripting"
"""A function that is false under a tracer and in plain Python, and true in TorchScript."""
TO_TEXT = {"__format__", "__repr__", "__str__"}
"""Functions that turn values into text, by which a dict or an ``if`` can decide."""
TO_MEMORY = {
    "__dlpack__", "__reduce_ex__", "data_ptr", "storage", "_typed_storage", "untyped_storage",
}  # fmt: skip
"""Functions that give access to a tensor's memory, in which any code can read its values."""
ELSEWHERE: tuple[Callable[..., Any], ...] = (
    threading.Thread.start,
    concurrent.futures.ThreadPoolExecutor.submit,
    concurrent.futures.ProcessPoolExecutor.submit,
    multiprocessing.process.BaseProcess.start,
    queue.Queue.put,
    threading.Condition.notify,
    threading.Event.set,
)
"""Functions that hand work to another thread or process."""

NEW_DISTRIBUTION = torch.distributions.Distribution.__init__.__code__
"""Code that checks the arguments of a distribution and has its samples checked, if it is not asked
otherwise. torch.compile turns that default off for the rest of a process, so it is not asked."""

CATCHES = "catches errors of tensor code and continues, which a graph cannot do"
ASKS = "asks whether it is being traced, so an exporter would see a different model than its users"
READS = "converts a tensor to text or reads its memory, which a graph cannot do"
CHECK_BEFORE = (
    "choose with torch.where(condition, a, b), or check before: torch.linalg.cholesky_ex(x) "
    "returns whether it failed"
)
LEAVE_OUT = (
    "remove it from forward(), prints of values too; decide with tensors: "
    "torch.where(condition, a, b)"
)
MATCHES = "matches a class of numbers, but a size is not a number while it is traced"
HANDS_ON = "passes work to another thread or process, which exporters cannot follow"


@dataclass
class Unseen:
    """The results of one run of the model in plain Python.

    Attributes:
        caught: lines around tensor code whose errors would be caught.
        asked: lines that ask about the tracer.
        scripting: lines that ask whether TorchScript runs them.
        read: lines that turn a tensor into text, or that ask for its memory.
        elsewhere: lines that hand work to another thread or process.
        matched: code with a ``case`` of a class of numbers.
        checked: lines that call a check of torch for a condition of Python.
        checks_values: whether tensors are checked without a decision in Python.
        modules: the globals of each module of the user's, or of an unknown library, that ran.
    """

    caught: dict[Place, None] = field(default_factory=dict)
    asked: dict[Place, None] = field(default_factory=dict)
    scripting: dict[Place, None] = field(default_factory=dict)
    read: dict[Place, None] = field(default_factory=dict)
    elsewhere: dict[Place, None] = field(default_factory=dict)
    matched: dict[Place, None] = field(default_factory=dict)
    checked: dict[Place, None] = field(default_factory=dict)
    checks_values: bool = False
    modules: dict[int, dict[str, Any]] = field(default_factory=dict)

    def cause(self) -> Cause | None:
        """Return why no exporter can be trusted with the model; None if nothing was found."""
        for places, what, remedy in (
            (self.caught, CATCHES, CHECK_BEFORE),
            (self.asked, ASKS, "remove that check from forward(), or do it in __init__"),
            (self.read, READS, LEAVE_OUT),
            (self.matched, MATCHES, "use if and ==, without case int()"),
            (self.elsewhere, HANDS_ON, "compute it in forward() itself"),
        ):
            if places:
                return Cause(f"forward() {what}, at {next(iter(places))}", remedy)
        return None


@contextmanager
def watch_unseen() -> Iterator[Unseen]:
    """Record what no exporter would show, while a model answers in plain Python."""
    found = Unseen()
    with profiled(_Calls(found)), _Functions(found):
        yield found


class _Calls:
    """A profile function that sees every call, also of functions that were imported by name."""

    def __init__(self, found: Unseen) -> None:
        self._found = found
        self._entered: set[CodeType] = set()
        tables = _questions()
        self._code: Mapping[CodeType, str] = tables[0]
        self._compiled: Mapping[Any, str] = tables[1]

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            kind, caller = self._code.get(frame.f_code), frame.f_back
            if frame.f_code is NEW_DISTRIBUTION and frame.f_locals["validate_args"] is not False:
                self._found.checks_values = True
            if frame.f_code not in self._entered:
                self._enter(frame)
        elif event == "c_call":
            try:
                kind, caller = self._compiled.get(argument), frame
            except TypeError:  # a method of something that has no hash
                return
        else:
            return
        if kind is not None and caller is not None:
            self._note(kind, caller)

    def _enter(self, frame: FrameType) -> None:
        self._entered.add(frame.f_code)
        if is_watched(frame):
            self._found.modules[id(frame.f_globals)] = frame.f_globals
            if is_users(frame.f_code.co_filename) and matches_numbers(frame):
                self._found.matched[place_in(frame)] = None

    def _note(self, kind: str, caller: FrameType) -> None:
        if kind == "caller":
            # A library looks at the stack for names of modules and for warnings.
            if is_users(caller.f_code.co_filename):
                self._found.asked[place_in(caller)] = None
            return
        places = {
            "scripting": self._found.scripting,
            "asked": self._found.asked,
            "checked": self._found.checked,
        }
        if kind in places:
            if is_watched(caller) and not calls_script(caller):
                places[kind][place_in(caller)] = None
            return
        # A library that starts threads computes there too: the watched line that calls it counts.
        users = next((frame for frame in frames_of_model() if is_watched(frame)), None)
        if users is not None:
            self._found.elsewhere[place_in(users)] = None


class _Functions(TorchFunctionMode):
    """Checks every function of torch for reads of values and for handlers that catch its errors."""

    def __init__(self, found: Unseen) -> None:
        super().__init__()
        self._found = found
        self._known: dict[tuple[CodeType, int], Place | None] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # torch.cond compiles itself and its branches in eager mode, with the modes around it.
        if torch.compiler.is_dynamo_compiling():
            return func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in TO_TEXT | TO_MEMORY:
            callers = (
                frame
                for frame in frames_of_model()
                if package_of(module_of(frame)) not in ("torch", "numpy")
            )
            frame = next(callers, None)
            if frame is not None and is_watched(frame):
                self._found.read[place_in(frame)] = None
        if getattr(func, "__name__", "") in CHECKS_VALUES:
            self._found.checks_values = True
        for frame in frames_of_model():
            key = (frame.f_code, frame.f_lineno)
            if key not in self._known:
                self._known[key] = catching(frame) if is_watched(frame) else None
            place = self._known[key]
            if place is not None:
                self._found.caught[place] = None
        return func(*args, **(kwargs or {}))


@cache
def _questions() -> tuple[dict[CodeType, str], dict[Any, str]]:
    """Return the kind of each watched function, by code for Python's and by itself for compiled."""
    code: dict[CodeType, str] = {}
    compiled: dict[Any, str] = {}
    named = {
        **dict.fromkeys(ABOUT_THE_TRACER, "asked"),
        SCRIPTING: "scripting",
        **dict.fromkeys(CHECKS, "checked"),
    }
    functions = [(_found(name), kind) for name, kind in named.items()]
    functions += [(function, "caller") for function in ABOUT_THE_CALLER]
    functions += [(function, "elsewhere") for function in ELSEWHERE]
    for function, kind in functions:
        if hasattr(function, "__code__"):
            code[function.__code__] = kind
        elif function is not None:
            compiled[function] = kind
    return code, compiled


def _found(name: str) -> Any:
    """Return a function of torch by its path; None if this version of torch lacks it."""
    found: Any = torch
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
