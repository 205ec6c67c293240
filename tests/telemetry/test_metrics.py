"""The exposition says what the calls came to, in whole nano-dollars, and stays small whatever callers invent."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from komeet.canonical.record import CallRecord
from komeet.canonical.usage import Usage
from komeet.core.money import Nano
from komeet.telemetry.metrics import Metrics

PAIR = {"provider": "openai", "model": "gpt-5.2"}


def call(**fields: object) -> CallRecord:
    given = {"request_id": "req_1", "at": 0, "surface": "/v1/chat/completions", "status": 200, "provider": "openai"}
    return CallRecord(**(given | {"model_asked": "gpt-5.2"} | fields))  # pyright: ignore[reportArgumentType]


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of the exposition, read back as Prometheus reads it."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, labels: Mapping[str, str]) -> float | None:
    return samples(metrics).get((name, tuple(sorted(labels.items()))))


def test_a_call_is_counted_with_its_tokens_cost_and_times() -> None:
    metrics = Metrics()
    usage = Usage(input=100, cache_read=40, output=20, reasoning=5)
    metrics.ended(call(usage=usage, cost=Nano(94_500), latency_us=300_000, first_token_us=80_000))
    metrics.ended(call(usage=usage, cost=Nano(1), status=502, estimated=True, unpriced=True, losses=("temperature",)))
    assert value(metrics, "komeet_calls_total", PAIR | {"status": "200"}) == 1
    assert value(metrics, "komeet_calls_total", PAIR | {"status": "502"}) == 1
    assert value(metrics, "komeet_tokens_total", PAIR | {"class": "input"}) == 200
    assert value(metrics, "komeet_tokens_total", PAIR | {"class": "cache_read"}) == 80
    assert value(metrics, "komeet_tokens_total", PAIR | {"class": "output"}) == 40
    assert value(metrics, "komeet_tokens_total", PAIR | {"class": "reasoning"}) == 10
    assert value(metrics, "komeet_cost_nanodollars_total", PAIR) == 94_501
    assert value(metrics, "komeet_estimated_calls_total", PAIR) == 1
    assert value(metrics, "komeet_unpriced_calls_total", PAIR) == 1
    assert value(metrics, "komeet_losses_total", {"parameter": "temperature"}) == 1
    assert value(metrics, "komeet_call_seconds_count", {"provider": "openai"}) == 2
    assert value(metrics, "komeet_call_seconds_bucket", {"provider": "openai", "le": "0.5"}) == 2
    assert value(metrics, "komeet_first_token_seconds_count", {"provider": "openai"}) == 1
    assert value(metrics, "komeet_first_token_seconds_bucket", {"provider": "openai", "le": "0.1"}) == 1


@given(st.lists(st.integers(0, 10**12), max_size=20))
def test_money_is_whole_and_adds_up_to_the_last_nano_dollar(costs: list[int]) -> None:
    metrics = Metrics()
    for cost in costs:
        metrics.ended(call(cost=Nano(cost)))
    assert (value(metrics, "komeet_cost_nanodollars_total", PAIR) or 0) == sum(costs)


def test_invented_models_do_not_make_series_without_end() -> None:
    metrics = Metrics()
    for number in range(3_000):
        metrics.ended(call(model_asked=f"invented-{number}", cost=Nano(1), usage=Usage(input=1, output=1)))
    metrics.ended(call(model_asked="invented-0", cost=Nano(1)))
    read = samples(metrics)
    models = {dict(labels).get("model") for name, labels in read if name == "komeet_calls_total"}
    assert len(models) <= 1_001
    assert value(metrics, "komeet_calls_total", {"provider": "openai", "model": "other", "status": "200"}) == 2_000
    assert value(metrics, "komeet_calls_total", {"provider": "openai", "model": "invented-0", "status": "200"}) == 2
    assert len(read) < 6_000


def test_a_model_that_never_answered_has_no_series_of_its_own() -> None:
    metrics = Metrics()
    metrics.ended(call(model_asked="invented", status=404))
    assert value(metrics, "komeet_calls_total", {"provider": "openai", "model": "other", "status": "404"}) == 1
    metrics.ended(call(model_asked="real"))
    metrics.ended(call(model_asked="real", status=502))
    assert value(metrics, "komeet_calls_total", {"provider": "openai", "model": "real", "status": "502"}) == 1


def test_invented_parameters_do_not_make_series_without_end() -> None:
    metrics = Metrics()
    for number in range(500):
        metrics.ended(call(losses=("temperature", f"invented-{number}")))
    assert value(metrics, "komeet_losses_total", {"parameter": "temperature"}) == 500
    assert value(metrics, "komeet_losses_total", {"parameter": "other"}) == 500 - 99
    assert sum(name == "komeet_losses_total" for name, _ in samples(metrics)) == 101


def test_a_call_that_nobody_answered_keeps_the_name_it_asked_for_out() -> None:
    metrics = Metrics()
    for number in range(10):
        metrics.ended(call(provider="", model_asked=f"invented-{number}", status=404))
    assert value(metrics, "komeet_calls_total", {"provider": "", "model": "", "status": "404"}) == 10


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_whatever_a_model_is_called_the_exposition_can_be_read(name: str) -> None:
    metrics = Metrics()
    metrics.ended(call(model_asked=name))
    lines = metrics.exposition().decode().split("\n")
    assert sum(line.startswith("komeet_calls_total{") for line in lines) == 1
    assert all(line == "" or line.startswith(("# ", "komeet_")) for line in lines)


def test_watched_values_are_read_when_somebody_asks() -> None:
    metrics = Metrics()
    waiting = [3.0]
    metrics.watch({"komeet_ledger_waiting": ("Holds that are not durable yet", lambda: waiting[0])})
    assert value(metrics, "komeet_ledger_waiting", {}) == 3
    waiting[0] = 0
    assert value(metrics, "komeet_ledger_waiting", {}) == 0


def test_there_is_one_series_for_each_count() -> None:
    metrics = Metrics()
    metrics.ended(call())
    assert b"_created" not in metrics.exposition()


def test_the_place_of_a_loss_makes_no_series_of_its_own() -> None:
    metrics = Metrics()
    for number in range(500):
        metrics.ended(call(losses=(f"messages[{number}].content[{number % 7}].cache_control",)))
    assert value(metrics, "komeet_losses_total", {"parameter": "messages[].content[].cache_control"}) == 500
