"""A call goes only to those who have the tags that it and its key demand, whatever it names."""

import json
from typing import Any

from msgspec.structs import replace
from tests.pipeline.fakes import World, key
from tests.pipeline.test_failover import THREE, WELL, asked, refused

from komeet.routing.placement import REQUIRE, Placement
from komeet.routing.retry import RetryPolicy

EU = (Placement(tags=("gdpr",), require=("eu",)),)


def made(*exchanges: Any, require: bytes | None = None, model: str = "r", **more: Any) -> World:
    one = World(
        exchanges=exchanges,
        others=("second", "third"),
        routes=(THREE,),
        retry=RetryPolicy(),
        provider_tags={"second": ("eu", "own"), "third": ("eu",)},
        **more,
    )
    call = one.call(model=model)
    if require is not None:
        call.request = replace(call.request, headers=dict(call.request.headers) | {REQUIRE: require})
    one.finish(call)
    return one


def test_a_key_that_demands_it_goes_to_who_has_it() -> None:
    one = made(WELL, key=key(tags=("gdpr",)), placements=EU)
    assert asked(one) == ["second"]
    (left_out,) = [each for each in one.records[0].trail if not each.attempt_id]
    assert "maker lacks eu" in left_out.why
    assert asked(made(WELL, placements=EU)) == ["maker"]


def test_failing_over_goes_no_further_either() -> None:
    one = made(refused(500), refused(500), WELL, key=key(tags=("gdpr",)), placements=EU)
    assert asked(one) == ["second", "third", "third"]
    assert asked(made(refused(500), WELL, require=b"own")) == ["second", "second"]


def test_where_nobody_is_left_nothing_is_sent_or_held() -> None:
    one = made(WELL, key=key(tags=("gdpr",)), placements=EU, model="maker/m")
    assert one.reply.status == 403
    assert "maker lacks eu" in json.loads(one.reply.body)["error"]["message"]
    assert one.fetcher.sendings == one.ledger.holds == []


def test_a_call_may_demand_more_and_a_mistake_is_told() -> None:
    assert asked(made(WELL, require=b"own")) == ["second"]
    wrong = made(WELL, require=b"Own!")
    assert wrong.reply.status == 400
    assert wrong.fetcher.sendings == []


def test_what_stays_here_may_answer_all() -> None:
    one = World(exchanges=[WELL], embedded=True, key=key(tags=("gdpr",)), placements=EU)
    assert one.answer().status == 200
