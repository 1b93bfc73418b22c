"""The registry behind `/metrics`: it reads plain counters of live objects at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ws_server.durations import Durations

Reading = Callable[[], float]
ReadingOfEach = Callable[[], Mapping[str, float]]
REALM = ("realm",)


class Metrics(Collector):
    """Metrics by name."""

    def __init__(self) -> None:
        self._families: list[Callable[[], Metric]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def info(self, help: str, facts: Mapping[str, str]) -> None:
        """Show constant facts as the labels of `chat_info`."""
        self._families.append(lambda: InfoMetricFamily("chat", help, value=dict(facts)))

    def counter(self, name: str, help: str, read: Reading) -> None:
        """Show a counter as `chat_NAME_total`."""
        self._families.append(lambda: CounterMetricFamily(f"chat_{name}", help, value=read()))

    def counter_by(
        self, label: str, name: str, help: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Show a counter for each value of a label."""

        def family() -> Metric:
            counters = CounterMetricFamily(f"chat_{name}", help, labels=[label])
            for value, number in read().items():
                counters.add_metric([value], number)
            return counters

        self._families.append(family)

    def gauge(self, name: str, help: str, read: Reading) -> None:
        """Show a gauge as `chat_NAME`."""
        self._families.append(lambda: GaugeMetricFamily(f"chat_{name}", help, value=read()))

    def histogram(self, name: str, help: str, durations: Durations) -> None:
        """Show a histogram as `chat_NAME_bucket`, `_sum` and `_count`."""
        self._families.append(
            lambda: HistogramMetricFamily(
                f"chat_{name}", help, buckets=durations.buckets(), sum_value=durations.total
            )
        )

    def counter_of_realms(self, name: str, help: str, read: ReadingOfEach) -> None:
        """Show a counter for each realm, with the label `realm`."""
        self._families.append(
            lambda: _of_each(CounterMetricFamily(f"chat_realm_{name}", help, labels=REALM), read)
        )

    def gauge_of_realms(self, name: str, help: str, read: ReadingOfEach) -> None:
        """Show a gauge for each realm, with the label `realm`."""
        self._families.append(
            lambda: _of_each(GaugeMetricFamily(f"chat_realm_{name}", help, labels=REALM), read)
        )

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            yield family()

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)


def _of_each(family: CounterMetricFamily | GaugeMetricFamily, read: ReadingOfEach) -> Metric:
    """Add the value of each realm."""
    for realm, value in read().items():
        family.add_metric((realm,), value)
    return family
