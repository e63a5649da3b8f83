"""Open sessions; the only module that imports onnxruntime and handles its exceptions."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from onnxpack.errors import FeedError, PackError, ProviderError
from onnxpack.runtime.catalog import CPU, CUDA
from onnxpack.runtime.private_copy import Content, PrivateGraph
from onnxpack.signature import Array

ONNXRUNTIME: Final = "onnxruntime"
OPENVINO: Final = "openvino"
"""The runtime's name in a variant's recipe."""
TELEMETRY = "ORT_DISABLE_TELEMETRY"
SILENT = 4
"""Log only fatal errors: all other errors are raised, and must not be logged as well."""
_WARNING = 2
"""onnxruntime's own default log severity."""


class Session(Protocol):
    """An opened graph; may be called from several threads at once."""

    def run(self, outputs: Sequence[str], feed: Mapping[str, Array], /) -> list[Array]:
        """Return the outputs of these names, from an array for each input."""


def load_onnxruntime() -> ModuleType:
    """Import onnxruntime, with its telemetry off unless the user chose otherwise.

    Raises:
        ProviderError: onnxruntime is not installed, or its library cannot be loaded.
    """
    late = "onnxruntime" in sys.modules and TELEMETRY not in os.environ
    os.environ.setdefault(TELEMETRY, "1")
    try:
        ort = import_module("onnxruntime")
    except ImportError as exc:
        raise ProviderError(
            f"onnxruntime, which runs the model, cannot be imported: {exc}.",
            remedy="pip install onnxruntime",
        ) from exc
    if late:
        ort.disable_telemetry_events()
    return ort


def open_session(
    graph: Path | bytes | PrivateGraph,
    providers: Sequence[str],
    *,
    threads: int,
    profile_to: Path | None = None,
) -> Any:
    """Return an ``onnxruntime.InferenceSession`` that logs nothing and never changes its provider.

    Args:
        graph: path, bytes or private copy of the graph. The weights of a private copy must live as
            long as the session.
        providers: full names, in order of preference.
        threads: threads of one operator.
        profile_to: prefix of the file name of a profile; None for no profile.

    Raises:
        PackError: the graph cannot be loaded, or an operator has no implementation.
        ProviderError: onnxruntime is missing.
    """
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if profile_to is not None:
        options.enable_profiling = True
        options.profile_file_prefix = os.fspath(profile_to)
    if isinstance(graph, PrivateGraph) and graph.weights:
        _add_weights(options, graph.weights)
    try:
        with _loading(ort, providers):
            return ort.InferenceSession(
                graph if isinstance(graph, bytes) else os.fspath(graph),
                sess_options=options,
                providers=list(providers),
                enable_fallback=0,
            )
    except foreign_errors() as exc:
        raise _load_error(graph, exc) from exc


def _add_weights(options: Any, weights: Mapping[str, Content]) -> None:
    """Let a session use weights where they are in memory, so that they are not copied again."""
    sizes = [len(content) for content in weights.values()]
    options.add_external_initializers_from_files_in_memory([*weights], [*weights.values()], sizes)
    options.add_session_config_entry("session.use_external_initializer_file_buffers_directly", "1")


def placement(session: Any) -> dict[str, int]:
    """Return how many nodes each provider truly runs, by the provider's full name."""
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return dict(counts)


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that onnxruntime raises, which have no common base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (value for value in vars(state).values() if isinstance(value, type))
    return (*(kind for kind in own if issubclass(kind, Exception)), RuntimeError, ValueError)


def run(session: Any, outputs: Sequence[str], feed: Any, provider: str) -> list[Any]:
    """Run a session once, and translate onnxruntime's exceptions.

    Args:
        session: an open session.
        outputs: names of the outputs.
        feed: an array for each input, by name.
        provider: the short name of the provider that runs, for messages.

    Raises:
        FeedError: the feed does not fit the graph.
        PackError: the graph failed.
    """
    try:
        return session.run(outputs, feed)  # type: ignore[no-any-return]
    except foreign_errors() as exc:
        raise run_error(exc, provider) from exc


def run_error(exc: Exception, provider: str) -> FeedError | PackError:
    """Return our error for an exception that was raised during a run.

    Args:
        exc: exception that onnxruntime raised.
        provider: short name of the provider that ran.
    """
    reason = plain(exc)
    if type(exc).__name__ in ("InvalidArgument", "ValueError"):
        return FeedError(f"the input does not fit the graph: {reason}.")
    return PackError(f"the graph failed on {provider}: {reason}.")


def plain(exc: Exception) -> str:
    """Return an onnxruntime message without its codes, source lines and C++ signatures."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", str(exc))
    text = re.sub(r"/\S+\.(?:h|cc|cpp):\d+ [^()]{0,200}\([^()]*(?:\([^()]*\)[^()]*)*\)", "", text)
    text = re.sub(r"( const)? \[with [^\]]*\]", "", text)
    return " ".join(text.split()).rstrip(". ") or type(exc).__name__


@contextlib.contextmanager
def _loading(ort: ModuleType, providers: Sequence[str]) -> Iterator[None]:
    """Load a provider's library: find NVIDIA's wheels, and keep failures off the terminal."""
    if set(providers) <= {CPU}:
        yield
        return
    if CUDA in providers and hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    # A library is loaded before the session's own logger exists.
    ort.set_default_logger_severity(SILENT)
    try:
        yield
    finally:
        ort.set_default_logger_severity(_WARNING)


def _load_error(graph: Path | bytes | PrivateGraph, exc: Exception) -> PackError:
    reason, name = plain(exc), "the graph"
    if not isinstance(graph, bytes):
        reason, name = reason.replace(os.fspath(graph), graph.name), repr(graph.name)
    kernel = re.search(r"Could not find an implementation for (\S+)", reason)
    if kernel is None:
        return PackError(f"{name} cannot be loaded: {reason}.")
    return PackError(
        f"{name} cannot run: onnxruntime has no implementation of {kernel[1]} in the data type "
        f"that this graph gives it ({reason}).",
        remedy="export the model in float32; in PyTorch: onnxpack.export(model.float(), …)",
    )
