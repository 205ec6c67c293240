"""What follows on a failure: never a second answer, never a storm, never sooner than was asked for."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.errors import (
    AuthError,
    BudgetExceeded,
    ConnectFailed,
    ContextTooLong,
    CutMidStream,
    Garbled,
    InternalError,
    KomeetError,
    ModelNotFound,
    NotAllowed,
    Unavailable,
    Unrepresentable,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamTimedOut,
    WireError,
)
from komeet.routing.retry import Failure, Move, RetryBudget, RetryPolicy, Step, next_step

POLICY = RetryPolicy()
REFUSED = UpstreamRefused("no", upstream_status=500)
BUSY = UpstreamBusy("busy", upstream_status=503)
LIMITED = UpstreamLimited("slow down", upstream_status=429, retry_after=2.0)
LATER = UpstreamLimited("slow down", upstream_status=429, retry_after=60.0)
AUTH = UpstreamAuth("key", upstream_status=401)
OURS: list[KomeetError] = [AuthError("x"), NotAllowed("x"), WireError("x"), InternalError("x"), Unavailable("x")]
ABOUT_THIS_ONE: list[KomeetError] = [
    Unrepresentable("x"),
    ModelNotFound("x"),
    BudgetExceeded("x", room=0),
    ContextTooLong("x"),
]
MAY_PASS: list[KomeetError] = [ConnectFailed("x"), REFUSED, BUSY, LIMITED]
DOES_NOT_PASS: list[KomeetError] = [AUTH, LATER, UpstreamTimedOut("x", phase="idle"), CutMidStream("x"), Garbled("x")]


def step(error: KomeetError, *, shown: bool = False, attempts: int = 1, elapsed: float = 0, others: bool = False,
         repeat: Callable[[], bool] = lambda: True, jitter: float = 0.5) -> Step:  # fmt: skip
    failure = Failure(error=error, sent=True, shown=shown)
    return next_step(failure, POLICY, attempts=attempts, elapsed=elapsed, others=others, repeat=repeat, jitter=jitter)


@pytest.mark.parametrize(
    "error", OURS + ABOUT_THIS_ONE + MAY_PASS + DOES_NOT_PASS, ids=lambda error: type(error).__name__
)
def test_what_has_been_shown_is_never_tried_again(error: KomeetError) -> None:
    assert step(error, shown=True, others=True).move is Move.STOP


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_what_is_nobody_else_s_fault_is_not_tried_elsewhere(error: KomeetError) -> None:
    assert step(error, others=True).move is Move.STOP


@pytest.mark.parametrize("error", ABOUT_THIS_ONE + MAY_PASS + DOES_NOT_PASS, ids=lambda error: type(error).__name__)
def test_what_is_this_one_s_fault_is_tried_elsewhere(error: KomeetError) -> None:
    assert step(error, others=True) == Step(Move.OTHER)


@pytest.mark.parametrize("error", ABOUT_THIS_ONE, ids=lambda error: type(error).__name__)
def test_what_one_cannot_do_uses_up_no_attempt_and_is_not_repeated(error: KomeetError) -> None:
    assert step(error, attempts=9, elapsed=99, others=True).move is Move.OTHER
    assert step(error).move is Move.STOP


@pytest.mark.parametrize("error", MAY_PASS, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_tried_again_where_there_is_nobody_else(error: KomeetError) -> None:
    assert step(error).move is Move.SAME
    assert step(error, repeat=lambda: False).move is Move.STOP
    assert step(error, attempts=3).move is Move.STOP
    assert step(error, elapsed=60).move is Move.STOP


@pytest.mark.parametrize("error", DOES_NOT_PASS, ids=lambda error: type(error).__name__)
def test_what_may_have_been_billed_or_will_not_pass_is_not_repeated(error: KomeetError) -> None:
    def never() -> bool:
        raise AssertionError("a repeat was taken that is not made")

    assert step(error, repeat=never).move is Move.STOP


@given(st.floats(0, 5), st.floats(0, 1, exclude_max=True), st.integers(1, 2))
def test_nobody_comes_back_sooner_than_was_asked_for(seconds: float, jitter: float, attempts: int) -> None:
    found = step(UpstreamLimited("x", upstream_status=429, retry_after=seconds), jitter=jitter, attempts=attempts)
    assert found.move is Move.STOP or seconds <= found.wait <= POLICY.wait_seconds


@given(st.floats(0, 1, exclude_max=True))
def test_those_who_failed_together_come_back_apart(jitter: float) -> None:
    assert 0.125 <= step(REFUSED, jitter=jitter).wait <= 0.25
    assert 0.25 <= step(REFUSED, jitter=jitter, attempts=2).wait <= 0.5


def test_a_provider_gets_a_tenth_more_and_three() -> None:
    budget, repeats = RetryBudget(POLICY), 0
    for number in range(3_000):  # 100 calls per second, all of which fail
        budget.deposit()
        repeats += budget.withdraw(number / 100)
    assert 300 <= repeats <= 3_000 * 0.13


def test_a_provider_with_few_calls_always_has_three_in_hand() -> None:
    budget = RetryBudget(POLICY)
    for minute in range(5):
        budget.deposit()
        assert [budget.withdraw(minute * 60.0) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 2)), max_size=200))
def test_it_never_gives_more_than_it_took(history: list[tuple[bool, float]]) -> None:
    budget, calls, repeats, now = RetryBudget(POLICY), 0, 0, 0.0
    for call, pause in history:
        now += pause
        if call:
            calls += 1
            budget.deposit()
        else:
            repeats += budget.withdraw(now)
    assert repeats <= POLICY.reserve + calls * 0.1 + now * 0.3 + 1e-6
