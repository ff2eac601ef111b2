"""Counts as Prometheus reads them: its text format, by its own library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from server.metrics import BUCKETS, Counts, LogFacts, TailFacts


def exposed(
    counts: Counts, *, ready: bool, logs: Iterable[LogFacts], tails: Iterable[TailFacts] = ()
) -> bytes:
    """All numbers of the service, how large its logs are, and how much of them is unanchored."""
    registry = CollectorRegistry()
    registry.register(_Families([*_families(counts, ready, logs), *_tails(list(tails))]))
    return generate_latest(registry)


class _Families:
    """A collector of what was added up already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _families(counts: Counts, ready: bool, logs: Iterable[LogFacts]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "muniment_requests", "Requests answered.", labels=("operation", "status")
    )
    for operation, status, number in counts.requests:
        requests.add_metric((operation, str(status)), number)
    yield requests
    latency = HistogramMetricFamily(
        "muniment_request_duration_seconds",
        "From the last byte of a request to its answer, the commit included.",
        labels=("operation",),
    )
    for operation, (buckets, seconds) in sorted(counts.latency.items()):
        latency.add_metric((operation,), _cumulative(buckets), seconds)
    yield latency
    yield CounterMetricFamily("muniment_commits", "Commits made by requests.", value=counts.commits)
    yield CounterMetricFamily(
        "muniment_committed_requests",
        "Requests made durable by a commit; by muniment_commits, how many share one.",
        value=counts.committed,
    )
    yield CounterMetricFamily(
        "muniment_unauthenticated_requests",
        "Requests without a valid token; every client's first one is.",
        value=counts.unauthenticated,
    )
    yield GaugeMetricFamily(
        "muniment_ready", "1 if events can be recorded, else 0.", value=int(ready)
    )
    records = GaugeMetricFamily(
        "muniment_log_records", "Records in a log.", labels=("vault", "log")
    )
    for log in logs:
        records.add_metric((log.vault, log.log), log.size)
    yield records


def _tails(tails: list[TailFacts]) -> Iterator[Metric]:
    if not tails:
        return
    records = GaugeMetricFamily(
        "muniment_unanchored_records",
        "Records of a log that nobody outside vouches for.",
        labels=("vault", "log"),
    )
    seconds = GaugeMetricFamily(
        "muniment_unanchored_seconds",
        "How long the first of them has been there.",
        labels=("vault", "log"),
    )
    for tail in tails:
        records.add_metric((tail.vault, tail.log), tail.records)
        seconds.add_metric((tail.vault, tail.log), tail.seconds)
    yield records
    yield seconds


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
    total = 0
    result: list[tuple[str, float]] = []
    for bound, number in zip(bounds, buckets, strict=True):
        total += number
        result.append((bound, total))
    return result
