"""The usage report against sums made by hand, attempt by attempt, from the rows that budgets are checked against."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import astuple
from sqlalchemy import Engine, insert, select, update
from tests.store.postgres import BOTH

from komeet.access.keys import Key
from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.hours import add_to_hour
from komeet.store.keys import create_key
from komeet.store.ledger_rows import Memory, apply
from komeet.store.tables import accounts, entries, keys, organisations, projects, usage_hours, users
from komeet.store.transactions import writing
from komeet.store.usage import By, UsageRow, report_usage

DATABASES = BOTH
HOUR, DAY = 3_600_000, 86_400_000
START = 1_792_803_600_000  # 2026-10-24T01:00:00Z: a day before clocks change in Amsterdam
SPAN = 3 * DAY

Attempt = tuple[Hold, Outcome | None]


@dataclass
class Books:
    attempts: list[Attempt]
    corrections: list[tuple[Hold, int, int, int]] = field(default_factory=list)
    """The attempt, when, cost, charge."""


def _owners(engine: Engine, key: Key, number: int) -> None:
    with writing(engine) as connection:
        account = connection.execute(select(accounts.c.id).limit(1)).scalar_one()
        shared = {"account_id": account, "created_at": 0}
        connection.execute(insert(organisations).values(id=f"org_{number}", name=f"acme {number}", **shared))
        of = {"organisation_id": f"org_{number}", "name": f"name {number}", **shared}
        connection.execute(insert(projects).values(id=f"proj_{number}", **of))
        connection.execute(insert(users).values(id=f"usr_{number}", **of))
        connection.execute(
            update(keys)
            .where(keys.c.id == key.id)
            .values(organisation_id=f"org_{number}", project_id=f"proj_{number}", user_id=f"usr_{number}")
        )


@pytest.fixture
def books(engine: Engine, clock: ManualClock) -> Books:
    """Random attempts of three keys, two of the same name, over three days, some open, some corrected."""
    chance = Random(7)
    made = [
        create_key(engine, clock, name="app", tags=["blue", "team"])[0],
        create_key(engine, clock, name="app", tags=["red", "team"])[0],
        create_key(engine, clock, name="bare")[0],
    ]
    for number, key in enumerate(made[:2]):
        _owners(engine, key, number)
    models = [("openai", "gpt-5.2"), ("openai", "gpt-5.2-mini"), ("local", "smollm2-135m")]
    found = Books([])
    for number in range(400):
        key, (provider, model) = chance.choice(made), chance.choice(models)
        at = START + chance.randrange(SPAN)
        hold = Hold(
            attempt_id=f"att_{number:03d}",
            request_id="req",
            key_id=key.id,
            accounts=(key.account,),
            provider=provider,
            model=model,
            model_asked="m",
            tags=key.tags,
            amount=Nano(100 + number),
            held_at=at - chance.randrange(HOUR),
        )
        found.attempts.append((hold, _outcome(hold, number, at)))
    for start in range(0, 400, 50):
        with writing(engine) as connection:
            part = found.attempts[start : start + 50]
            apply(connection, [hold for hold, _ in part], Memory(), "wrk")
            apply(connection, [outcome for _, outcome in part if outcome is not None], Memory(), "wrk")
    settled = [hold for hold, outcome in found.attempts if outcome is not None and outcome.state is State.SETTLED]
    for hold in settled[:5]:
        at = START + chance.randrange(SPAN)
        correct(engine, hold, at, -3, 7)
        found.corrections.append((hold, at, -3, 7))
    return found


def correct(engine: Engine, hold: Hold, at: int, cost: int, charge: int) -> None:
    with writing(engine) as connection:
        connection.execute(
            insert(entries).values(
                kind="correction", attempt_id=hold.attempt_id, reference="", cost=cost, charge=charge, reason="r",
                actor="a", created_at=at,
            )
        )  # fmt: skip
        add_to_hour(connection, hold.attempt_id, at, cost=cost, charge=charge)


def _outcome(hold: Hold, number: int, at: int) -> Outcome | None:
    match number % 10:
        case 0:
            return None
        case 1:
            return Outcome(attempt_id=hold.attempt_id, state=State.VOIDED, reason="upstream_error", ended_at=at)
        case 2:
            return Outcome(attempt_id=hold.attempt_id, state=State.ORPHAN, reason="crash", ended_at=at)
        case rest:
            return Outcome(
                attempt_id=hold.attempt_id,
                state=State.SETTLED,
                cost=Nano(0 if rest == 3 else number * 2),
                charge=None if rest == 5 else Nano(number * 3),
                usage=Usage(**{name: number + place for place, name in enumerate(Usage.__struct_fields__)}),
                unpriced=rest == 3,
                estimated=rest == 4,
                ended_at=at,
            )


def _moment(at: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at // 1000, ZoneInfo(zone))


def groups(engine: Engine, by: By, zone: str) -> Callable[[Hold, int], list[tuple[str, str]]]:
    """The rows in which an attempt counts that happened at a moment: their names and ids."""
    with engine.connect() as connection:
        known = {row.id: row for row in connection.execute(select(keys))}

    def rows(hold: Hold, at: int) -> list[tuple[str, str]]:
        number = next(
            (n for n, row in enumerate(("org_0", "org_1")) if known[hold.key_id].organisation_id == row), None
        )
        match by:
            case "key":
                return [(known[hold.key_id].name, hold.key_id)]
            case "model":
                return [(f"{hold.provider}/{hold.model}", "")]
            case "provider":
                return [(hold.provider, "")]
            case "tag":
                return [(tag, "") for tag in hold.tags or ("",)]
            case "hour":
                return [(_moment(at // HOUR * HOUR, zone).isoformat(timespec="minutes"), "")]
            case "day":
                return [(_moment(at, zone).date().isoformat(), "")]
            case "month":
                return [(f"{_moment(at, zone):%Y-%m}", "")]
            case "organisation":
                return [("", "") if number is None else (f"acme {number}", f"org_{number}")]
            case "project":
                return [("", "") if number is None else (f"name {number}", f"proj_{number}")]
            case "user":
                return [("", "") if number is None else (f"name {number}", f"usr_{number}")]

    return rows


def by_hand(books: Books, rows: Callable[[Hold, int], list[tuple[str, str]]], since: int, until: int) -> dict[Any, Any]:
    """Counts, usage, cost, charge, overrun and held, by row."""
    found: defaultdict[Any, list[int]] = defaultdict(lambda: [0] * (9 + len(Usage.__struct_fields__)))

    def add(hold: Hold, at: int, numbers: list[int]) -> None:
        if since <= at < until:
            for name in rows(hold, at):
                found[name] = [one + other for one, other in zip(found[name], numbers, strict=True)]

    nothing = [0] * len(Usage.__struct_fields__)
    for hold, outcome in books.attempts:
        is_open = outcome is None or outcome.state is State.ORPHAN
        if is_open:
            add(hold, hold.held_at, [0] * 8 + [hold.amount, *nothing])
        if outcome is None:
            continue
        settled, orphan = outcome.state is State.SETTLED, outcome.state is State.ORPHAN
        numbers = [settled or orphan, outcome.state is State.VOIDED, settled and outcome.estimated]
        numbers += [settled and outcome.unpriced, orphan, outcome.cost, outcome.charged]
        numbers += [0, 0, *astuple(outcome.usage)]  # without a hard budget nothing is an overrun
        add(hold, outcome.ended_at, numbers)
    for hold, at, cost, charge in books.corrections:
        add(hold, at, [0] * 5 + [cost, charge, 0, 0, *nothing])
    return dict(found)


def numbers_of(row: UsageRow) -> list[int]:
    counts = [row.calls, row.voided, row.estimated, row.unpriced, row.orphans, row.cost, row.charge]
    return [*counts, row.overrun, row.held, *astuple(row.usage)]


ZONES = ("UTC", "Europe/Amsterdam", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns")
ALL_BY: tuple[By, ...] = ("model", "provider", "key", "user", "project", "organisation", "tag", "hour", "day", "month")


@pytest.mark.parametrize("by", ALL_BY)
def test_the_report_is_the_sum_of_the_rows_for_any_bounds_and_zone(engine: Engine, books: Books, by: By) -> None:
    chance = Random(by)
    bounds = [(None, None), (START, START + SPAN), (START + HOUR, START + HOUR + 1)]
    bounds += [tuple(sorted(START + chance.randrange(SPAN) for _ in range(2))) for _ in range(12)]
    bounds += [(START + chance.randrange(DAY), None), (None, START + chance.randrange(DAY))]
    bounds += [(START + 61_000, START + 62_000), (START + 1, START + HOUR - 1), (START + 1, START + HOUR)]
    for since, until in bounds:
        for zone in ZONES if by in {"hour", "day", "month"} else ZONES[:1]:
            report = report_usage(engine, by, since, until, zone)
            wanted = by_hand(books, groups(engine, by, zone), since or 0, until or START + 2 * SPAN)
            assert {(row.name, row.id): numbers_of(row) for row in report.rows} == wanted, (since, until, zone)
            everything = by_hand(books, lambda _, __: [("", "")], since or 0, until or START + 2 * SPAN)
            assert numbers_of(report.total) == everything.get(("", ""), numbers_of(UsageRow(name="")))


def test_whole_hours_are_read_from_their_sums_alone(engine: Engine, books: Books) -> None:
    with writing(engine) as connection:
        connection.execute(update(usage_hours).values(cost=1))
    rows = report_usage(engine, "day", START, START + SPAN).rows
    with engine.connect() as connection:
        assert sum(row.cost for row in rows) == len(connection.execute(select(usage_hours)).all())


def test_the_dearest_comes_first_and_time_in_order(engine: Engine, books: Books) -> None:
    costs = [row.cost for row in report_usage(engine, "model").rows]
    assert costs == sorted(costs, reverse=True)
    days = [row.name for row in report_usage(engine, "day").rows]
    assert days == ["2026-10-24", "2026-10-25", "2026-10-26", "2026-10-27"]


def test_the_hour_that_comes_twice_has_two_rows(engine: Engine, books: Books) -> None:
    names = [row.name for row in report_usage(engine, "hour", zone="Europe/Amsterdam").rows]
    twice = [name for name in names if name.startswith("2026-10-25T02:00")]
    assert twice == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]
    assert datetime(2026, 10, 25, 0, tzinfo=UTC).timestamp() * 1000 > START


def test_margin_is_charge_without_cost() -> None:
    assert UsageRow(name="", cost=Nano(10), charge=Nano(12)).margin == 2


def test_nothing_used_is_an_empty_report(engine: Engine, key: Key) -> None:
    report = report_usage(engine, "key")
    assert report.rows == ()
    assert (report.total.calls, report.total.cost) == (0, 0)
