"""Run ``torch.jit.fork``, whose work may run in parallel, as ordinary work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from onnxpack.exporters.replaced import replaced


@contextmanager
def forks_inline() -> Iterator[None]:
    """Compute forked work at once.

    The tracer of PyTorch 2.14 traces a fork as a graph of its own, in which sizes are numbers.
    """
    compiled: Any = torch._C  # noqa: SLF001 - what torch.jit.fork and torch.jit.wait call
    with (
        replaced(compiled, "fork", lambda work, *args, **kwargs: _Done(work(*args, **kwargs))),
        replaced(compiled, "wait", lambda future: future.wait()),
    ):
        yield


class _Done:
    """A future that holds its value from the start."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def done(self) -> bool:
        """Return whether the value is there, like ``torch.futures.Future.done``."""
        return True

    def wait(self) -> Any:
        """Return the value, like ``torch.futures.Future.wait``."""
        return self._value

    value = wait

    def then(self, callback: Callable[[Any], Any]) -> _Done:
        """Return a future of the callback's result, like ``torch.futures.Future.then``."""
        return _Done(callback(self))
