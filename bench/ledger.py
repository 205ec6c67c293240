"""What the ledger costs: `python -m bench.ledger [--postgresql ADDRESS]`.

Three figures for keys with none, one and four hard budgets:

- what a call pays on its event loop (hold and outcome, the journal's two writes included), one call after the other;
- what it costs in all, the thread that takes it to the database included;
- how fast that thread is when nothing holds it up: rows a second, beside SQLite or PostgreSQL that is given rows of the
  same tables and nothing else, in transactions of the same size.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct
from sqlalchemy import Engine, func, insert, select

from komeet.access.keys import Key
from komeet.canonical.usage import Usage
from komeet.core.clock import SystemClock
from komeet.core.ids import new_id
from komeet.core.money import Nano
from komeet.core.secrets import Secret
from komeet.ledger.budget import Budget, Scope, Span
from komeet.ledger.port import Hold, Outcome, State, Subject
from komeet.store.budgets import create_budget
from komeet.store.bulk import Bulk
from komeet.store.database import Store
from komeet.store.engine import Databases
from komeet.store.keys import create_key
from komeet.store.ledger_writer import LedgerWriter
from komeet.store.tables import holds, outcomes, postings
from komeet.store.transactions import writing

_CLOCK: Final = SystemClock()
_BATCH: Final = 500
_BARE: Final = 2_000
_LOTS: Final = Nano(10**15)
_TABLES: Final = (holds, outcomes, postings)


class Figures(Struct, frozen=True, kw_only=True):
    """Of one kind of key."""

    budgets: int
    loop_us: float
    """CPU of the event loop for a call."""
    all_us: float
    """CPU of the process for a call, until it is in the database."""
    rows_per_second: float
    """Of holds, outcomes and postings, drained as fast as it goes."""


def measure(folder: Path, databases: Databases, budgets: int, calls: int) -> Figures:
    """Open a new data directory, and make `calls` calls of a key with so many budgets."""
    with closing(Store.open(folder, _CLOCK, databases=databases)) as store:
        engine = store.files.ledger
        key, _ = create_key(engine, _CLOCK, name=f"bench {budgets} {new_id('', _CLOCK)}")
        for number in range(budgets):
            span = (Span.TOTAL, Span.MONTH, Span.DAY, Span.HOUR)[number]
            wanted = Budget(id=0, scope=Scope.KEY, subject=key.id, span=span, amount=_LOTS)
            create_budget(engine, _CLOCK, wanted)
        before = _rows(engine)
        loop, whole, seconds = asyncio.run(_calls(store, key, calls))
        rows = _rows(engine) - before
        return Figures(
            budgets=budgets, loop_us=loop / calls * 1e6, all_us=whole / calls * 1e6, rows_per_second=rows / seconds
        )


async def _calls(store: Store, key: Key, calls: int) -> tuple[float, float, float]:
    """CPU seconds of the loop, CPU seconds of the process, and seconds of the clock until all is drained."""
    ledger, subject = store.ledger, Subject(key.id)
    await ledger.learn()
    prefix = new_id("", _CLOCK)
    await ledger.hold(_hold(key, prefix), subject)
    ledger.end(_outcome(prefix))
    await asyncio.to_thread(_drained, ledger)
    made = [(_hold(key, f"{prefix}{n}"), _outcome(f"{prefix}{n}")) for n in range(calls)]
    process, loop, began = time.process_time(), time.thread_time(), time.perf_counter()
    for number, (hold, outcome) in enumerate(made):
        await ledger.hold(hold, subject)
        ledger.end(outcome)
        if number % _BATCH == 0:
            await asyncio.sleep(0)
    spent = time.thread_time() - loop
    await asyncio.to_thread(_drained, ledger)
    return spent, time.process_time() - process, time.perf_counter() - began


def _drained(ledger: LedgerWriter) -> None:
    while ledger.waiting:
        time.sleep(0.001)


def _hold(key: Key, name: str) -> Hold:
    return Hold(
        attempt_id=f"att_{name}",
        request_id=f"req_{name}",
        key_id=key.id,
        accounts=(key.account,),
        provider="openai",
        model="gpt-5.2",
        model_asked="gpt-5.2",
        amount=Nano(50_000_000),
        charge=Nano(50_000_000),
        held_at=_CLOCK.unix_ms(),
    )


def _outcome(name: str) -> Outcome:
    return Outcome(
        attempt_id=f"att_{name}",
        state=State.SETTLED,
        cost=Nano(1_234_567),
        charge=Nano(1_234_567),
        usage=Usage(input=500, output=100),
        price_version="bench",
        model_served="gpt-5.2",
        latency_us=1_000_000,
        ended_at=_CLOCK.unix_ms(),
    )


def _rows(engine: Engine) -> int:
    with engine.connect() as connection:
        counts = (connection.execute(select(func.count()).select_from(table)).scalar_one() for table in _TABLES)
        return sum(counts)


def bare(engine: Engine) -> float:
    """Return the rows a second that the database takes of the same tables, copied from what is there."""
    kept: list[tuple[Bulk, Sequence[tuple[object, ...]]]] = []
    with writing(engine) as connection:
        for table in reversed(_TABLES):
            names = [column.name for column in table.c if column.name != "id"]
            rows = [tuple(row) for row in connection.execute(select(*(table.c[name] for name in names)))]
            kept.insert(0, (Bulk(insert(table), *names), rows))
            connection.execute(table.delete())
    began, count = time.perf_counter(), 0
    for statement, rows in kept:
        for start in range(0, len(rows), _BATCH):
            with writing(engine) as connection:
                statement.run(connection, rows[start : start + _BATCH])
        count += len(rows)
    return count / (time.perf_counter() - began)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000, help="calls of each round (default: 10000)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians are told (default: 3)")
    parser.add_argument("--postgresql", metavar="ADDRESS", help="of an empty database, in place of SQLite")
    given = parser.parse_args()
    databases = Databases(ledger=None if given.postgresql is None else Secret(given.postgresql))
    with tempfile.TemporaryDirectory(prefix="komeet-ledger-") as name:
        measure(Path(name), databases, 0, _BARE)
        with closing(Store.open(Path(name), _CLOCK, databases=databases)) as store:
            print(f"the bare tables take {bare(store.files.ledger):.0f} rows/s", flush=True)
    print(f"{'budgets':>8}{'loop µs/call':>14}{'all µs/call':>13}{'rows/s':>10}")
    with tempfile.TemporaryDirectory(prefix="komeet-ledger-") as name:
        for budgets in (0, 1, 4):
            found = [measure(Path(name), databases, budgets, given.calls) for _ in range(given.rounds)]
            loop, whole = median(one.loop_us for one in found), median(one.all_us for one in found)
            rate = median(one.rows_per_second for one in found)
            print(f"{budgets:>8}{loop:>14.1f}{whole:>13.1f}{rate:>10.0f}", flush=True)


if __name__ == "__main__":
    main()
