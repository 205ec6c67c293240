"""What caches have saved, summed from the request log."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.store.postgres import BOTH

from komeet.canonical.record import CallRecord
from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.store.engine import Databases
from komeet.store.postgresql import open_postgresql
from komeet.store.request_log import RequestLog
from komeet.store.savings import Savings, savings
from komeet.store.schema import REQUESTS_LINE, bring_to_head
from komeet.store.sqlite import open_engine

DAY = 86_400_000
DATABASES = BOTH


@pytest.fixture
def database(tmp_path: Path, databases: Databases) -> Iterator[Engine]:
    engine = (
        open_engine(tmp_path / "requests.db", "crash")
        if databases.ledger is None
        else open_postgresql(databases.ledger, "crash")
    )
    bring_to_head(engine, REQUESTS_LINE)
    yield engine
    engine.dispose()


def call(number: int, at: int, provider: str = "a", model: str = "m", status: int = 200, **more: object) -> CallRecord:
    return CallRecord(
        request_id=f"req_{number}",
        at=at,
        surface="/",
        key_id="k",
        provider=provider,
        model_asked=model,
        status=status,
        **more,  # pyright: ignore[reportArgumentType]
    )


CALLS = (
    call(1, at=DAY, usage=Usage(input=100, cache_read=60), prompt_saved=Nano(500)),
    call(2, at=DAY + 5, usage=Usage(input=100, cache_write=50), prompt_saved=Nano(-100)),
    call(3, at=2 * DAY, provider="", cache="hit", saved=Nano(900)),
    call(4, at=2 * DAY, model="n", usage=Usage(input=10)),
    call(5, at=2 * DAY, status=500, usage=Usage(input=10)),
)


def test_sums(database: Engine) -> None:
    log = RequestLog(database, ManualClock())
    for one in CALLS:
        log.ended(one)
    assert log.flush()
    log.close()
    read = Savings(name="a/m", calls=2, input=200, cache_read=60, prompt_saved=Nano(400))
    hit = Savings(name="cache/m", calls=1, hits=1, saved=Nano(900))
    assert savings(database, "model") == [hit, read, Savings(name="a/n", calls=1, input=10)]
    assert [(row.name, row.calls) for row in savings(database, "provider")] == [("cache", 1), ("a", 3)]
    (total,) = savings(database, "key")
    assert (total.name, total.calls, total.prompt_saved, total.saved) == ("k", 4, 400, 900)
    assert [(int(row.name) // DAY, row.calls) for row in savings(database, "day")] == [(1, 2), (2, 2)]
    assert savings(database, "model", since=DAY + 1, until=2 * DAY) == [
        Savings(name="a/m", calls=1, input=100, prompt_saved=Nano(-100))
    ]
