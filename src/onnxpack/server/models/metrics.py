"""Expose the counters of every model, of all workers together, in Prometheus's format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from onnxpack.server.models.repository import Repository
from onnxpack.server.models.served import Served
from onnxpack.server.models.stats import Histogram, Stats

LABELS = ("model", "version")
WORDS = ("unchanged", "proven", "trusted")
TRITON: dict[str, Callable[[Stats], float]] = {
    "request_success": lambda stats: stats.succeeded,
    "request_failure": lambda stats: sum(stats.failed.values()),
    "count": lambda stats: stats.rows,
    "exec_count": lambda stats: sum(stats.batch_rows.counts),
    "request_duration_us": lambda stats: stats.request_seconds.sum * 1e6,
    "queue_duration_us": lambda stats: stats.queue_seconds.sum * 1e6,
    "compute_infer_duration_us": lambda stats: stats.compute_seconds.sum * 1e6,
}
"""Triton's metric names, without their prefix, and how each is computed."""


class Metrics(Collector):
    """Collects the counters when Prometheus scrapes them.

    Args:
        repository: the served models.
        triton_names: whether to add metrics under Triton's names.
    """

    def __init__(self, repository: Repository, *, triton_names: bool) -> None:
        self._repository = repository
        self._triton_names = triton_names
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def expose(self) -> tuple[bytes, bytes]:
        """Return the media type and the text of the metrics."""
        return CONTENT_TYPE_LATEST.encode(), generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Return no metrics in advance: there may be no model yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of every model."""
        yield from self._counters()
        yield from self._histograms()
        yield from self._workers()
        if self._triton_names:
            yield from self._triton()

    def _counters(self) -> Iterator[Metric]:
        succeeded = CounterMetricFamily("onnxpack_requests", "Requests answered.", labels=LABELS)
        failed = CounterMetricFamily(
            "onnxpack_request_failures", "Requests refused.", labels=(*LABELS, "status")
        )
        rows = CounterMetricFamily("onnxpack_rows", "Rows computed.", labels=LABELS)
        in_flight = GaugeMetricFamily(
            "onnxpack_requests_in_flight", "Requests not yet answered.", labels=LABELS
        )
        waiting = GaugeMetricFamily(
            "onnxpack_queue_length", "Requests waiting for a session.", labels=LABELS
        )
        info = GaugeMetricFamily(
            "onnxpack_model_info",
            "Provider of the model, and what holds of its pack.",
            labels=(*LABELS, "provider", "digest", *WORDS),
        )
        for served, stats, labels in self._labelled():
            succeeded.add_metric(labels, stats.succeeded)
            for status, count in sorted(stats.failed.items()):
                failed.add_metric([*labels, str(status)], count)
            rows.add_metric(labels, stats.rows)
            in_flight.add_metric(labels, stats.in_flight)
            waiting.add_metric(labels, stats.waiting)
            digest = served.model.pack.digest or ""
            held = (served.unchanged, served.proven, served.model.pack.trusted)
            words = [str(each).lower() for each in held]
            info.add_metric([*labels, served.model.provider, digest, *words], 1)
        yield from (succeeded, failed, rows, in_flight, waiting, info)

    def _histograms(self) -> Iterator[Metric]:
        for name, documentation, attribute in (
            (
                "request_duration_seconds",
                "Time from the end of the body until the answer is ready to be sent.",
                "request_seconds",
            ),
            ("queue_duration_seconds", "Time spent waiting for a session.", "queue_seconds"),
            ("compute_duration_seconds", "Time spent running a batch.", "compute_seconds"),
            ("batch_rows", "Rows per batch.", "batch_rows"),
        ):
            family = HistogramMetricFamily(f"onnxpack_{name}", documentation, labels=LABELS)
            for _, stats, labels in self._labelled():
                histogram: Histogram = getattr(stats, attribute)
                family.add_metric(labels, list(_buckets(histogram)), histogram.sum)
            yield family

    def _triton(self) -> Iterator[Metric]:
        for name, value in TRITON.items():
            # Triton's counters have no _total suffix; a gauge keeps the name that dashboards use.
            family = GaugeMetricFamily(f"nv_inference_{name}", "As Triton counts.", labels=LABELS)
            for _, stats, labels in self._labelled():
                family.add_metric(labels, value(stats))
            yield family

    def _workers(self) -> Iterator[Metric]:
        """Yield the metric of several workers; a server of one has no parent that counts."""
        if self._repository.counters is not None:
            restarts = CounterMetricFamily(
                "onnxpack_worker_restarts", "Workers that ended by themselves and were replaced."
            )
            restarts.add_metric([], self._repository.counters.restarts)
            yield restarts

    def _labelled(self) -> Iterator[tuple[Served, Stats, list[str]]]:
        """Yield each model with its counters, summed over all workers, and its labels."""
        for served in self._repository:
            yield served, served.counters.total(), [served.name, served.version]


def _buckets(histogram: Histogram) -> Iterator[tuple[str, float]]:
    total = 0.0
    for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
        total += count
        yield str(bound), total
