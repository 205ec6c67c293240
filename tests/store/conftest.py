"""A ledger in a file of its own for each test, with a key to spend from."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine

from komeet.access.keys import Key
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.port import Hold
from komeet.store.keys import create_key
from komeet.store.schema import LEDGER_LINE, bring_to_head
from komeet.store.sqlite import open_engine


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(tmp_path / "komeet.db", "crash", busy_ms=100)
    bring_to_head(engine, LEDGER_LINE)
    yield engine
    engine.dispose()


@pytest.fixture
def patient(engine: Engine) -> Iterator[Engine]:
    """The same database, for a ledger that waits out any lock of a test."""
    patient = open_engine(Path(str(engine.url.database)), "crash", busy_ms=60_000)
    yield patient
    patient.dispose()


@pytest.fixture
def key(engine: Engine, clock: ManualClock) -> Key:
    """A key with a budget of 1 000 n$."""
    return create_key(engine, clock, name="app", budget=Nano(1_000), tags=["blue", "team"])[0]


@pytest.fixture
def new_hold(clock: ManualClock) -> Callable[[Key, int], Hold]:
    ids = count()

    def new_hold(key: Key, amount: int) -> Hold:
        return Hold(
            attempt_id=f"att_{next(ids):06d}",
            request_id="req_1",
            key_id=key.id,
            accounts=(key.account,),
            provider="openai",
            model="gpt-5.2",
            model_asked="openai/gpt-5.2",
            tags=key.tags,
            amount=Nano(amount),
            held_at=clock.unix_ms(),
        )

    return new_hold
