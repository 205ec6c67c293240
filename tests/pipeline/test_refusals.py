"""A provider's refusal: it costs nothing, and says whose fault it is."""

import asyncio
import json

import pytest
from tests.pipeline.fakes import JSON, STREAM, Exchange, World, interruptions

from komeet.core.errors import CutMidStream, Garbled, KomeetError, UpstreamTimedOut
from komeet.ledger.port import State


def refusal(status: int, message: str = "no", **more: KomeetError) -> Exchange:
    return Exchange(status=status, headers=JSON, pieces=(json.dumps({"error": {"message": message}}).encode(),), **more)


@pytest.mark.parametrize(
    "broken",
    [
        CutMidStream("The connection was closed."),
        Garbled("The answer is longer than 1048576 bytes."),
        UpstreamTimedOut("It sent nothing.", phase="idle"),
    ],
    ids=["cut", "endless", "stalled"],
)
@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (400, 400, "upstream_refused"),
        (401, 502, "upstream_auth"),
        (429, 429, "upstream_rate_limited"),
        (500, 502, "upstream_error"),
        (503, 503, "upstream_unavailable"),
        (302, 502, "upstream_error"),
    ],
)
def test_the_status_counts_where_the_words_do_not_come(status: int, told: int, code: str, broken: KomeetError) -> None:
    world = World(exchanges=[refusal(status, broken=broken)])
    reply = world.answer()
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (told, code)
    assert world.ledger.outcome().state is State.VOIDED


def test_a_caller_that_leaves_while_a_refusal_is_read_pays_nothing() -> None:
    ends = list(interruptions(lambda: World(exchanges=[refusal(429)]), asyncio.CancelledError))
    assert [world.ledger.outcome().state for world in ends if "piece" in world.points] == [State.VOIDED] * 2


def test_a_provider_that_timed_out_may_have_worked() -> None:
    world = World(exchanges=[refusal(504)])
    assert world.answer().status == 504
    assert world.ledger.outcome().state is State.ORPHAN


LISTENS = Exchange(headers=STREAM, pieces=(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n', b"data: [DONE]\n\n"))
REFUSES = refusal(400, "Unknown parameter: 'stream_options'.")


def asked(world: World) -> list[bool]:
    """For each request of a provider: whether it asked for usage."""
    return [b"include_usage" in sending.outgoing.body for sending in world.fetcher.sendings]


def test_a_provider_that_refuses_to_be_asked_for_usage_is_asked_without_and_remembered() -> None:
    world = World(exchanges=[REFUSES, LISTENS])
    assert world.answer(stream=True).body.endswith(b"[DONE]\n\n")
    assert [outcome.state for outcome in world.ledger.outcomes] == [State.VOIDED, State.SETTLED]
    assert world.records[0].attempts == 2
    world.answer(stream=True)
    assert asked(world) == [True, False, False]


def test_a_caller_cannot_make_a_provider_look_as_if_it_refused_to_be_asked_for_usage() -> None:
    """A refusal that quotes the caller's words is one with or without them."""
    world = World(exchanges=[refusal(400, "Invalid value: 'stream_options'. Supported values are: 'user'.")])
    assert world.answer(stream=True, messages=[{"role": "stream_options"}]).status == 400
    world.fetcher.exchanges = [LISTENS]
    world.answer(stream=True)
    assert asked(world) == [True, False, True]


def test_a_refusal_that_is_passed_on_is_noted_as_one() -> None:
    world = World(exchanges=[refusal(400)])
    assert json.loads(world.answer().body) == {"error": {"message": "no"}}
    assert world.ledger.outcome().reason == "upstream_refused"
    assert world.records[0].error == "upstream_refused"


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_answers_say_whose_they_are(status: int) -> None:
    headers = World(exchanges=[refusal(status)]).answer().headers
    assert headers[b"x-komeet-provider"] == b"maker"
    assert headers[b"x-request-id"].startswith(b"req_")


def test_an_answer_that_is_our_own_names_no_provider() -> None:
    assert b"x-komeet-provider" not in World().answer(model="").headers
