"""Which limits hold for whom, and how callers are told."""

import pytest

from komeet.limits.headers import duration, headers_of
from komeet.limits.limit import DAY, MINUTE, Kind, Limit, Scope, Verdict
from komeet.limits.rules import Amounts, Rule, Subject, amounts_of, limits_of

KEY = Subject(scope=Scope.KEY, id="key_1", name="ci", names=("ci", "key_1"), tags=("blue",))
MS = 1_000_000


def rule(scope: Scope, amounts: Amounts, match: tuple[str, ...] = ("*",), tag: str | None = None) -> Rule:
    return Rule(scope=scope, match=match, tag=tag, amounts=amounts)


def test_each_amount_is_its_own_or_of_the_first_rule_that_has_it() -> None:
    rules = (
        rule(Scope.KEY, Amounts(requests_per_minute=1), ("other",)),
        rule(Scope.KEY, Amounts(requests_per_minute=2), tag="red"),
        rule(Scope.USER, Amounts(requests_per_minute=3)),
        rule(Scope.KEY, Amounts(requests_per_minute=4, concurrent=5), ("c*",), tag="blue"),
        rule(Scope.KEY, Amounts(requests_per_minute=6, tokens_per_day=7, concurrent=8)),
    )
    assert amounts_of(KEY, rules) == Amounts(requests_per_minute=4, concurrent=5, tokens_per_day=7)
    own = Amounts(concurrent=9, wait_seconds=2.5)
    assert amounts_of(KEY, rules, own) == Amounts(
        requests_per_minute=4, concurrent=9, tokens_per_day=7, wait_seconds=2.5
    )
    assert limits_of(KEY, Amounts()) == ()


def test_limits_come_in_one_order() -> None:
    made = limits_of(KEY, Amounts(concurrent=1, tokens_per_day=2, requests_per_minute=3))
    assert [(each.kind, each.per, each.amount) for each in made] == [
        (Kind.REQUESTS, MINUTE, 3),
        (Kind.TOKENS, DAY, 2),
        (Kind.CONCURRENT, 0, 1),
    ]
    assert len({each.identity for each in made}) == 3


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (0, "0s"),
        (1, "1ms"),
        (20 * MS, "20ms"),
        (1_000 * MS, "1s"),
        (8_640 * MS, "8.64s"),
        (60_000 * MS, "1m0s"),
        (360_000 * MS, "6m0s"),
        (3_600_000 * MS, "1h0m0s"),
        (86_399_999 * MS + 1, "24h0m0s"),
    ],
)
def test_a_time_is_written_as_openai_does(ns: int, said: str) -> None:
    assert duration(ns) == said


def test_callers_are_told_of_the_tightest_of_their_own_limits() -> None:
    def verdict(scope: Scope, kind: Kind, per: int, amount: int, remaining: int) -> Verdict:
        limit = Limit(scope=scope, subject="s", kind=kind, amount=amount, per=per)
        return Verdict(limit=limit, remaining=remaining, reset=1_000 * MS)

    told = headers_of(
        [
            verdict(Scope.KEY, Kind.REQUESTS, MINUTE, 60, 30),
            verdict(Scope.KEY, Kind.REQUESTS, DAY, 1_000, 2),
            verdict(Scope.USER, Kind.TOKENS, DAY, 500, 400),
            verdict(Scope.PROVIDER, Kind.REQUESTS, MINUTE, 9, 1),
            verdict(Scope.MODEL, Kind.TOKENS, MINUTE, 9, 1),
            verdict(Scope.KEY, Kind.CONCURRENT, 0, 9, 1),
        ]
    )
    assert dict(told) == {
        b"x-ratelimit-limit-requests": b"1000",
        b"x-ratelimit-remaining-requests": b"2",
        b"x-ratelimit-reset-requests": b"1s",
        b"x-ratelimit-limit-tokens": b"500",
        b"x-ratelimit-remaining-tokens": b"400",
        b"x-ratelimit-reset-tokens": b"1s",
    }
    assert headers_of([]) == []
