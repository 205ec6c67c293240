"""What was counted, as values that another process can add up; no more than a process needs that only hands them on."""

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

_MOST_KEPT: Final = 2000
"""Samples of a metric that are kept of processes that have ended: each may have known a thousand models of its own."""
OTHER: Final = "other"
"""The model of what is not kept apart."""

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]


class Family(Struct, frozen=True, kw_only=True):
    """A metric with its samples."""

    name: str
    text: str
    kind: Kind
    samples: list[tuple[str, Labels, float]]
    """Name, labels, value."""


def lasting(counted: Iterable[Family]) -> list[Family]:
    """Return what stays true when the process that counted has ended: all but gauges."""
    return [family for family in counted if family.kind != "gauge"]


def past(before: Iterable[Family], ended: Iterable[Family]) -> list[Family]:
    """Return the sums with what one more process counted that has ended; their number is bounded, by whole models."""
    return [_folded(family) for family in added((before, lasting(ended)))]


def _folded(family: Family) -> Family:
    if len(family.samples) <= _MOST_KEPT:
        return family
    kept = family.samples[:_MOST_KEPT]  # the oldest: what was a sample of its own stays one
    sums: dict[tuple[str, Labels], float] = {}
    for name, labels, value in family.samples[_MOST_KEPT:]:
        place = name, tuple((label, OTHER if label == "model" else said) for label, said in labels)
        sums[place] = sums.get(place, 0) + value
    rest = Family(
        name=family.name,
        text=family.text,
        kind=family.kind,
        samples=[(*place, value) for place, value in sums.items()],
    )
    return added([[Family(name=family.name, text=family.text, kind=family.kind, samples=kept)], [rest]])[0]


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


def total(counted: Iterable[Family], name: str) -> float:
    """Return the sum of all samples of that name, whatever their labels."""
    return sum(value for family in counted for sample, _, value in family.samples if sample == name)
