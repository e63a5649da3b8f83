"""Limit the threads of frameworks whose native libraries use OpenMP or BLAS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from onnxpack.errors import UsageError
from onnxpack.runtime.threads import read_budget


@contextmanager
def limit_threads(framework: str, threads: int) -> Iterator[None]:
    """Limit OpenMP and BLAS to ``threads`` threads.

    Args:
        framework: the framework's name, for the message.

    Raises:
        UsageError: threadpoolctl, a dependency of scikit-learn, is not installed, and ``threads``
            is not the libraries' default.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as exc:
        if threads == read_budget().threads:
            yield
            return
        raise UsageError(
            f"{framework} cannot be limited to {threads} threads without threadpoolctl.",
            remedy="pip install threadpoolctl",
        ) from exc
    with threadpool_limits(threads):
        yield
