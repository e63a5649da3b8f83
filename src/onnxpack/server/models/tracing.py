"""Record OpenTelemetry spans if the extra ``otel`` is installed and spans are wanted.

This is decided once, when a model is opened: a server without spans spends no time on them.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from onnxpack.server.models.served import Header, Served
from onnxpack.signature import Array

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NAME = "onnxpack"
_log = logging.getLogger("onnxpack.server")


class Traced(Served):
    """A served model that records a span for each request."""

    tracer: Tracer

    async def infer(
        self, feeds: Mapping[str, Any], header: Header | None = None
    ) -> dict[str, Array]:
        """Return the outputs for one request, and record its span below the client's, if any."""
        first = next(iter(feeds.values()), None)
        attributes: dict[str, str | int] = {
            "onnxpack.model": self.name,
            "onnxpack.version": self.version,
            "onnxpack.provider": self.model.provider,
            "onnxpack.rows": len(first) if first is not None and first.ndim else 1,
        }
        with self.tracer.start_as_current_span(
            f"infer {self.name}", _context(header), attributes=attributes
        ):
            return await super().infer(feeds)


def _context(header: Header | None) -> Context | None:
    """Return the client's trace context, from the headers that the configured propagators read."""
    if header is None:
        return None
    from opentelemetry import propagate

    names = propagate.get_global_textmap().fields
    return propagate.extract({name: value for name in names if (value := header(name.lower()))})


def find_tracer() -> Tracer | None:
    """Return the tracer of a configured provider, or a new one for the endpoint that is set.

    Logs a warning if nothing can be sent to the endpoint.
    """
    wanted = next((name for name in ENDPOINTS if os.environ.get(name)), "")
    if not wanted and "opentelemetry" not in sys.modules:
        return None  # a provider can only be configured after an import
    tracer = _tracer(configure=bool(wanted))
    if wanted and tracer is None:
        _log.warning(
            'warning: %s is set, but no spans are sent: pip install "onnxpack[otel]"', wanted
        )
    return tracer


def _tracer(*, configure: bool) -> Tracer | None:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider) and not (
        configure and _configure()
    ):
        return None
    return trace.get_tracer(NAME, version("onnxpack"))


def _configure() -> bool:
    """Send spans to the endpoint in the environment; return False if the SDK is not installed."""
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return False
    own = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": NAME}
    provider = TracerProvider(resource=Resource.create(own))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True
