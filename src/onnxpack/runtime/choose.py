"""Open a graph on the requested execution provider, and never on another."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from onnxpack.errors import PackError, ProviderError
from onnxpack.runtime import libraries
from onnxpack.runtime.catalog import AZURE, CPU, CUDA
from onnxpack.runtime.private_copy import PrivateGraph
from onnxpack.runtime.providers import resolve, short_name
from onnxpack.runtime.session import ONNXRUNTIME, open_session, placement

_BESIDE = {"TensorrtExecutionProvider": (CUDA,)}
"""Providers that take the nodes that a provider does not support, before the CPU does."""


class Opened(NamedTuple):
    """A graph that was opened on a provider.

    Attributes:
        session: its session.
        provider: full name of the provider.
        placement: number of nodes that each provider runs.
        runtime: name of the runtime.
        graph: what was opened; a session reads the weights of a private copy as long as it lives.
    """

    session: Any
    provider: str
    placement: dict[str, int]
    runtime: str = ONNXRUNTIME
    graph: Path | PrivateGraph | None = None


def open_on(graph: Path | PrivateGraph, provider: str, *, threads: int) -> Opened:
    """Open a graph on a provider.

    Args:
        graph: path or private copy of the graph.
        provider: see ``resolve``; ``auto`` takes the first that truly runs a part of this graph.
        threads: threads of one operator.

    Raises:
        PackError: the graph cannot be loaded.
        ProviderError: the provider is unknown, not installed, or runs no part of the graph.
    """
    names = resolve(provider)
    if len(names) == 1:
        return _open(graph, names[0], threads)
    for name in names[:-1]:
        try:
            return _open(graph, name, threads)
        except (PackError, ProviderError):
            continue
    return _open(graph, CPU, threads)


def _open(graph: Path | PrivateGraph, name: str, threads: int) -> Opened:
    if name == CPU:
        session = open_session(graph, [CPU], threads=threads)
        return Opened(session, CPU, placement(session), graph=graph)
    chain = [name, *_BESIDE.get(name, ()), CPU]
    try:
        session = open_session(graph, chain, threads=threads)
    except PackError as exc:
        # A faulty graph fails on the CPU too, with a clearer message.
        open_session(graph, [CPU], threads=threads)
        raise _refusal(name, exc.message) from exc
    placed = placement(session)
    if not placed.get(name):
        raise _refusal(name, "onnxruntime gave all of its work to other providers")
    return Opened(session, name, placed, graph=graph)


def _refusal(name: str, reason: str) -> ProviderError:
    if name == AZURE:
        reason = "it calls remote endpoints and runs no part of a graph here"
    library = libraries.provider_library(name)
    lacking = libraries.missing_libraries(library) if library else ()
    why = f"missing libraries: {', '.join(lacking)}" if lacking else reason.rstrip(".")
    return ProviderError(
        f"provider {short_name(name)!r} was requested but does not run this graph: {why}.",
        remedy="onnxpack doctor",
    )
