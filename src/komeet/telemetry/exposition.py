"""Prometheus' side of what was counted: reading a registry, and writing the text format."""

from collections.abc import Iterable, Iterator
from typing import cast

from prometheus_client import CollectorRegistry, Metric, generate_latest

from komeet.telemetry.samples import Family, Kind


def families(registry: CollectorRegistry) -> list[Family]:
    """Return all that a registry has now."""
    return [
        Family(
            name=metric.name,
            text=metric.documentation,
            kind=cast("Kind", metric.type),
            samples=[(sample.name, tuple(sample.labels.items()), sample.value) for sample in metric.samples],
        )
        for metric in registry.collect()
    ]


def written(counted: Iterable[Family]) -> bytes:
    """Write families in Prometheus' text format."""
    return generate_latest(cast("CollectorRegistry", _Collected(counted)))


class _Collected:
    """Stands in for a registry, of which the writer needs no more than this."""

    def __init__(self, counted: Iterable[Family]) -> None:
        self._counted = counted

    def collect(self) -> Iterator[Metric]:
        for family in self._counted:
            metric = Metric(family.name, family.text, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, dict(labels), value)
            yield metric
