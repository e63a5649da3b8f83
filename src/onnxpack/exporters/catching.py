"""Find lines at which an error would not stop the model but change its answer.

``try: cholesky(a)`` with an ``except`` that returns another answer decides by values. A run in
which nothing fails does not show that: a trace without values does not even compute the factors. So
the source is searched for lines in a ``try`` whose handler goes on, in ``with suppress(...)``, or
in a context manager of the user's own that may swallow an error.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import inspect
import linecache
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType, FrameType
from typing import Any

from onnxpack.exporters.frames import OURS, Place, module_of, package_of

KNOWN = {
    "torch": "its layers catch errors only to choose among equal ways to compute",
    "torchvision": "as torch; its transforms catch only missing optional packages",
    "transformers": "it catches errors of optional packages and of caches, not of tensors",
    "lightning": "it calls the user's forward() unchanged",
    "einops": "it tries a cached recipe first, and computes the same without one",
    "keras": "it adds the layer's name to an error, and raises it again",
    "numpy": "what a tensor hands to numpy is seen by the watch of values",
    "jax": "its handlers choose among equal ways to compute, or add to the error",
    "jaxlib": "as jax",
    "jax2onnx": "it tries one form of a primitive after the other, and each is proven",
    "flax": "it catches errors of names and scopes, not of arrays",
    "equinox": "it adds to the error of a filtered function, and raises it again",
}
"""Packages whose handlers do not change a model's answer, with the reason."""
OF_PYTHON = {"_thread", "contextlib", "threading"}
"""Modules of the standard library whose context managers, such as locks, do not catch errors."""
STANDARD = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))


@dataclass(frozen=True, slots=True)
class Guarded:
    """Lines of a file in which an error is caught.

    Attributes:
        head: the line of the ``try`` or ``with``.
        manager: the expression of a ``with``, which is looked up at run time; None for a ``try``.
    """

    first: int
    last: int
    head: int
    manager: ast.expr | None = None


def is_watched(frame: FrameType) -> bool:
    """Return whether a frame runs code of the user's, or of a library that is not known."""
    if package_of(module_of(frame)) in (OURS, *KNOWN):
        return False
    return not is_of_python(frame)


def is_of_python(frame: FrameType) -> bool:
    """Return whether a frame runs code of Python's own library."""
    file = frame.f_code.co_filename
    return "site-packages" not in file and file.startswith((*STANDARD, "<frozen "))


def catching(frame: FrameType) -> Place | None:
    """Return the ``try`` or ``with`` that would catch an error of the line that is running."""
    file, line = frame.f_code.co_filename, frame.f_lineno
    source = "".join(linecache.getlines(file, frame.f_globals))
    if not source:
        return _unread(frame)
    for guarded in _guarded(source):
        inside = guarded.first <= line <= guarded.last
        if inside and (guarded.manager is None or _swallows(guarded.manager, frame)):
            return Place(file, guarded.head, linecache.getline(file, guarded.head).strip())
    return None


def _unread(frame: FrameType) -> Place | None:
    """Return the place of a handler by the byte code, which shows no line, if source is missing."""
    names = [step.opname for step in dis.get_instructions(frame.f_code)]
    if names.count("PUSH_EXC_INFO") <= names.count("WITH_EXCEPT_START"):
        return None
    return Place(frame.f_code.co_filename, frame.f_lineno, f"in {frame.f_code.co_name}()")


@cache
def _guarded(source: str) -> Sequence[Guarded]:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # e.g. a notebook cell with magic commands: nothing can be ruled out
        return (Guarded(1, len(source.splitlines()), 1),)
    return tuple(found for node in ast.walk(tree) for found in _guards_of(node))


def _guards_of(node: ast.AST) -> Iterator[Guarded]:
    if isinstance(node, ast.Try | ast.TryStar):
        if any(map(_goes_on, node.handlers)) or _leaves(node.finalbody):
            yield Guarded(node.body[0].lineno, node.body[-1].end_lineno or 0, node.lineno)
    elif isinstance(node, ast.With | ast.AsyncWith):
        first, last = node.body[0].lineno, node.body[-1].end_lineno or 0
        for item in node.items:
            yield Guarded(first, last, node.lineno, item.context_expr)


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """Return whether the model goes on after an error; not if the handler ends in ``raise``."""
    return _leaves(handler.body) or not isinstance(handler.body[-1], ast.Raise)


def _leaves(body: Sequence[ast.stmt]) -> bool:
    kinds = ast.Return | ast.Break | ast.Continue
    return any(isinstance(node, kinds) for statement in body for node in ast.walk(statement))


def _swallows(manager: ast.expr, frame: FrameType) -> bool:
    """Return whether a context manager may swallow an error; True if it cannot be looked up."""
    expression = manager.func if isinstance(manager, ast.Call) else manager
    try:
        found = looked_up(expression, frame)
    except (LookupError, AttributeError, TypeError):
        return True
    if found in (contextlib.suppress, contextlib.ExitStack, contextlib.AsyncExitStack):
        return True  # a stack may hold anything, a suppress() too
    kind: Any = found if inspect.isroutine(found) or inspect.isclass(found) else type(found)
    if package_of(str(getattr(kind, "__module__", ""))) in {*KNOWN, *OF_PYTHON}:
        return False
    return _own_manager_swallows(inspect.unwrap(kind) if callable(kind) else kind)


def looked_up(expression: ast.expr, frame: FrameType) -> Any:
    """Return the object that a dotted name stands for in a frame.

    Raises:
        LookupError: the frame knows no such name, or the expression is more than dotted names.
        AttributeError: an object has no such attribute.
    """
    if isinstance(expression, ast.Attribute):
        return getattr(looked_up(expression.value, frame), expression.attr)
    if not isinstance(expression, ast.Name):
        raise LookupError
    for names in (frame.f_locals, frame.f_globals, frame.f_builtins):
        if expression.id in names:
            return names[expression.id]
    raise LookupError


def _own_manager_swallows(manager: Any) -> bool:
    """Return whether an unknown manager may swallow an error, by its source."""
    ends = getattr(manager, "__exit__", manager)
    code: CodeType | None = getattr(ends, "__code__", None)
    if code is None:
        return True
    source = "".join(linecache.getlines(code.co_filename))
    function = next((f for f in _functions(source) if code.co_firstlineno in _lines(f)), None)
    if function is None:
        return True
    if inspect.isgeneratorfunction(ends):
        return any(True for node in ast.walk(function) for _ in _handled(node))
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    return any(value is not None and not _is_false(value) for value in returned)


def _handled(node: ast.AST) -> Iterator[Guarded]:
    return (found for found in _guards_of(node) if found.manager is None)


def _lines(function: ast.FunctionDef) -> range:
    decorators = [decorator.lineno for decorator in function.decorator_list]
    return range(min([function.lineno, *decorators]), function.lineno + 1)


@cache
def _functions(source: str) -> Sequence[ast.FunctionDef]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in (None, False)
