"""Whom a call was sent to is in its record, with the reason and what came of it."""

from tests.pipeline.fakes import World
from tests.pipeline.test_credentials import TWO
from tests.pipeline.test_failover import UNREACHABLE, WELL, refused, world

from komeet.routing.health import BreakerPolicy, HealthBook
from komeet.routing.retry import RetryPolicy
from komeet.routing.route import Condition, Group, Member, Route


def test_a_call_that_goes_where_it_says_leaves_no_trail() -> None:
    one = World(exchanges=[WELL])
    one.answer()
    assert one.records[0].trail == ()


def test_each_attempt_is_told_with_what_came_of_it() -> None:
    one = world(refused(503, "Try later."), UNREACHABLE, WELL)
    one.answer(model="r")
    first, second, third = one.records[0].trail
    told = "maker is overloaded. (upstream status 503)"
    assert (first.model, first.status, first.said, first.sent) == ("maker/m", 503, told, True)
    assert (second.model, second.status, second.sent, second.said) == ("second/m", 0, False, "No connection.")
    assert (third.model, third.status, third.error, third.why) == ("third/m", 200, "", "group 1, as listed")
    assert [one.attempt_id for one in (first, second, third)] == [hold.attempt_id for hold in one.ledger.holds]
    assert first.began_us <= first.ended_us <= second.began_us <= third.ended_us


def test_who_was_left_alone_or_left_out_is_told_too() -> None:
    tools = Group(members=(Member("second/t"),), when=Condition(tools=True))
    route = Route(name="r", groups=(tools, Group(members=(Member("maker/m"), Member("second/m")))))
    health = HealthBook(BreakerPolicy(failures=1))
    one = World(exchanges=[refused(500), WELL], others=("second",), routes=(route,), retry=RetryPolicy(), health=health)
    one.answer(model="r")
    one.fetcher.exchanges = [refused(500)]
    one.answer(model="r")
    trail = one.records[1].trail
    assert [(each.model, bool(each.attempt_id)) for each in trail] == [
        ("second/m", True),
        ("maker/m", False),
        ("group 1", False),
    ]
    assert "left alone" in trail[1].said
    assert trail[2].why == "not for this call: tools is false"


def test_the_key_that_was_shown_is_told_by_its_name() -> None:
    one = World(exchanges=[refused(401), WELL], credentials=TWO, retry=RetryPolicy())
    one.answer()
    assert [(each.credential, each.status) for each in one.records[0].trail] == [("a", 401), ("b", 200)]
