"""However a call ends, and wherever: one outcome for each hold, in the right state; one record; nothing left open."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pipeline.fakes import JSON, STREAM, Exchange, Interruption, World, interruptions, key

from komeet.core.errors import (
    ConnectFailed,
    CutMidStream,
    Garbled,
    KomeetError,
    Unavailable,
    UpstreamBusy,
    UpstreamTimedOut,
)
from komeet.core.money import Nano
from komeet.ledger.port import State


def event(**chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(text: str = "", finish: str | None = None) -> bytes:
    return event(model="m-1", choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


FINISH = b'"finish_reason": "stop"'
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
COST = 9 * 1_000 + 4 * 10_000
LAST_USAGE = event(choices=[], usage=USAGE)
DONE = b"data: [DONE]\n\n"
CONTENT = (delta("Hel").strip(), delta("lo").strip())
ERROR = event(error={"message": "overloaded", "type": "server_error", "code": 503})
MESSAGE = {"model": "m-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}}]}


def whole(body: object, status: int = 200, **more: Any) -> Exchange:
    """An answer that comes in two pieces."""
    data = json.dumps(body).encode()
    return Exchange(status=status, pieces=(data[:10], data[10:]), **more)


def streamed(*pieces: bytes, **more: Any) -> Exchange:
    return Exchange(headers=STREAM, pieces=pieces, **more)


CUT = CutMidStream("cut")
NO_STREAM_OPTIONS = whole({"error": {"message": "stream_options is not known"}}, 400)

EXCHANGES: dict[str, tuple[Exchange, ...]] = {
    "whole": (whole(MESSAGE | {"usage": USAGE}),),
    "whole, nothing reported": (whole(MESSAGE),),
    "whole, an error": (whole({"error": {"message": "no", "code": 500}}),),
    "whole, garbage": (whole("what?"),),
    "whole, cut": (whole(MESSAGE | {"usage": USAGE}, broken=CUT),),
    "stream": (streamed(delta("Hel"), delta("lo"), delta(finish="stop"), LAST_USAGE, DONE),),
    "stream, nothing reported": (streamed(delta("Hel"), delta("lo"), delta(finish="stop"), DONE),),
    "stream, cut before anything": (streamed(broken=CUT),),
    "stream, cut": (streamed(delta("Hel"), broken=CUT),),
    "stream, ended early": (streamed(delta("Hel")),),
    "stream, cut after usage": (streamed(delta("Hel"), LAST_USAGE, broken=CUT),),
    "stream, garbage": (streamed(b"<html>what?</html>"),),
    "stream, garbage later": (streamed(delta("Hel"), b"data: what?\n\n"),),
    "stream, an error": (streamed(ERROR),),
    "stream, an error, then cut": (streamed(ERROR, broken=CUT),),
    "stream, an error after content": (streamed(delta("Hel"), ERROR),),
    "stream, an error after content, then cut": (streamed(delta("Hel"), ERROR, broken=CUT),),
    "stream, an error after usage": (streamed(delta("Hel"), LAST_USAGE, ERROR),),
    "stream_options refused": (NO_STREAM_OPTIONS, streamed(delta("Hello", "stop"), LAST_USAGE, DONE)),
    "stream_options refused twice": (NO_STREAM_OPTIONS,),
    "refused": (whole({"error": {"message": "no"}}, 400),),
    "refused in HTML": (Exchange(status=404, headers={}, pieces=(b"<html>",)),),
    "refused, cut": (whole({"error": {"message": "no"}}, 422, broken=CUT),),
    "credential refused": (whole({"error": {"message": "no"}}, 401),),
    "limited": (whole({"error": {"message": "slow down"}}, 429),),
    "limited, endless": (whole({}, 429, broken=Garbled("longer than 1048576 bytes")),),
    "failed": (whole({"error": {"message": "no"}}, 500),),
    "failed, cut": (whole({"error": {"message": "no"}}, 500, broken=CUT),),
    "timed out by its own account": (whole({}, 504),),
    "redirected": (Exchange(status=302, headers={b"location": b"https://elsewhere.example"}),),
}

KEYS = (key(), key(budget=Nano(10**9), store_bodies=True))


def check(world: World) -> None:
    """Hold the world to everything that is always so."""
    check_money(world)
    check_answer(world)
    assert all(sending.answer is None or sending.answer.closed for sending in world.fetcher.sendings)
    (record,) = world.records
    assert record.status == (world.reply.status or 499)
    assert record.bytes_out == len(world.reply.body)


def check_money(world: World) -> None:
    """One outcome for each hold, in the state that follows from what went over the wire."""
    held = [hold.attempt_id for hold in world.ledger.holds]
    assert len(set(held)) == len(held)
    assert sorted(outcome.attempt_id for outcome in world.ledger.outcomes) == sorted(held)
    by_attempt = {outcome.attempt_id: outcome for outcome in world.ledger.outcomes}
    for place, attempt in enumerate(held):
        outcome = by_attempt[attempt]
        assert outcome.state is expected_state(world, place)
        if outcome.state is not State.SETTLED:
            assert (outcome.cost, outcome.estimated) == (0, False)
            assert outcome.reason
        elif outcome.estimated:
            assert outcome.cost == outcome.usage.input * 1_000 + outcome.usage.output * 10_000 > 0
        else:
            assert outcome.cost == COST
    last = by_attempt[held[-1]] if held else None
    assert world.records[-1].cost == (last.cost if last else 0)


def expected_state(world: World, place: int) -> State:
    """What became of an attempt, told from the provider's side."""
    sending = world.fetcher.sendings[place] if place < len(world.fetcher.sendings) else None
    if sending is None or not sending.sent:
        return State.VOIDED
    answer = sending.answer
    if answer is None or answer.status in {408, 504}:
        return State.ORPHAN
    if not 200 <= answer.status < 300:
        return State.VOIDED
    text = b"".join(answer.given)
    counted = State.ORPHAN if world.uncounted else State.SETTLED
    if answer.headers == STREAM and b'"stream":true' in sending.outgoing.body.replace(b" ", b""):
        _, reported, later = text.rpartition(LAST_USAGE.strip())
        if reported:  # what came after it may have to be counted all the same
            return counted if any(one in later for one in CONTENT) else State.SETTLED
        return State.VOIDED if ERROR.strip() in text and not any(one in text for one in CONTENT) else counted
    if not answer.whole or b"what?" in text:
        return State.ORPHAN
    if answer.headers == STREAM and (ERROR in text or b"stop" not in text):
        return State.ORPHAN
    if b"error" in text:
        return State.VOIDED
    return State.SETTLED if b"usage" in text else counted


def check_answer(world: World) -> None:
    """The caller has an answer of its format, which is whole or says that it is not; or a connection that is cut."""
    reply, record = world.reply, world.records[-1]
    assert reply.finished
    assert reply.aborted == world.left
    if world.left:
        return
    if reply.headers[b"content-type"] == JSON[b"content-type"]:
        body = json.loads(reply.body)
        assert ("error" in body) == (reply.status != 200) == bool(record.error)
        return
    events = [json.loads(text[6:]) for text in reply.body.split(b"\n\n") if text.startswith(b"data: {")]
    errors = [one for one in events if one.get("error")]
    # There are providers that do not say [DONE] behind the reason for which they end.
    # The connection may have been cut within the last words: they are sent on as they came.
    assert len(errors) + reply.body.count(DONE.strip()) == 1 or (FINISH in reply.body and not errors)
    assert (errors or events)[-1:] == events[-1:]
    assert record.error or not errors


def worlds(name: str) -> list[tuple[Callable[[], World], bool]]:
    """The worlds in which a provider answers so, and whether the call asks for a stream."""
    return [
        (lambda who=who: World(exchanges=EXCHANGES[name], key=who), stream) for who in KEYS for stream in (False, True)
    ]


@pytest.mark.parametrize("name", EXCHANGES)
def test_undisturbed(name: str) -> None:
    for make, stream in worlds(name):
        world = make()
        world.answer(stream=stream)
        check(world)


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_caller_leaves_at_any_await(name: str) -> None:
    for make, stream in worlds(name):
        for world in interruptions(make, asyncio.CancelledError, stream=stream):
            check(world)


ERRORS: dict[str, Callable[[], BaseException]] = {
    "unavailable": lambda: Unavailable("out of reach"),
    "no connection": lambda: ConnectFailed("nobody there"),
    "cut": lambda: CutMidStream("cut"),
    "late": lambda: UpstreamTimedOut("late", phase="idle"),
    "garbled": lambda: Garbled("what?"),
    "busy": lambda: UpstreamBusy("restarting", upstream_status=503, retry_after=2),
    "a mistake": lambda: RuntimeError("a mistake of ours"),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", EXCHANGES)
def test_something_breaks_at_any_await(name: str, error: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    for make, stream in worlds(name):
        for world in interruptions(make, ERRORS[error], stream=stream):
            check(world)


@pytest.mark.parametrize("error", [*ERRORS, "left"])
def test_the_embedded_model_fails_at_any_await(error: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    what = ERRORS.get(error, asyncio.CancelledError)
    for world in interruptions(lambda: World(exchanges=EXCHANGES["stream"], embedded=True), what, stream=True):
        check(world)
        if world.points[-1] == "origin":
            assert world.ledger.outcome().state is State.VOIDED


@given(
    said=st.lists(st.sampled_from([delta("Hel"), delta("lo"), delta(finish="stop"), LAST_USAGE]), max_size=6),
    last=st.sampled_from([b"", ERROR, DONE]),
    size=st.integers(1, 400),
    broken=st.sampled_from([None, CUT]),
    at=st.integers(0, 30),
    error=st.sampled_from([asyncio.CancelledError, ERRORS["cut"], ERRORS["late"]]),
)
def test_a_stream_in_any_pieces_interrupted_anywhere(
    said: list[bytes],
    last: bytes,
    size: int,
    broken: KomeetError | None,
    at: int,
    error: Callable[[], BaseException],
) -> None:
    whole = b"".join(said) + last
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    world = World(exchanges=[streamed(*pieces, broken=broken)])
    world.answer(Interruption(at, error), stream=True)
    check(world)
