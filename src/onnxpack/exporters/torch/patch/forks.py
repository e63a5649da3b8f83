"""``torch.jit.fork``: work that may run beside other work, and in a graph is just work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from onnxpack.exporters.replaced import replaced


@contextmanager
def forks_inline() -> Iterator[None]:
    """Compute what is forked at once.

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
        """As ``torch.futures.Future.done``."""
        return True

    def wait(self) -> Any:
        """As ``torch.futures.Future.wait``."""
        return self._value

    value = wait

    def then(self, callback: Callable[[Any], Any]) -> _Done:
        """As ``torch.futures.Future.then``."""
        return _Done(callback(self))
