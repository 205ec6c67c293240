"""Calls without a known price are named in the log, each model once an hour."""

import logging

import pytest

from komeet.canonical.record import CallRecord
from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.telemetry.unpriced import UnpricedAlarm


def record(model: str, *, unpriced: bool = True) -> CallRecord:
    return CallRecord(
        request_id="req_1",
        at=0,
        surface="/v1/chat/completions",
        model_asked=model,
        provider="maker",
        status=200,
        usage=Usage(),
        cost=Nano(0),
        unpriced=unpriced,
    )


def test_each_model_is_named_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    alarm = UnpricedAlarm(clock)
    with caplog.at_level(logging.WARNING):
        for model in ("a", "a", "b"):
            alarm.ended(record(model))
        alarm.ended(record("c", unpriced=False))
        assert [line.split(":")[0] for line in caplog.messages] == ["unpriced", "unpriced"]
        assert "what a costs at maker is not known" in caplog.messages[0]
        clock.now += 3_600
        alarm.ended(record("a"))
    assert len(caplog.messages) == 3


def test_invented_names_do_not_fill_the_memory(caplog: pytest.LogCaptureFixture) -> None:
    alarm = UnpricedAlarm(ManualClock())
    with caplog.at_level(logging.CRITICAL):
        for number in range(3_000):
            alarm.ended(record(f"m{number}"))
    assert len(alarm._named) <= 1_000  # pyright: ignore[reportPrivateUsage]
