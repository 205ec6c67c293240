"""A ledger of N attempts, made at once, and what reading it takes: `python -m bench.ledger_rows --attempts 10000000`.

The rows are those that the drain would have written: a month of calls of a hundred keys, a third of them in projects of
organisations with monthly budgets, four providers, some calls void, orphaned, estimated or sold above cost. They are
written directly, since ten million calls would take an hour. `komeet ledger audit` finds nothing wrong with them.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Engine, Table, func, insert, select, update

from komeet.core.secrets import Secret
from komeet.store.bulk import Bulk
from komeet.store.engine import Databases, open_ledger
from komeet.store.schema import LEDGER_LINE, bring_to_head
from komeet.store.tables import (
    USAGE_COLUMNS,
    accounts,
    budget_windows,
    budgets,
    holds,
    keys,
    open_holds,
    organisations,
    outcomes,
    postings,
    projects,
    usage_hours,
)
from komeet.store.transactions import writing
from komeet.store.usage import report_usage

START = 1_790_812_800_000
"""2026-10-01T00:00Z."""
MONTH_MS = 31 * 86_400_000
MODELS = (
    ("openai", "gpt-5.2", 1_750, 14_000),
    ("openai", "gpt-5-mini", 250, 2_000),
    ("anthropic", "claude-sonnet-4-5", 3_000, 15_000),
    ("anthropic", "claude-haiku-4-5", 1_000, 5_000),
    ("google", "gemini-2.5-flash", 300, 2_500),
    ("groq", "llama-3.3-70b-versatile", 590, 790),
)
"""Provider, model, nano-dollars of an input and of an output token."""
_BATCH = 50_000
_NO_TOKENS = len(USAGE_COLUMNS)


class Caller(Struct, frozen=True):
    """A key and what goes with its calls."""

    key: str
    accounts: tuple[int, ...]
    budget: int | None
    tags: str
    models: tuple[tuple[str, str, int, int], ...]
    markup: int
    """Percents of the cost that are charged."""


def build(engine: Engine, attempts: int, *, seed: int = 1, callers: int = 100) -> None:
    """Fill a new ledger with attempts of one month.

    Args:
        engine: of an empty ledger, at the head of its schema.
        attempts: how many.
        seed: of what is drawn.
        callers: how many keys there are.
    """
    chance = Random(seed)
    with writing(engine) as connection:
        who, providers, margin = _people(connection, callers)
    totals = _Totals()
    copy = _Copy(engine)
    for batch in _batches(chance, attempts, who, providers, margin, totals):
        copy(batch)
    with writing(engine) as connection:
        totals.write(connection)
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.setval("postings_id_seq", max(totals.postings, 1))))


def _people(connection: Connection, callers: int) -> tuple[list[Caller], dict[str, int], int]:
    def account(kind: str, name: str) -> int:
        made = connection.execute(insert(accounts).values(kind=kind, name=name)).inserted_primary_key
        assert made is not None
        return int(made[0])

    made: list[tuple[str, int, str, int, int]] = []
    for number in range(5):
        own, project = account("organisation", f"org {number}"), account("project", f"project {number}")
        names = {"created_at": START, "organisation_id": f"org_{number}"}
        connection.execute(
            insert(organisations).values(id=f"org_{number}", name=f"org {number}", account_id=own, created_at=START)
        )
        connection.execute(insert(projects).values(id=f"proj_{number}", name="main", account_id=project, **names))
        budget = connection.execute(
            insert(budgets).values(
                scope="organisation", subject=f"org_{number}", span="month", zone="UTC", amount=10**15, hard=True,
                thresholds="[]", created_at=START,
            )
        ).inserted_primary_key  # fmt: skip
        assert budget is not None
        made.append((f"org_{number}", own, f"proj_{number}", project, int(budget[0])))
    found: list[Caller] = []
    for number in range(callers):
        org = made[number % len(made)] if number % 3 == 0 else None
        own = account("key", f"key {number}")
        connection.execute(
            insert(keys).values(
                id=f"key_{number:04d}", name=f"key {number}", digest=number.to_bytes(32, "big"), hint="....",
                account_id=own, models="[]", tags="[]", store_bodies=False, created_at=START,
                organisation_id=org and org[0], project_id=org and org[2],
            )
        )  # fmt: skip
        found.append(
            Caller(
                f"key_{number:04d}",
                (own,) if org is None else (own, org[3], org[1]),
                org and org[4],
                json.dumps([f"team-{number % 7}"] if number % 2 else [], separators=(",", ":")),
                tuple(MODELS[(number + place) % len(MODELS)] for place in range(1 + number % 3)),
                120 if org is not None and number % 2 else 100,
            )
        )
    providers = {name: account("provider", name) for name in sorted({model[0] for model in MODELS})}
    margin = connection.execute(select(accounts.c.id).where(accounts.c.kind == "margin")).scalar()
    return found, providers, account("margin", "margin") if margin is None else margin


class _Totals:
    """What the rows come to: balances, windows, hours."""

    def __init__(self) -> None:
        self.postings = 0
        self.posted: defaultdict[int, int] = defaultdict(int)
        self.held: defaultdict[int, int] = defaultdict(int)
        self.windows: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.hours: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * (9 + _NO_TOKENS))

    def write(self, connection: Connection) -> None:
        for account in {*self.posted, *self.held}:
            values = {"posted": self.posted[account], "held": self.held[account]}
            connection.execute(update(accounts).where(accounts.c.id == account).values(values))
        for budget, (posted, held) in self.windows.items():
            connection.execute(
                insert(budget_windows).values(
                    budget_id=budget, starts_at=START, posted=posted, held=held, leased=0, recall=0
                )
            )
        rows = [(*key, *numbers) for key, numbers in sorted(self.hours.items())]
        add = Bulk(insert(usage_hours), *(column.name for column in usage_hours.c))
        for start in range(0, len(rows), _BATCH):
            add.run(connection, rows[start : start + _BATCH])


Batch = dict[str, list[tuple[Any, ...]]]


def _batches(
    chance: Random, attempts: int, who: Sequence[Caller], providers: dict[str, int], margin: int, totals: _Totals
) -> Iterator[Batch]:
    weights = list(accumulate(1 / (1 + number) ** 0.7 for number in range(len(who))))
    for first in range(0, attempts, _BATCH):
        batch: Batch = {"holds": [], "outcomes": [], "postings": [], "open_holds": []}
        callers = chance.choices(who, cum_weights=weights, k=min(_BATCH, attempts - first))
        for number, caller in enumerate(callers, first):
            _attempt(batch, totals, chance, number, START + MONTH_MS * number // attempts, caller, providers, margin)
        yield batch


def _attempt(
    batch: Batch,
    totals: _Totals,
    chance: Random,
    number: int,
    at: int,
    caller: Caller,
    providers: dict[str, int],
    margin: int,
) -> None:
    attempt = f"att_{at:012x}{number:020x}"
    provider, model, price_in, price_out = caller.models[int(chance.random() ** 2 * len(caller.models))]
    drawn = int(chance.random() * 1_000)
    state = "voided" if drawn < 8 else "orphan" if drawn == 8 and number % 20 == 0 else "settled"
    settled = state == "settled"
    tokens_in, tokens_out = (int(chance.random() * 4_000), int(chance.random() * 900)) if settled else (0, 0)
    amount = 4_000 * price_in + 1_000 * price_out
    cost = tokens_in * price_in + tokens_out * price_out
    charge, most = cost * caller.markup // 100, amount * caller.markup // 100
    shares = "[]" if caller.budget is None else f"[[{caller.budget},{START},{most},true,true]]"
    chain = json.dumps(caller.accounts, separators=(",", ":"))
    batch["holds"].append(
        (
            attempt,
            f"req_{number:032x}",
            caller.key,
            chain,
            provider,
            model,
            model,
            caller.tags,
            amount,
            at,
            most,
            shares,
            "",
        )
    )
    usage = (tokens_in, *(0,) * 7, tokens_out, *(0,) * (_NO_TOKENS - 9))
    estimated = settled and drawn > 990
    batch["outcomes"].append(
        (attempt, state, cost, 0, estimated, False, *usage, "book 1", model, "", 900_000, 200_000, at, charge, 0, 0)
    )
    hour = totals.hours[at // 3_600_000 * 3_600_000, caller.key, provider, model, caller.tags]
    new = (settled, state == "voided", state == "orphan", estimated, 0, *usage, cost, charge, 0, 0)
    for place, more in enumerate(new):
        hour[place] += more
    if state == "orphan":
        batch["open_holds"].append((attempt, True, "wrk"))
        for account in caller.accounts:
            totals.held[account] += most
        if caller.budget is not None:
            totals.windows[caller.budget][1] += most
        return
    if caller.budget is not None:
        totals.windows[caller.budget][0] += charge
    legs = [(caller.accounts[0], "charge", charge), (providers[provider], "contra", -cost)]
    legs += [(margin, "margin", cost - charge), *((account, "rollup", charge) for account in caller.accounts[1:])]
    for account, leg, part in legs:
        if part:
            totals.postings += 1
            totals.posted[account] += part
            batch["postings"].append((totals.postings, attempt, account, leg, part, at))


class _Copy:
    """Writes batches as fast as the database takes them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        tables: tuple[tuple[Table, tuple[str, ...]], ...] = (
            (holds, tuple(c.name for c in holds.c)),
            (outcomes, tuple(c.name for c in outcomes.c)),
            (postings, ("id", "attempt_id", "account_id", "leg", "amount", "posted_at")),
            (open_holds, ("attempt_id", "orphan", "session")),
        )
        self._tables = [(table.name, names, Bulk(insert(table), *names)) for table, names in tables]

    def __call__(self, batch: Batch) -> None:
        with writing(self._engine) as connection:
            for name, columns, add in self._tables:
                if connection.dialect.name == "sqlite":
                    add.run(connection, batch[name])
                    continue
                cursor: Any = connection.connection.cursor()
                with cursor.copy(f"COPY {name} ({', '.join(columns)}) FROM STDIN") as out:
                    for row in batch[name]:
                        out.write_row(row)


def measure(engine: Engine, rounds: int = 5) -> dict[str, float]:
    """Return the milliseconds that each report takes: the median of several, after one that warms the caches."""
    found: dict[str, float] = {}
    week = 7 * 86_400_000
    cases: tuple[tuple[str, Any], ...] = (
        *((by, (by, START, START + MONTH_MS)) for by in ("model", "key", "provider", "tag", "project", "organisation")),
        ("day", ("day", START, START + MONTH_MS)),
        ("hour of a week", ("hour", START, START + week)),
        ("model of a week, cut at minutes", ("model", START + 61_000, START + week + 61_000)),
    )
    for name, (by, since, until) in cases:
        times: list[float] = []
        used: list[float] = []
        for _ in range(rounds + 1):
            began, before = time.perf_counter(), time.process_time()
            report_usage(engine, by, since, until)
            times.append((time.perf_counter() - began) * 1000)
            used.append((time.process_time() - before) * 1000)
        found[name] = sorted(times[1:])[rounds // 2]
        cpu = sorted(used[1:])[rounds // 2]
        print(f"{name:32s} {found[name]:8.1f} ms   (CPU here {cpu:.1f}, the first time {times[0]:.1f})", flush=True)
    return found


def main() -> None:
    """Build the ledger where it is not there yet, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path, default=Path("/tmp/komeet-ledger-rows"), help="where the SQLite file is")
    parser.add_argument("--postgresql", help="its address, in place of SQLite")
    parser.add_argument("--callers", type=int, default=100)
    arguments = parser.parse_args()
    arguments.dir.mkdir(parents=True, exist_ok=True)
    address = None if arguments.postgresql is None else Secret(arguments.postgresql)
    engine = open_ledger(arguments.dir, Databases(ledger=address), "crash")
    bring_to_head(engine, LEDGER_LINE)
    with engine.connect() as connection:
        empty = connection.execute(select(keys.c.id).limit(1)).first() is None
    if empty:
        began = time.perf_counter()
        build(engine, arguments.attempts, callers=arguments.callers)
        print(f"{arguments.attempts} attempts written in {time.perf_counter() - began:.0f} s", flush=True)
    with engine.connect() as connection:
        counted = connection.execute(select(func.count()).select_from(usage_hours)).scalar_one()
        print(f"{engine.dialect.name}: {counted} rows of usage_hours", flush=True)
    measure(engine)


if __name__ == "__main__":
    main()
