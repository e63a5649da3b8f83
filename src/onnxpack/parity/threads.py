"""The threads of frameworks whose native libraries take their number from OpenMP or BLAS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from onnxpack.errors import UsageError
from onnxpack.runtime.threads import read_budget


@contextmanager
def limit_threads(framework: str, threads: int) -> Iterator[None]:
    """Limit OpenMP and BLAS to so many threads.

    Args:
        framework: its name, for the message.

    Raises:
        UsageError: threadpoolctl, which scikit-learn brings, is not there, and the number is not
            what these libraries take by themselves.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as exc:
        if threads == read_budget().threads:
            yield
            return
        raise UsageError(
            f"{framework} cannot be told to compute on {threads} threads without threadpoolctl.",
            remedy="pip install threadpoolctl",
        ) from exc
    with threadpool_limits(threads):
        yield
