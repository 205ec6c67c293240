"""`Idempotency-Key`: executed once, answered again; and nothing about money follows from what a caller calls a call."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from tests.pipeline.fakes import SECRET, STREAM, Exchange, FakeAnswer, FakeReply, Interruption, Point, World, key
from tests.pipeline.test_limiting import ANSWER, CUT

from komeet.access.keys import KeyLimits
from komeet.canonical.once import Claim, Kept
from komeet.core.errors import ConnectFailed, Unavailable
from komeet.core.http import HttpRequest, Outgoing
from komeet.pipeline.call import Call
from komeet.pipeline.once import STREAM_MOST
from komeet.wire.openai_chat.format import FORMAT

END = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}\n\n'
DONE = b"data: [DONE]\n\n"


class FakeMemory:
    """Remembers in a dictionary; every await is a step of the test."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, bytes], Kept] = {}
        self.asked = 0
        self.gone = False

    async def claim(self, claim: Claim) -> Kept | None:
        self.asked += 1
        if self.gone:
            raise Unavailable("Out of reach.", retry_after=1)
        await Point("claim")
        which = (claim.key_id, claim.digest)
        if which in self.rows:
            return self.rows[which]
        self.rows[which] = Kept(request_id=claim.request_id, body_digest=claim.body_digest, done=False)
        return None

    async def keep(self, claim: Claim, kept: Kept) -> None:
        which = (claim.key_id, claim.digest)
        assert self.rows[which].request_id == claim.request_id
        self.rows[which] = kept

    async def release(self, claim: Claim) -> None:
        assert self.rows.pop((claim.key_id, claim.digest)).request_id == claim.request_id


class Named(World):
    """A world whose calls have an `Idempotency-Key`."""

    name: bytes | None = b"order-1"
    path = "/v1/chat/completions"
    forged: bytes | None = None
    """An `x-request-id` of the caller's."""

    def call(self, **fields: Any) -> Call:
        made = super().call(**fields)
        headers = dict(made.request.headers)
        if self.name is not None:
            headers[b"idempotency-key"] = self.name
        if self.forged is not None:
            headers[b"x-request-id"] = self.forged
        request = HttpRequest(
            method="POST", path=self.path, headers=headers, body=made.request.body, arrived=self.clock.monotonic()
        )
        return Call(request, self.reply, FORMAT, self.path, self.clock)


def named(*exchanges: Exchange, memory: FakeMemory | None = None, **more: Any) -> tuple[Named, FakeMemory]:
    world = Named(exchanges or (Exchange(pieces=(ANSWER,)),), **more)
    memory = memory or FakeMemory()
    world.ports = replace(world.ports, once=memory)
    return world, memory


def error(reply: FakeReply) -> tuple[int, str]:
    return reply.status, json.loads(reply.body)["error"]["code"]


def stream(*pieces: bytes) -> Exchange:
    return Exchange(headers=STREAM, pieces=pieces)


def test_it_is_executed_once_and_answered_again() -> None:
    world, _ = named()
    first, second = world.answer(), world.answer()
    assert (second.status, second.body) == (first.status, first.body) == (200, ANSWER)
    assert len(world.fetcher.sendings) == len(world.ledger.outcomes) == 1
    assert b"idempotent-replayed" not in first.headers
    assert second.headers[b"idempotent-replayed"] == b"true"
    assert second.headers[b"content-type"] == b"application/json"
    assert second.headers[b"x-komeet-cost"] == b"0"
    assert second.headers[b"x-request-id"] != first.headers[b"x-request-id"]
    one, other = world.records
    assert other.replay_of == one.request_id == second.headers[b"x-komeet-replay-of"].decode()
    assert (one.replay_of, one.cost > 0, other.cost, other.attempts) == ("", True, 0, 0)
    assert other.usage.input == other.usage.output == 0


def test_a_short_stream_is_answered_again_and_a_long_one_has_a_receipt() -> None:
    world, _ = named(stream(CUT, END, DONE), stream(CUT + b": " + b"x" * STREAM_MOST + b"\n\n", END, DONE))
    first, second = world.answer(stream=True), world.answer(stream=True)
    assert second.body == first.body
    assert second.chunked
    assert second.headers[b"content-type"] == first.headers[b"content-type"]
    world.name = b"order-2"
    long = world.answer(stream=True)
    assert long.status == 200
    again = world.answer(stream=True)
    assert error(again) == (409, "already_executed")
    assert long.headers[b"x-request-id"].decode() in again.body.decode()
    assert "0.000049 dollars" in again.body.decode()
    assert len(world.fetcher.sendings) == 2
    assert world.records[-1].replay_of == long.headers[b"x-request-id"].decode()


@pytest.mark.parametrize("fields", [{"max_tokens": 5}, {"path": "/v1/other"}], ids=["body", "address"])
def test_another_call_under_the_same_name_is_refused(fields: dict[str, Any]) -> None:
    world, _ = named()
    world.answer()
    world.path = fields.pop("path", world.path)
    assert error(world.answer(**fields)) == (400, "idempotency_key_reused")
    assert len(world.fetcher.sendings) == 1


def test_while_it_is_under_way_it_is_not_made_again() -> None:
    world, memory = named()
    held: list[FakeReply] = []
    really = world.fetcher.fetch

    async def fetch(outgoing: Outgoing, sent: Callable[[], None] | None = None) -> FakeAnswer:
        other, _ = named(memory=memory)
        held.append(other.answer())
        assert other.fetcher.sendings == []
        return await really(outgoing, sent)

    world.fetcher.fetch = fetch
    assert world.answer().status == 200
    assert error(held[0]) == (409, "idempotency_conflict")
    assert held[0].headers[b"retry-after"] == b"1"
    assert world.answer().headers[b"idempotent-replayed"] == b"true"


@pytest.mark.parametrize(
    ("status", "kept"), [(400, True), (422, True), (401, False), (429, False), (500, False), (503, False)]
)
def test_a_refusal_of_what_was_asked_is_kept_and_one_that_may_pass_is_not(status: int, *, kept: bool) -> None:
    refusal = Exchange(status=status, pieces=(b'{"error":{"message":"No.","type":"t","param":null,"code":null}}',))
    world, memory = named(refusal, Exchange(pieces=(ANSWER,)))
    first = world.answer()
    assert bool(memory.rows) is kept
    again = world.answer()
    assert (again.status == first.status) is kept
    assert (b"idempotent-replayed" in again.headers) is kept


def test_what_broke_off_after_it_was_sent_is_kept_as_the_error_that_it_was() -> None:
    world, _ = named(Exchange(pieces=(b"this is no answer",)), Exchange(pieces=(ANSWER,)))
    first, second = world.answer(), world.answer()
    assert error(first) == error(second) == (502, "upstream_garbled")
    assert len(world.fetcher.sendings) == 1


def test_what_was_never_sent_is_not_kept() -> None:
    world, memory = named()
    assert world.answer(model=5).status == 400
    assert memory.asked == 0, "a mistake in the call is found before"
    really = world.fetcher.fetch

    async def fetch(outgoing: Outgoing, sent: Callable[[], None] | None = None) -> FakeAnswer:
        raise ConnectFailed("Nobody there.")

    world.fetcher.fetch = fetch
    assert world.answer().status == 502
    assert memory.rows == {}
    world.fetcher.fetch = really
    assert world.answer().status == 200


def test_a_replay_takes_nothing_from_limits_and_no_room_in_a_limit_is_not_kept() -> None:
    world, memory = named(key=key(limits=KeyLimits(requests_per_minute=1)))
    taken: list[int] = []

    class Counting:
        async def admit(self, call: Call) -> None:
            taken.append(1)

        def look(self, call: Call) -> None: ...
        def end(self, call: Call, *, counted: bool) -> None: ...

    world.ports = replace(world.ports, limits=Counting())  # pyright: ignore[reportArgumentType]
    world.answer()
    world.answer()
    assert taken == [1]
    assert len(memory.rows) == 1


def test_tenants_that_use_the_same_name_have_nothing_in_common() -> None:
    one, memory = named()
    other, _ = named(memory=memory, key=replace(key(), id="key_2"))
    assert one.answer().status == other.answer().status == 200
    assert len(one.fetcher.sendings) == len(other.fetcher.sendings) == 1
    assert one.records[0].cost == other.records[0].cost > 0
    assert len(memory.rows) == 2


def test_ids_that_a_caller_makes_up_change_nothing_about_its_bill() -> None:
    world, _ = named()
    world.name, world.forged = None, b"req_forged"
    for _ in range(3):
        world.answer()
    assert len({hold.attempt_id for hold in world.ledger.holds}) == 3
    assert len({record.request_id for record in world.records} - {"req_forged"}) == 3
    assert sum(record.cost > 0 for record in world.records) == 3


@pytest.mark.parametrize(("name", "status"), [(b"x" * 255, 200), (b"x" * 256, 400), (b"", 400)])
def test_a_name_has_its_bounds(name: bytes, status: int) -> None:
    world, _ = named()
    world.name = name
    assert world.answer().status == status


def test_without_a_name_nothing_is_asked_or_kept() -> None:
    world, memory = named()
    world.name = None
    world.answer()
    assert (memory.asked, memory.rows) == (0, {})
    assert type(world.call().reply) is FakeReply


def test_the_store_out_of_reach_refuses_rather_than_making_it_twice() -> None:
    world, memory = named()
    memory.gone = True
    assert world.answer().status == 503
    assert world.fetcher.sendings == []


@pytest.mark.parametrize("failure", [asyncio.CancelledError, lambda: Unavailable("Out of reach."), RuntimeError])
@pytest.mark.parametrize("streamed", [True, False])
def test_however_a_call_ends_its_name_is_free_or_it_is_never_made_again(
    failure: Callable[[], BaseException], *, streamed: bool
) -> None:
    def exchanges() -> Sequence[Exchange]:
        return (stream(CUT, END, DONE),) if streamed else (Exchange(pieces=(ANSWER,)),)

    undisturbed, _ = named(*exchanges())
    undisturbed.answer(stream=streamed)
    for at, label in enumerate(undisturbed.points):
        if label in ("find", "claim"):
            continue
        world, memory = named(*exchanges())
        world.answer(Interruption(at, failure), stream=streamed)
        sent = sum(sending.sent for sending in world.fetcher.sendings)
        assert all(row.done for row in memory.rows.values())
        again = world.answer(stream=streamed)
        assert sum(sending.sent for sending in world.fetcher.sendings) == max(1, sent)
        if sent:
            assert again.headers.get(b"idempotent-replayed") == b"true" or error(again) == (409, "already_executed")


def test_the_secret_is_not_part_of_what_is_kept() -> None:
    world, memory = named()
    world.answer()
    assert SECRET.encode() not in b"".join(row.body or b"" for row in memory.rows.values())
