"""`kill -9` in the middle of batches: each committed hold ends exactly once, and the books stay right."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from komeet.core.clock import ManualClock
from komeet.ledger.port import State
from komeet.store.audit import audit, read_books
from komeet.store.database import Store
from komeet.store.recovery import CRASH, recover

_CHILD = """
import asyncio, os, sys
from pathlib import Path
from random import Random
from komeet.core.clock import SystemClock
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Outcome, State, Subject
from komeet.store.database import Store
from komeet.store.keys import create_key

directory, run = Path(sys.argv[1]), sys.argv[2]
clock, chance = SystemClock(), Random(int(run))
store = Store.open(directory, clock)
key, _ = create_key(store.files.ledger, clock, name="app")

async def call(number):
    attempt = f"att_{run}_{number:06d}"
    hold = Hold(
        attempt_id=attempt, request_id="req", key_id=key.id, accounts=(key.account,), provider="openai", model="m",
        model_asked="m", amount=Nano(10), held_at=clock.unix_ms(),
    )
    await store.ledger.hold(hold, Subject(key.id))
    os.write(1, f"{attempt}\\n".encode())
    for _ in range(chance.randrange(5)):
        await asyncio.sleep(0.001)
    state = chance.choice([*State, State.SETTLED, State.SETTLED])
    store.ledger.end(Outcome(attempt_id=attempt, state=state, cost=Nano(7), ended_at=clock.unix_ms()))

async def worker(first):
    for number in range(first, 1_000_000, 50):
        await call(number)

async def main():
    await asyncio.gather(*map(worker, range(50)))

asyncio.run(main())
"""


def _run_and_kill(directory: Path, run: int, after: int) -> set[str]:
    """Run calls until `after` holds are acknowledged, kill the process, and return all that were."""
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(directory), str(run)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as acknowledged:
        lines = [acknowledged.readline() for _ in range(after)]
        child.kill()
        lines += acknowledged.readlines()
    child.wait()
    return {line.decode().strip() for line in lines if line.endswith(b"\n")}


@pytest.mark.slow
def test_after_kill_9_each_hold_has_exactly_one_outcome(tmp_path: Path) -> None:
    for run, after in enumerate((1, 60, 333, 1_000)):
        acknowledged = _run_and_kill(tmp_path, run, after)
        assert len(acknowledged) >= after
        store = Store.open(tmp_path, ManualClock())
        engine = store.files.ledger
        with engine.connect() as connection, connection.begin():
            books = read_books(connection)
        held = {hold.attempt_id for hold in books.holds}
        assert acknowledged <= held
        assert Counter(end.outcome.attempt_id for end in books.ended) == Counter(held)
        crashed = [end for end in books.ended if end.outcome.reason == CRASH]
        assert {end.outcome.state for end in crashed} <= {State.ORPHAN}
        assert sum(end.outcome.attempt_id.startswith(f"att_{run}_") for end in crashed) == store.recovered > 0
        assert audit(engine) == []
        store.close()
        again = Store.open(tmp_path, ManualClock())
        assert again.recovered == 0
        found = recover(again.files.ledger, tmp_path / "journal", node="", boot="", now_ms=0)
        assert (found.orphans, found.records) == (0, 0)
        with again.files.ledger.connect() as connection, connection.begin():
            assert read_books(connection) == books
        again.close()
