"""What `/metrics` shows, read from the live objects when asked; they count plain integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Reading = Callable[[], float]
ReadingOfEach = Callable[[], Mapping[str, float]]


class Metrics(Collector):
    """A registry of numbers by name."""

    def __init__(self) -> None:
        self._counters: dict[str, tuple[str, Reading]] = {}
        self._gauges: dict[str, tuple[str, Reading]] = {}
        self._of_each: list[
            tuple[type[CounterMetricFamily] | type[GaugeMetricFamily], str, str, ReadingOfEach]
        ] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def counter(self, name: str, help: str, read: Reading) -> None:
        """Show a number that only rises, as `chat_NAME_total`."""
        self._counters[f"chat_{name}"] = (help, read)

    def gauge(self, name: str, help: str, read: Reading) -> None:
        """Show a number that rises and falls, as `chat_NAME`."""
        self._gauges[f"chat_{name}"] = (help, read)

    def counter_of_realms(self, name: str, help: str, read: ReadingOfEach) -> None:
        """Show a number of each realm that only rises, with the label `realm`."""
        self._of_each.append((CounterMetricFamily, f"chat_realm_{name}", help, read))

    def gauge_of_realms(self, name: str, help: str, read: ReadingOfEach) -> None:
        """Show a number of each realm that rises and falls, with the label `realm`."""
        self._of_each.append((GaugeMetricFamily, f"chat_realm_{name}", help, read))

    def collect(self) -> Iterable[Metric]:
        for name, (help, read) in self._counters.items():
            yield CounterMetricFamily(name, help, value=read())
        for name, (help, read) in self._gauges.items():
            yield GaugeMetricFamily(name, help, value=read())
        for kind, name, help, read_each in self._of_each:
            family = kind(name, help, labels=("realm",))
            for realm, value in read_each().items():
                family.add_metric((realm,), value)
            yield family

    def text(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self._registry)
