"""Windows follow the calendar of their zone without gap or overlap, and a call finds every budget that concerns it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.money import Nano
from komeet.ledger.budget import Bounds, Budget, BudgetBook, Scope, Span, Window, bounds, window_of
from komeet.ledger.port import Hold, Subject

ZONES = ["UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo"]
CALENDAR = [Span.DAY, Span.WEEK, Span.MONTH]
FROM, UNTIL = 1_600_000_000_000, 2_000_000_000_000
HOUR = 3_600_000


def ms(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@given(st.sampled_from(list(Span)), st.sampled_from(ZONES), st.integers(FROM, UNTIL))
def test_every_moment_lies_in_exactly_one_window(span: Span, zone: str, at: int) -> None:
    start, end = bounds(span, zone, at)
    assert start <= at
    assert bounds(span, zone, start) == (start, end)
    if end is not None:
        assert at < end
        assert bounds(span, zone, end - 1) == (start, end)
        assert bounds(span, zone, end).start == end


@given(st.sampled_from(CALENDAR), st.sampled_from(ZONES), st.integers(FROM, UNTIL))
def test_a_window_is_one_of_the_calendar(span: Span, zone: str, at: int) -> None:
    start = datetime.fromtimestamp(bounds(span, zone, at).start / 1000, ZoneInfo(zone))
    local = datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
    match span:
        case Span.MONTH:
            assert (start.year, start.month, start.day) == (local.year, local.month, 1)
        case Span.WEEK:
            assert start.isocalendar()[:2] == local.isocalendar()[:2]
            assert start.weekday() == 0
        case _:
            assert start.date() == local.date()


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_day_in_which_clocks_change_is_as_long_as_it_is(day: str, hours: int) -> None:
    start, end = bounds(Span.DAY, "Europe/Amsterdam", ms(f"{day}T12:00", "Europe/Amsterdam"))
    assert end == start + hours * HOUR


def test_the_hour_that_happens_twice_is_two_windows() -> None:
    first = round(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp() * 1000)  # 02:30 in Amsterdam, and once more
    one, other = bounds(Span.HOUR, "Europe/Amsterdam", first), bounds(Span.HOUR, "Europe/Amsterdam", first + HOUR)
    assert other.start == one.end


def test_half_hours_are_the_zone_s_own() -> None:
    assert bounds(Span.HOUR, "Asia/Kolkata", ms("2026-01-01T10:45", "Asia/Kolkata")) == Bounds(
        ms("2026-01-01T10:00", "Asia/Kolkata"), ms("2026-01-01T11:00", "Asia/Kolkata")
    )


def a_budget(number: int, scope: Scope, subject: str, **more: object) -> Budget:
    return Budget(id=number, scope=scope, subject=subject, amount=Nano(100), **more)  # type: ignore[arg-type]


BOOK = BudgetBook(
    [
        a_budget(6, Scope.KEY, "key_1"),
        a_budget(5, Scope.USER, "usr_1", span=Span.DAY, zone="Europe/Amsterdam"),
        a_budget(4, Scope.PROJECT, "prj_1", hard=False),
        a_budget(3, Scope.ORGANISATION, "org_1"),
        a_budget(2, Scope.PROVIDER, "openai"),
        a_budget(1, Scope.MODEL, "openai/gpt-5*"),
        a_budget(7, Scope.MODEL, "*/claude*"),
        a_budget(8, Scope.KEY, "key_2", hard=False),
    ]
)
FULL = Subject("key_1", "usr_1", "prj_1", "org_1")


def a_hold(model: str = "gpt-5.2", charge: int | None = None) -> Hold:
    return Hold(
        attempt_id="a",
        request_id="r",
        key_id="key_1",
        accounts=(1,),
        provider="openai",
        model=model,
        model_asked=model,
        amount=Nano(10),
        charge=None if charge is None else Nano(charge),
        held_at=ms("2026-05-05T23:30"),
    )


def test_a_call_concerns_every_budget_on_its_way_in_one_order() -> None:
    shares = BOOK.shares(a_hold(), FULL)
    assert [share.budget for share in shares] == [1, 2, 3, 4, 5, 6]
    assert [share.hard for share in shares] == [True, True, True, False, True, True]
    assert [share.budget for share in BOOK.shares(a_hold("o4"), Subject("key_2"))] == [2, 8]


def test_providers_and_models_count_the_cost_and_the_others_the_charge() -> None:
    shares = BOOK.shares(a_hold(charge=25), FULL)
    assert [share.amount for share in shares] == [10, 10, 25, 25, 25, 25]
    assert [share.charged for share in shares] == [False, False, True, True, True, True]


def test_a_share_is_of_the_window_of_its_moment_in_the_budget_s_zone() -> None:
    windows = {share.budget: window_of(share) for share in BOOK.shares(a_hold(), FULL)}
    assert windows[6] == Window(6, 0)
    assert windows[5] == Window(5, ms("2026-05-06T00:00", "Europe/Amsterdam"))  # half past one in the night there


def test_a_clock_that_goes_back_finds_the_window_of_before() -> None:
    budget = BOOK.get(5)
    assert budget is not None
    now = ms("2026-05-05T23:30")
    first = BOOK.window(budget, now)
    assert BOOK.window(budget, now + 24 * HOUR) != first
    assert BOOK.window(budget, now) == first


def test_only_hard_budgets_bound_a_call() -> None:
    assert BOOK.is_bounded(FULL, "anthropic", "m")
    assert not BOOK.is_bounded(Subject("key_2"), "anthropic", "m")
    assert BOOK.is_bounded(Subject("key_2"), "openai", "m")
    assert not BudgetBook([]).is_bounded(FULL, "openai", "gpt-5")
