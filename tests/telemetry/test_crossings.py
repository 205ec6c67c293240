"""A crossing is told once: a line, a count, a signed webhook that is sent again until it is taken."""

import asyncio
import json
import logging
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from komeet.access.signature import verify
from komeet.core.clock import ManualClock
from komeet.core.errors import ConnectFailed
from komeet.core.http import Headers
from komeet.core.money import Nano
from komeet.core.secrets import Secret
from komeet.ledger.budget import Budget, Scope, Span
from komeet.ledger.thresholds import Crossing
from komeet.net.tasks import Tasks
from komeet.telemetry.crossings import Crossings, event
from komeet.telemetry.metrics import Metrics

SECRET = Secret("whsec-0123456789abcdef")
CROSSING = Crossing(
    budget=Budget(
        id=7,
        scope=Scope.PROJECT,
        subject="prj_1",
        label="web",
        span=Span.MONTH,
        zone="Europe/Amsterdam",
        amount=Nano(10_000_000_000),
    ),
    starts_at=1_761_951_600_000,  # 2025-11-01 in Amsterdam
    percent=80,
    posted=Nano(8_100_000_000),
    at=1_763_800_000_000,
)


class Receiver:
    """Takes webhooks: with one status after another, or an error; as many as are `wanted`."""

    def __init__(self, *statuses: int | None, wanted: int) -> None:
        self.statuses = list(statuses)
        self.taken: list[tuple[Headers, bytes]] = []
        self.wanted = wanted
        self.complete = asyncio.Event()

    async def post(self, headers: Headers, body: bytes) -> int:
        self.taken.append((headers, body))
        if len(self.taken) == self.wanted:
            self.complete.set()
        status = self.statuses.pop(0) if self.statuses else 200
        if status is None:
            raise ConnectFailed("No connection to hooks.example.com.")
        return status


def teller(
    crossings: Sequence[Crossing],
    metrics: Metrics,
    receiver: Receiver | None = None,
    pauses: Sequence[float] = (0.0, 0.0),
) -> Crossings:
    left = list(crossings)

    def take() -> list[Crossing]:
        taken = left[:]
        left.clear()
        return taken

    webhook = None if receiver is None else (receiver.post, SECRET)
    return Crossings(take, metrics.crossed, ManualClock(), webhook, pauses)


def run(crossings: Sequence[Crossing], receiver: Receiver, pauses: Sequence[float] = (0.0, 0.0)) -> None:
    async def main() -> None:
        tasks = Tasks()
        telling = teller(crossings, Metrics(), receiver, pauses)
        await telling.start(tasks.spawn)
        async with asyncio.timeout(20):
            await receiver.complete.wait()
        await telling.stop()
        assert await tasks.drain(10) == 0

    asyncio.run(main())


def test_it_is_written_and_counted_without_naming_anybody_in_the_metrics(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    telling = teller([CROSSING, replace(CROSSING, percent=100)], metrics)
    assert len(telling.tell()) == 2
    assert telling.tell() == []
    assert [record.message for record in caplog.records] == [
        f"budget 7 of project 'web', each month: {percent} % of $10 is spent: $8.1 (hard)" for percent in (80, 100)
    ]
    text = metrics.exposition().decode()
    assert 'komeet_budget_crossed_total{kind="hard",percent="80",scope="project"} 1.0' in text
    assert "web" not in text
    assert "prj_1" not in text


def test_the_webhook_says_all_of_it_and_is_signed() -> None:
    receiver = Receiver(wanted=1)
    run([CROSSING], receiver)
    ((headers, body),) = receiver.taken
    sent = dict(headers)
    assert sent[b"content-type"] == b"application/json"
    verify(SECRET, sent[b"komeet-signature"], body, ManualClock().unix_ms() // 1000)
    assert json.loads(body) == {
        "id": "evt_7_1761951600000_80_8100000000",
        "type": "budget.threshold_crossed",
        "created_at": "2025-11-22T08:26:40Z",
        "percent": 80,
        "spent": "8.1",
        "spent_nano": 8_100_000_000,
        "begins_at": "2025-10-31T23:00:00Z",
        "resets_at": "2025-11-30T23:00:00Z",
        "budget": {
            "id": 7,
            "scope": "project",
            "subject": "prj_1",
            "name": "web",
            "per": "month",
            "zone": "Europe/Amsterdam",
            "hard": True,
            "limit": "10",
            "limit_nano": 10_000_000_000,
        },
    }


def test_what_never_begins_anew_says_so() -> None:
    total = replace(CROSSING, budget=replace(CROSSING.budget, span=Span.TOTAL), starts_at=0)
    said = json.loads(event(total))
    assert (said["begins_at"], said["resets_at"]) == (None, None)


def test_it_is_sent_again_until_it_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(500, None, 204, wanted=3)
    run([CROSSING], receiver)
    assert len(receiver.taken) == 3
    assert len({body for _, body in receiver.taken}) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_it_is_given_up_in_the_end_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(500, 404, None, 200, wanted=3)
    run([CROSSING], receiver)
    assert len(receiver.taken) == 3
    (said,) = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert said == "budget 7: its webhook was not delivered: No connection to hooks.example.com."


def test_at_the_end_it_is_tried_once_more_and_nothing_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(500, 500, 500, wanted=1)
    run([CROSSING], receiver, (3600.0, 3600.0))
    assert len(receiver.taken) == 2
    assert "was not delivered: status 500" in caplog.text


def test_a_receiver_that_is_slow_keeps_no_other_waiting() -> None:
    class Slow(Receiver):
        async def post(self, headers: Headers, body: bytes) -> int:
            status = await super().post(headers, body)
            await self.complete.wait()
            return status

    receiver = Slow(wanted=2)
    run([CROSSING, replace(CROSSING, percent=100)], receiver)
    assert len(receiver.taken) == 2
