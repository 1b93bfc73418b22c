"""What `/metrics` shows, read from the live objects when asked; they count plain integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Reading = Callable[[], float]


class Metrics(Collector):
    """A registry of numbers by name."""

    def __init__(self) -> None:
        self._counters: dict[str, tuple[str, Reading]] = {}
        self._gauges: dict[str, tuple[str, Reading]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def counter(self, name: str, help: str, read: Reading) -> None:
        """Show a number that only rises, as `chat_NAME_total`."""
        self._counters[f"chat_{name}"] = (help, read)

    def gauge(self, name: str, help: str, read: Reading) -> None:
        """Show a number that rises and falls, as `chat_NAME`."""
        self._gauges[f"chat_{name}"] = (help, read)

    def collect(self) -> Iterable[Metric]:
        for name, (help, read) in self._counters.items():
            yield CounterMetricFamily(name, help, value=read())
        for name, (help, read) in self._gauges.items():
            yield GaugeMetricFamily(name, help, value=read())

    def text(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self._registry)
