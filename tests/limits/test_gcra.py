"""Rates are kept exactly, in any stretch of time, and what a call does not use is never handed out twice."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.limits import gcra
from komeet.limits.limit import DAY, MINUTE, Grant, Kind, Limit, Scope, Taken, Verdict
from komeet.limits.share import share

SECOND = 1_000_000_000


def limit(amount: int, per: int = MINUTE, kind: Kind = Kind.REQUESTS) -> Limit:
    return Limit(scope=Scope.KEY, subject="key_1", kind=kind, amount=amount, per=per)


class Bucket:
    """The oracle: a bucket of fractions that fills evenly."""

    def __init__(self, of: Limit) -> None:
        self.of, self.level, self.at = of, Fraction(of.amount), 0

    def take(self, units: int, now: int) -> bool:
        rate = Fraction(self.of.amount, self.of.period)
        self.level, self.at = min(Fraction(self.of.amount), self.level + (now - self.at) * rate), now
        if units > self.level:
            return False
        self.level -= units
        return True


amounts = st.one_of(st.integers(1, 12), st.sampled_from([7, 60, 1_000, 999_983, 10**9]))
steps = st.lists(st.tuples(st.integers(0, 90 * SECOND), st.integers(1, 12)), max_size=60)


@given(amounts, steps, st.sampled_from([MINUTE, DAY]))
def test_it_admits_what_a_bucket_of_fractions_admits(amount: int, calls: list[tuple[int, int]], per: int) -> None:
    of, level, now = limit(amount, per), 0, 0
    bucket = Bucket(of)
    for pause, units in calls:
        now += pause
        verdict, after = gcra.judged(gcra.held(level, of, now), of, units, now)
        assert verdict.fits == bucket.take(units, now)
        assert verdict.remaining == int(bucket.level)
        level = after if verdict.fits else level


@given(st.integers(1, 40), st.lists(st.integers(0, 20 * SECOND), max_size=120))
def test_no_stretch_of_time_has_more_than_the_amount_and_what_came_back_in_it(amount: int, pauses: list[int]) -> None:
    of, level, now = limit(amount), 0, 0
    admitted: list[int] = []
    for pause in pauses:
        now += pause
        verdict, level = gcra.judged(gcra.held(level, of, now), of, 1, now)
        if verdict.fits:
            admitted.append(now)
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            stretch = admitted[last] - start
            assert (last - first + 1 - amount) * of.period <= amount * stretch


@pytest.mark.parametrize("amount", [1, 3, 7, 59, 60, 61, 1_001, 10_007])
def test_exactly_as_many_as_it_says_at_once(amount: int) -> None:
    of, level, now = limit(amount), 0, 12_345_678_901
    for number in range(amount):
        verdict, level = gcra.judged(gcra.held(level, of, now), of, 1, now)
        assert verdict.fits
        assert verdict.remaining == amount - number - 1
    verdict, same = gcra.judged(gcra.held(level, of, now), of, 1, now)
    assert (verdict.fits, verdict.remaining, verdict.reset) == (False, 0, of.period)
    assert same == level, "a refused call takes nothing"
    assert verdict.retry_after == -(-of.period // amount)
    assert verdict.retry_after is not None
    later = now + verdict.retry_after
    assert gcra.judged(gcra.held(level, of, later), of, 1, later)[0].fits
    assert not gcra.judged(gcra.held(level, of, later - 1), of, 1, later - 1)[0].fits


def test_what_is_more_than_the_whole_limit_never_fits_and_says_so() -> None:
    verdict, _ = gcra.judged(gcra.held(0, limit(10), 5), limit(10), 11, 5)
    assert (verdict.fits, verdict.retry_after, verdict.remaining) == (False, None, 10)


class _Call:
    def __init__(self, at: int, grant: Grant, used: int) -> None:
        self.at, self.grant, self.used = at, grant, used


@given(
    st.integers(5, 100),
    st.lists(
        st.tuples(st.integers(0, 30 * SECOND), st.booleans(), st.integers(1, 60), st.floats(0, 1), st.integers(0, 9)),
        max_size=60,
    ),
)
def test_with_what_goes_back_no_more_is_admitted_than_if_each_had_asked_for_what_it_used(
    amount: int, steps: list[tuple[int, bool, int, float, int]]
) -> None:
    of, level, now = limit(amount, kind=Kind.TOKENS), 0, 0
    calls: list[_Call] = []
    ended: list[_Call] = []
    for pause, begins, asked, part, which in steps:
        now += pause
        if begins or not calls:
            verdict, after = gcra.judged(gcra.held(level, of, now), of, asked, now)
            if verdict.fits:
                level = after
                calls.append(_Call(now, Grant(of, asked, now), int(asked * part)))
        else:
            call = calls.pop(which % len(calls))
            level = gcra.corrected(gcra.held(level, of, now), call.grant, call.used, now)
            ended.append(call)
    # The oracle knows from the start what each uses, and must have had room for all of it.
    bucket = Bucket(of)
    for call in sorted(calls + ended, key=lambda each: each.at):
        units = call.used if call in ended else call.grant.units
        assert bucket.take(units, call.at)
    rest = (gcra.held(level, of, now) - now * amount) // of.period
    assert rest >= amount - bucket_level(bucket, now) - 1


def bucket_level(bucket: Bucket, now: int) -> Fraction:
    bucket.take(0, now)
    return bucket.level


def test_what_was_not_used_comes_back_at_once() -> None:
    of, now = limit(1_000, kind=Kind.TOKENS), 7 * SECOND
    _, level = gcra.judged(gcra.held(0, of, now), of, 900, now)
    level = gcra.corrected(gcra.held(level, of, now), Grant(of, 900, now), 100, now)
    assert gcra.judged(gcra.held(level, of, now), of, 0, now)[0].remaining == 900


def test_what_was_used_above_the_grant_is_owed_for_one_period_at_most() -> None:
    of, now = limit(1_000, kind=Kind.TOKENS), 7 * SECOND
    _, level = gcra.judged(gcra.held(0, of, now), of, 100, now)
    level = gcra.corrected(gcra.held(level, of, now), Grant(of, 100, now), 1_500, now)
    verdict, _ = gcra.judged(gcra.held(level, of, now), of, 1, now)
    assert (verdict.fits, verdict.remaining) == (False, 0)
    assert verdict.retry_after == of.period * 501 // 1_000
    level = gcra.corrected(gcra.held(level, of, now), Grant(of, 0, now), 10**12, now)
    verdict, _ = gcra.judged(gcra.held(level, of, now), of, 1_000, now)
    assert verdict.retry_after == 2 * of.period


@given(amounts, amounts, st.integers(0, 50))
def test_a_limit_that_changes_keeps_what_was_taken(was: int, becomes: int, taken: int) -> None:
    old, new, now = limit(was), limit(becomes), 3_600 * SECOND
    level = now * was + min(taken, was) * old.period
    drained = Fraction(min(taken, was), was)
    moved = gcra.held(gcra.rescaled(level, was, new), new, now)
    assert abs(Fraction(moved - now * becomes, new.period * becomes) - drained) < Fraction(1, 10**9)


def test_what_cannot_be_is_not_believed() -> None:
    of, now = limit(60), 10 * SECOND
    assert gcra.held(1 << 120, of, now) == now * 60 + 2 * of.period * 60
    assert gcra.held(-5, of, now) == now * 60


def test_machines_share_a_limit_and_never_have_more_than_it() -> None:
    assert [share(limit(10), nodes).amount for nodes in (0, 1, 2, 3, 10, 11)] == [10, 10, 5, 3, 1, 1]


def test_of_several_that_refuse_the_one_is_told_that_has_room_last() -> None:
    def verdict(retry_after: int | None, *, fits: bool = False) -> Verdict:
        return Verdict(limit=limit(1), remaining=0, retry_after=retry_after, fits=fits)

    assert Taken((verdict(1), verdict(3), verdict(2))).refusal == verdict(3)
    assert Taken((verdict(1), verdict(None))).refusal == verdict(None)
    assert Taken((verdict(None, fits=True),)).refusal is None
    assert str(limit(1_500)) == "1,500 requests per minute for the key key_1"
