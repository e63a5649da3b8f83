"""Replace a part of another library temporarily, and always restore it.

Every patch of onnxpack goes through this module, under three rules:

- One thread at a time patches the process: a patch holds :data:`LOCK` while it lasts.
- A function is replaced for the thread that replaced it. Any other thread still calls the original
  one: a server that answers with the same PyTorch, or a training loop, computes as before.
- What is replaced must be there. A library that renamed a private attribute raises an ExportError
  that names the library and its version; a patch that silently does nothing could give a wrong
  graph.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from onnxpack.errors import ExportError

LOCK = threading.RLock()
"""The lock that the exporting thread holds; the same thread may take it again."""
_ABSENT = object()


@contextmanager
def replaced(holder: Any, name: str, value: Any) -> Iterator[Any]:
    """Give an attribute of a module, class or object another value; yield the original.

    An attribute that the holder inherits is removed at the end, not set to the inherited value.

    Raises:
        ExportError: the attribute does not exist, or only one of it and the value is a function.
    """
    with LOCK:
        plain = existing(holder, name, function=callable(value))
        before = vars(holder).get(name, _ABSENT)
        try:
            _set(holder, name, _in_this_thread(value, plain) if callable(value) else value)
            yield plain
        finally:
            if before is not _ABSENT:
                setattr(holder, name, before)
            elif name in vars(holder):
                delattr(holder, name)


@contextmanager
def added(holder: Any, name: str, value: Any) -> Iterator[None]:
    """Give a class of another library an attribute that it lacks, and remove it again.

    Raises:
        ExportError: the class has the attribute already, so this is not a version that onnxpack
            knows.
    """
    with LOCK:
        if name in vars(holder):
            raise ExportError(
                f"{_library(holder)} has {holder.__name__}.{name}, which onnxpack adds while it "
                "exports.",
                remedy="pip install --upgrade onnxpack",
            )
        try:
            _set(holder, name, value)
            yield
        finally:
            if name in vars(holder):
                delattr(holder, name)


@contextmanager
def replaced_item(mapping: MutableMapping[Any, Any], key: Any, value: Any) -> Iterator[None]:
    """Give a key of a mapping another value; a key that was absent is removed again.

    Functions are replaced for every thread: a registry may compare them by identity.
    """
    with LOCK:
        before = mapping.get(key, _ABSENT)
        try:
            _set_item(mapping, key, value)
            yield
        finally:
            if before is not _ABSENT:
                mapping[key] = before
            else:
                mapping.pop(key, None)


def existing(holder: Any, name: str, *, function: bool | None = None) -> Any:
    """Return an attribute of another library that onnxpack relies on.

    Args:
        function: whether it must be callable; None if either will do.

    Raises:
        ExportError: the attribute is missing, or of another kind.
    """
    found = getattr(holder, name, _ABSENT)
    if found is not _ABSENT and function in (None, callable(found)):
        return found
    where = holder.__name__ if isinstance(holder, ModuleType | type) else type(holder).__name__
    library = _library(holder)
    module = sys.modules.get(library)
    what = "no" if found is _ABSENT else "another kind of"
    raise ExportError(
        f"{library} {getattr(module, '__version__', '(unknown version)')} has {what} "
        f"{where}.{name}, which onnxpack replaces or reads while it exports.",
        remedy="pip install --upgrade onnxpack",
    )


def _library(holder: Any) -> str:
    """Return the top-level package of a module, of a class, or of an object's class."""
    if isinstance(holder, ModuleType):
        return holder.__name__.partition(".")[0]
    kind = holder if isinstance(holder, type) else type(holder)
    return str(kind.__module__).partition(".")[0]


def _in_this_thread(ours: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls ours in the current thread, and the original in others."""
    owner = threading.get_ident()

    def call(*args: Any, **kwargs: Any) -> Any:
        chosen = ours if threading.get_ident() == owner else plain
        return chosen(*args, **kwargs)

    return call


def _set(holder: Any, name: str, value: Any) -> None:
    """Begin a replacement; the tests let each of them fail here."""
    setattr(holder, name, value)


def _set_item(mapping: MutableMapping[Any, Any], key: Any, value: Any) -> None:
    """Begin the replacement of an item; the tests let each of them fail here."""
    mapping[key] = value
