"""Leases never come to more than a limit, no call is refused while there is room, and a recall finds what is free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from komeet.core.money import Nano
from komeet.ledger.budget import Budget, Scope, Span, Window, window_of
from komeet.ledger.denial import explain
from komeet.ledger.leases import Ask, Denied, Later, Purse, WindowState, grant, rest
from komeet.ledger.port import Share

A, B = Window(1, 0), Window(2, 0)


def a_share(window: Window, amount: int, *, hard: bool = True, charged: bool = True) -> Share:
    return Share(window.budget, window.starts_at, Nano(amount), hard, charged)


def a_state(window: Window, limit: int, leased: int = 0, **more: object) -> WindowState:
    budget = Budget(id=window.budget, scope=Scope.KEY, subject="key", label="app", amount=Nano(limit))
    return WindowState(budget=budget, starts_at=0, leased=Nano(leased), **more)  # type: ignore[arg-type]


def an_ask(*shares: Share, own: dict[Window, int] | None = None, patient: bool = True) -> Ask:
    return Ask(shares, own or {}, patient)


needs = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=8)


@given(needs, st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_nobody_is_granted_more_than_there_is_and_nobody_refused_who_fits(
    drawn: list[tuple[int, int, int]], limit_a: int, limit_b: int, leased: int
) -> None:
    states = {A: a_state(A, limit_a, min(leased, limit_a)), B: a_state(B, limit_b)}
    asks = [an_ask(a_share(A, a), a_share(B, b), own={A: own}) for a, b, own in drawn]
    grants = grant(asks, states)
    room_a, room_b = states[A].room, states[B].room
    for (a, b, own), verdict in zip(drawn, grants.verdicts, strict=True):
        need_a = max(0, a - own)
        fits = need_a <= room_a and b <= room_b
        assert fits == (verdict is None)
        if fits:
            room_a, room_b = room_a - need_a, room_b - b
    assert room_a >= 0
    assert room_b >= 0
    for window, room in ((A, states[A].room), (B, states[B].room)):
        assert 0 <= grants.leased.get(window, 0) <= room
        assert 0 <= grants.spare.get(window, 0) <= room // 8


def test_a_slice_is_taken_where_there_is_much_room_and_exactly_what_is_needed_where_there_is_little() -> None:
    ask = an_ask(a_share(A, 10))
    assert grant([ask], {A: a_state(A, 1_000)}).spare == {A: 123}
    near = grant([ask], {A: a_state(A, 1_000, 930)})
    assert near.spare == {}
    assert near.leased == {A: 10}


def test_a_window_without_a_state_has_no_limit() -> None:
    assert grant([an_ask(a_share(A, 10))], {}).verdicts == [None]


def test_a_denial_says_what_would_fit_with_what_the_purse_gave() -> None:
    (verdict,) = grant([an_ask(a_share(A, 100), own={A: 7})], {A: a_state(A, 50, 20)}).verdicts
    assert isinstance(verdict, Denied)
    assert (verdict.amount, verdict.room) == (100, 37)
    message = explain(verdict).message
    for part in ("key 'app'", "$0.00000005", "$0.00000002", "$0.0000001", "max_tokens"):
        assert part in message, message


def test_the_window_with_the_least_room_is_named_and_when_it_begins_anew() -> None:
    month = a_state(B, 10)
    month = replace(month, budget=replace(month.budget, span=Span.MONTH, zone="Europe/Amsterdam"))
    month = replace(month, starts_at=1_790_000_000_000)
    states = {A: a_state(A, 50), B: month}
    (verdict,) = grant([an_ask(a_share(A, 100), a_share(B, 100))], states).verdicts
    assert isinstance(verdict, Denied)
    message = explain(verdict).message
    assert "key 'app', each month" in message
    assert "begins anew at 2026-10-01 00:00+02:00 (Europe/Amsterdam)" in message


def test_a_blocked_budget_admits_nothing_not_even_what_costs_nothing() -> None:
    state = a_state(A, 50)
    state = replace(state, budget=replace(state.budget, blocked=True))
    (verdict,) = grant([an_ask(a_share(A, 0))], {A: state}).verdicts
    assert isinstance(verdict, Denied)
    assert "blocked" in explain(verdict).message
    assert verdict.room == 0


def test_whoever_finds_no_room_while_others_hold_leases_recalls_them_and_waits() -> None:
    ask = an_ask(a_share(A, 10))
    state = a_state(A, 50, 50, others=Nano(50))
    first = grant([ask, ask], {A: state})
    assert [type(verdict) for verdict in first.verdicts] == [Later, Later]
    assert first.recalls == {A: 1}
    state = replace(state, recall=1, waiting=True)
    assert isinstance(grant([ask], {A: state}).verdicts[0], Later)
    assert isinstance(grant([replace(ask, patient=False)], {A: state}).verdicts[0], Denied)
    assert isinstance(grant([ask], {A: replace(state, waiting=False)}).verdicts[0], Denied)


def test_nobody_waits_where_another_budget_has_no_room_that_could_come_back() -> None:
    states = {A: a_state(A, 50, 50, others=Nano(50)), B: a_state(B, 5)}
    assert isinstance(grant([an_ask(a_share(A, 10), a_share(B, 10))], states).verdicts[0], Denied)


def test_tight_leases_are_exact_until_there_is_much_room_again() -> None:
    ask = an_ask(a_share(A, 10))
    tight = grant([ask], {A: a_state(A, 160, recall=1)})
    assert (tight.spare, tight.recalls) == ({}, {})
    relaxed = grant([ask], {A: a_state(A, 1_000, recall=1)})
    assert relaxed.recalls == {A: 0}
    assert relaxed.spare == {A: 123}


@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "draw", "put", "surplus"]), st.integers(0, 30), st.integers(0, 30)),
        max_size=30,
    )
)
def test_a_purse_gives_what_was_put_in_and_nothing_else(drawn: list[tuple[str, int, int]]) -> None:
    purse, now = Purse(), 0.0
    there: dict[Window, int] = {A: 0, B: 0}
    for what, a, b in drawn:
        now += 1
        shares = [a_share(A, a), a_share(B, b)]
        match what:
            case "take":
                taken = purse.take(shares, now)
                assert not taken or (a <= there[A] and b <= there[B])
                assert taken or purse.free == {w: n for w, n in there.items() if w in purse.free}
                there = {A: there[A] - a, B: there[B] - b} if taken else there
            case "draw":
                drawn_now = purse.draw(shares)
                assert drawn_now == {w: n for w, n in {A: min(a, there[A]), B: min(b, there[B])}.items() if n > 0}
                there = {w: n - drawn_now.get(w, 0) for w, n in there.items()}
            case "put":
                purse.put({A: a, B: b}, now)
                there = {A: there[A] + a, B: there[B] + b}
            case _:
                purse.tighten(A, tight=a % 2 == 0)
                gone = purse.surplus(now, 5.0)
                assert all(there[window] == amount for window, amount in gone.items())
                assert a % 2 or not there[A] or A in gone
                there = {w: 0 if w in gone else n for w, n in there.items()}
        assert {w: n for w, n in purse.free.items() if n} == {w: n for w, n in there.items() if n}


@pytest.mark.parametrize(
    ("share", "left"),
    [
        (a_share(A, 100), {A: 55}),
        (a_share(A, 100, charged=False), {A: 70}),
        (a_share(A, 100, hard=False), {}),
        (a_share(A, 45), {}),
        (a_share(A, 20), {}),
    ],
)
def test_the_rest_is_what_was_not_spent_of_a_hard_budget(share: Share, left: dict[Window, int]) -> None:
    assert rest([share], cost=30, charge=45) == left
    assert window_of(share) == A
