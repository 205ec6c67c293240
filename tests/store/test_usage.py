"""The usage report against sums made by hand, from the rows that budgets are checked against."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

import pytest
from msgspec.structs import astuple, replace
from sqlalchemy import Engine

from komeet.access.keys import Key
from komeet.canonical.usage import Usage
from komeet.core.clock import ManualClock
from komeet.core.money import Nano
from komeet.ledger.port import Hold, Outcome, State
from komeet.store.keys import create_key
from komeet.store.ledger_writer import LedgerWriter
from komeet.store.usage import By, report_usage
from tests.store.postgres import BOTH

DATABASES = BOTH
DAY = 86_400_000
NOON = 1_763_812_800_000  # 2025-11-22T12:00:00Z

Attempt = tuple[Hold, Outcome | None]


@pytest.fixture
def attempts(engine: Engine, clock: ManualClock) -> list[Attempt]:
    """Attempts of two keys of the same name, three models, two days, any outcome, some still open."""
    keys = [
        create_key(engine, clock, name="app", tags=["blue", "team"])[0],
        create_key(engine, clock, name="app", tags=["red", "team"])[0],
        create_key(engine, clock, name="bare")[0],
    ]
    models = [("openai", "gpt-5.2"), ("openai", "gpt-5.2-mini"), ("local", "smollm2-135m")]
    made: list[Attempt] = []
    for number in range(120):
        key, (provider, model) = keys[number % 3], models[number // 3 % 3]
        at = NOON + (number % 2) * DAY
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
            held_at=at,
        )
        made.append((hold, _outcome(hold, number, at)))

    async def main() -> None:
        ledger = LedgerWriter(engine, clock)
        await asyncio.gather(*(ledger.hold(hold) for hold, _ in made))
        for _, outcome in made:
            if outcome is not None:
                ledger.end(outcome)
        ledger.close()

    asyncio.run(main())
    return made


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
                usage=Usage(**{name: number + place for place, name in enumerate(Usage.__struct_fields__)}),
                unpriced=rest == 3,
                estimated=rest == 4,
                ended_at=at,
            )


GROUPS: dict[By, Callable[[Hold], list[str]]] = {
    "key": lambda hold: [hold.key_id],
    "model": lambda hold: [f"{hold.provider}/{hold.model}"],
    "day": lambda hold: ["2025-11-22" if hold.held_at == NOON else "2025-11-23"],
    "tag": lambda hold: list(hold.tags) or [""],
    "provider": lambda hold: [hold.provider],
}


def _sums(attempts: list[Attempt], groups: Callable[[Hold], list[str]]) -> dict[str, tuple[object, ...]]:
    grouped: defaultdict[str, list[Attempt]] = defaultdict(list)
    for hold, outcome in attempts:
        for name in groups(hold):
            grouped[name].append((hold, outcome))
    return {name: _sum(members) for name, members in grouped.items()}


def _sum(members: list[Attempt]) -> tuple[object, ...]:
    ended = [(hold, outcome) for hold, outcome in members if outcome is not None]
    settled = [(hold, outcome) for hold, outcome in ended if outcome.state is State.SETTLED]
    orphans = [hold for hold, outcome in ended if outcome.state is State.ORPHAN]
    still_held = [hold for hold, outcome in members if outcome is None] + orphans
    return (
        len(settled) + len(orphans),
        len(ended) - len(settled) - len(orphans),
        tuple(map(sum, zip(*(astuple(outcome.usage) for _, outcome in ended), strict=True))),
        sum(outcome.cost for _, outcome in settled),
        sum(outcome.estimated for _, outcome in settled),
        sum(outcome.unpriced for _, outcome in settled),
        len(orphans),
        sum(max(0, outcome.cost - hold.amount) for hold, outcome in settled),
        sum(hold.amount for hold in still_held),
    )


@pytest.mark.parametrize("by", GROUPS)
def test_the_report_is_the_sum_of_the_rows(engine: Engine, attempts: list[Attempt], by: By) -> None:
    report = report_usage(engine, by)
    found = {
        row.key_id if by == "key" else row.name: astuple(replace(row, name="", key_id=""))[2:] for row in report.rows
    }
    found = {name: (*numbers[:2], astuple(numbers[2]), *numbers[3:]) for name, numbers in found.items()}
    assert found == _sums(attempts, GROUPS[by])
    total = astuple(report.total)[2:]
    assert (*total[:2], astuple(total[2]), *total[3:]) == _sum(attempts)
    if by == "key":
        assert sorted(row.name for row in report.rows) == ["app", "app", "bare"]


def test_the_dearest_comes_first_and_days_come_in_order(engine: Engine, attempts: list[Attempt]) -> None:
    costs = [row.cost for row in report_usage(engine, "model").rows]
    assert costs == sorted(costs, reverse=True)
    assert [row.name for row in report_usage(engine, "day").rows] == ["2025-11-22", "2025-11-23"]


def test_a_window_has_its_start_and_not_its_end(engine: Engine, attempts: list[Attempt]) -> None:
    first = [(hold, outcome) for hold, outcome in attempts if hold.held_at == NOON]
    window = report_usage(engine, "provider", since=NOON, until=NOON + DAY)
    assert window.total.calls == _sum(first)[0]
    assert window.total.held == _sum(first)[-1]
    assert (
        report_usage(engine, "provider", since=NOON + DAY + 1).total
        == report_usage(engine, "provider", until=NOON).total
    )
    assert report_usage(engine, "provider", until=NOON).rows == ()


def test_nothing_used_is_an_empty_report(engine: Engine, key: Key) -> None:
    report = report_usage(engine, "key")
    assert report.rows == ()
    assert (report.total.calls, report.total.cost) == (0, 0)
