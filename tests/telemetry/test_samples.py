"""Sums over processes: counters and histograms add up, and stay when a process has ended; gauges go with it."""

from prometheus_client.parser import text_string_to_metric_families

from komeet.canonical.record import CallRecord
from komeet.canonical.usage import Usage
from komeet.telemetry.exposition import written
from komeet.telemetry.metrics import Metrics
from komeet.telemetry.samples import Family, added, lasting, past, total


def counting(calls: int, waiting: float, model: str = "gpt-5.2") -> Metrics:
    metrics = Metrics()
    metrics.watch({"komeet_ledger_waiting": ("…", lambda: waiting)})
    for _ in range(calls):
        metrics.ended(
            CallRecord(
                request_id="r",
                at=0,
                surface="/",
                status=200,
                provider="openai",
                model_asked=model,
                usage=Usage(input=2),
                latency_us=300_000,
            )
        )
    return metrics


def values(text: bytes) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("model", sample.labels.get("le", ""))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_one_process_is_written_as_it_writes_itself() -> None:
    metrics = counting(3, 1)
    assert written(added([metrics.counted()])) == metrics.exposition()


def test_sums() -> None:
    found = values(
        written(added([counting(3, 1).counted(), counting(2, 5).counted(), counting(4, 0, 'o"4').counted()]))
    )
    assert found["komeet_calls_total", "gpt-5.2"] == 5
    assert found["komeet_calls_total", 'o"4'] == 4
    assert found["komeet_tokens_total", "gpt-5.2"] == 10
    assert found["komeet_call_seconds_bucket", "0.5"] == 9
    assert found["komeet_call_seconds_bucket", "0.1"] == 0
    assert found["komeet_ledger_waiting", ""] == 6


def test_what_remains_of_a_process_that_has_ended() -> None:
    past = added([[], lasting(counting(3, 7).counted())])
    found = values(written(added([past, counting(2, 5).counted()])))
    assert found["komeet_calls_total", "gpt-5.2"] == 5
    assert found["komeet_ledger_waiting", ""] == 5


def test_what_is_kept_of_those_that_have_ended_is_bounded_whatever_models_they_knew() -> None:
    """A key that invents names makes a thousand series in each worker: many reloads must not keep them all."""

    def knew(worker: int) -> list[Family]:
        samples = [
            ("komeet_calls_total", (("provider", "openai"), ("model", f"{worker}-{number}"), ("status", "200")), 2.0)
            for number in range(1000)
        ]
        return [Family(name="komeet_calls", text="…", kind="counter", samples=samples)]

    kept: list[Family] = []
    for worker in range(20):
        kept = past(kept, knew(worker))
        assert total(kept, "komeet_calls_total") == 2000 * (worker + 1)
    (family,) = kept
    assert len(family.samples) < 2100
    models = {dict(labels)["model"]: value for _, labels, value in family.samples}
    assert models["0-0"] == models["1-999"] == 2
    assert models["other"] == 2 * 18_000
