"""What was counted, as values that another process can add up."""

from collections.abc import Iterable, Iterator
from typing import Literal, cast

from msgspec import Struct
from prometheus_client import CollectorRegistry, Metric, generate_latest

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]


class Family(Struct, frozen=True, kw_only=True):
    """A metric with its samples."""

    name: str
    text: str
    kind: Kind
    samples: list[tuple[str, Labels, float]]
    """Name, labels, value."""


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


def lasting(counted: Iterable[Family]) -> list[Family]:
    """Return what stays true when the process that counted has ended: all but gauges."""
    return [family for family in counted if family.kind != "gauge"]


def added(parts: Iterable[Iterable[Family]]) -> list[Family]:
    """Return the sums over several processes, sample by sample."""
    found: dict[str, Family] = {}
    sums: dict[str, dict[tuple[str, Labels], float]] = {}
    for part in parts:
        for family in part:
            found.setdefault(family.name, family)
            values = sums.setdefault(family.name, {})
            for name, labels, value in family.samples:
                values[name, labels] = values.get((name, labels), 0) + value
    return [
        Family(
            name=family.name,
            text=family.text,
            kind=family.kind,
            samples=[(*place, value) for place, value in sums[family.name].items()],
        )
        for family in found.values()
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
