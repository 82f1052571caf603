"""Counts and times for Prometheus; nothing in them tells what a picture shows."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one application; several may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "mien_requests", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "mien_request_seconds",
            "Time from a request's head to its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.batches = Histogram(
            "mien_batch_images",
            "Photos answered by one call.",
            buckets=BATCHES,
            registry=self.registry,
        )
        self.faces = Counter("mien_faces", "Faces found in photos.", registry=self.registry)
        self.explanations = Histogram(
            "mien_explanation_seconds",
            "Time to explain a photo.",
            ("method",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.videos = Counter(
            "mien_videos", "Video jobs that ended.", ("outcome",), registry=self.registry
        )

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A value that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def seen(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self.registry)
