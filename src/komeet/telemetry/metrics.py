"""Counts for Prometheus, fed from the records of calls that ended."""

import re
from collections.abc import Callable, Mapping

from msgspec import Struct
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from komeet.canonical.record import CallRecord
from komeet.canonical.usage import Usage
from komeet.ledger.thresholds import Crossing
from komeet.telemetry.exposition import families
from komeet.telemetry.samples import Family

_MOST_SERIES = 1000
"""Pairs of provider and model that are kept apart: models are named by callers. What comes after counts as `other`."""
_MOST_LOSSES = 100
"""Parameters that are kept apart: some models are sent none but those that they know, and callers name the rest."""
_OTHER = "other"
_PLACE = re.compile(r"\[\d+\]")
"""Which message or tool it was says nothing to a counter."""
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class _Series(Struct):
    """What is counted for each call of a provider, a model and a status."""

    calls: Counter
    cost: Counter
    latency: Histogram
    tokens: dict[str, Counter]
    """By class; only those that there have been."""


class Metrics:
    """An observer of calls that speaks Prometheus."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, which says when the first one was made
        self._registry = registry = CollectorRegistry()
        names = ("provider", "model")
        self._calls = Counter(
            "komeet_calls", "Calls by the status that the caller got", (*names, "status"), registry=registry
        )
        self._tokens = Counter("komeet_tokens", "Tokens; cache_* are part of input, reasoning of output",
                               (*names, "class"), registry=registry)  # fmt: skip
        self._cost = Counter("komeet_cost_nanodollars", "Cost in nano-US-dollars", names, registry=registry)
        self._estimated = Counter(
            "komeet_estimated_calls", "Calls whose usage was counted here", names, registry=registry
        )
        self._unpriced = Counter("komeet_unpriced_calls", "Calls without a known price", names, registry=registry)
        self._losses = Counter("komeet_losses", "Parameters left out for a model", ("parameter",), registry=registry)
        self._latency = Histogram("komeet_call_seconds", "From the first byte of a call to the last of its answer",
                                  ("provider",), buckets=_SECONDS, registry=registry)  # fmt: skip
        self._first = Histogram("komeet_first_token_seconds", "From the first byte of a call to its first content",
                                ("provider",), buckets=_SECONDS, registry=registry)  # fmt: skip
        self._crossed = Counter("komeet_budget_crossed", "Thresholds of budgets that were crossed",
                                ("scope", "percent", "kind"), registry=registry)  # fmt: skip
        self._hits = Counter("komeet_cache_hits", "Calls answered from the response cache", registry=registry)
        self._misses = Counter("komeet_cache_misses", "Calls that it had no answer for", registry=registry)
        self._saved = Counter(
            "komeet_cache_saved_nanodollars", "What the hits would have cost, in nano-US-dollars", registry=registry
        )
        self._prompt_saved = Counter(
            "komeet_prompt_cache_saved_nanodollars",
            "What prompt caches of providers saved, in nano-US-dollars; without calls for which they cost more",
            names,
            registry=registry,
        )
        self._pairs: set[tuple[str, str]] = set()
        self._series: dict[tuple[str, str, int], _Series] = {}
        """By provider, model and status: looking labels up takes longer than counting."""
        self._lost: set[str] = set()

    def ended(self, record: CallRecord) -> None:
        """Count one call."""
        pair: tuple[str, str] = (record.provider, record.model_asked if record.provider else "")
        if pair not in self._pairs:
            # A name that has never answered may be invented: it opens no series of its own.
            if len(self._pairs) >= _MOST_SERIES or (pair[1] and record.status >= 400):
                pair = (record.provider, _OTHER)
            self._pairs.add(pair)
        series = self._series.get((pair[0], pair[1], record.status)) or self._new_series(*pair, record.status)
        series.calls.inc()
        self._count_usage(pair, series, record.usage)
        if record.cost:
            series.cost.inc(record.cost)
        if record.prompt_saved > 0:
            self._prompt_saved.labels(*pair).inc(record.prompt_saved)
        if record.estimated:
            self._estimated.labels(*pair).inc()
        if record.unpriced:
            self._unpriced.labels(*pair).inc()
        if record.cache:
            self._count_cache(record)
        for path in record.losses:
            self._losses.labels(self._loss(path)).inc()
        series.latency.observe(record.latency_us / 1e6)
        if record.first_token_us is not None:
            self._first.labels(record.provider).observe(record.first_token_us / 1e6)

    def _count_cache(self, record: CallRecord) -> None:
        if record.cache == "hit":
            self._hits.inc()
            self._saved.inc(record.saved)
        elif record.cache == "miss":
            self._misses.inc()

    def _count_usage(self, pair: tuple[str, str], series: _Series, usage: Usage) -> None:
        if usage.input:
            self._tokens_of(pair, series, "input").inc(usage.input)
        if usage.output:
            self._tokens_of(pair, series, "output").inc(usage.output)
        if usage.cache_read:
            self._tokens_of(pair, series, "cache_read").inc(usage.cache_read)
        if usage.cache_write:
            self._tokens_of(pair, series, "cache_write").inc(usage.cache_write)
        if usage.reasoning:
            self._tokens_of(pair, series, "reasoning").inc(usage.reasoning)

    def _tokens_of(self, pair: tuple[str, str], series: _Series, name: str) -> Counter:
        found = series.tokens.get(name)
        if found is None:
            found = series.tokens[name] = self._tokens.labels(*pair, name)
        return found

    def _new_series(self, provider: str, model: str, status: int) -> _Series:
        made = self._series[provider, model, status] = _Series(
            calls=self._calls.labels(provider, model, str(status)),
            cost=self._cost.labels(provider, model),
            latency=self._latency.labels(provider),
            tokens={},
        )
        return made

    def crossed(self, crossing: Crossing) -> None:
        """Count one threshold of a budget; whose budget it is stays out of the metrics."""
        budget = crossing.budget
        self._crossed.labels(budget.scope.value, str(crossing.percent), "hard" if budget.hard else "soft").inc()

    def _loss(self, path: str) -> str:
        path = _PLACE.sub("[]", path)
        if path not in self._lost and len(self._lost) >= _MOST_LOSSES:
            return _OTHER
        self._lost.add(path)
        return path

    def watch(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        """Show values that are read when somebody asks: name → (text, reader)."""
        for name, (text, read) in gauges.items():
            Gauge(name, text, registry=self._registry).set_function(read)

    def counted(self) -> list[Family]:
        """Return everything as values, for whoever adds up the counts of several processes."""
        return families(self._registry)

    def exposition(self) -> bytes:
        """Write everything in Prometheus' text format."""
        return generate_latest(self._registry)
