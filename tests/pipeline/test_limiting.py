"""Rate limits of calls: taken all or none, told in every answer, given back however a call ends, waited for in turn."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.pipeline.fakes import JSON, STREAM, Exchange, World, interruptions, key

from komeet.access.keys import KeyLimits
from komeet.core.clock import ManualClock
from komeet.core.errors import LimitExceeded, Unavailable
from komeet.limits.limit import Grant, Limit, Scope, Taken, Want
from komeet.limits.rules import Amounts, Rule
from komeet.pipeline.call import Call
from komeet.pipeline.limiting import Limiter
from komeet.pipeline.stages import choose, identify, parse
from komeet.store.limit_table import LimitTable, prepare

ANSWER = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }
).encode()
CUT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'


class Noting:
    """A table that notes what is asked of it."""

    def __init__(self, table: LimitTable) -> None:
        self.table = table
        self.seen: list[Limit] = []

    def take(self, wants: Sequence[Want]) -> Taken:
        self.seen = [want.limit for want in wants]
        return self.table.take(wants)

    def end(self, grants: Sequence[Grant], tokens: int | None) -> None:
        self.table.end(grants, tokens)

    def remaining(self) -> list[int]:
        return [verdict.remaining for verdict in self.table.take([Want(limit, 0) for limit in self.seen]).verdicts]


class Nobody:
    """A table that must not be asked."""

    def take(self, wants: Sequence[Want]) -> Taken:
        raise AssertionError

    def end(self, grants: Sequence[Grant], tokens: int | None) -> None:
        raise AssertionError


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def table(tmp_path: Path, clock: ManualClock) -> Iterator[Noting]:
    prepare(tmp_path, clock)
    with closing(LimitTable(tmp_path, clock, "wrk_a")) as table:
        yield Noting(table)


def world_of(
    table: Noting, clock: ManualClock, limits: KeyLimits, *exchanges: Exchange, rules: Sequence[Rule] = ()
) -> World:
    world = World(exchanges or (Exchange(headers=JSON, pieces=(ANSWER,)),), key=key(limits=limits), clock=clock)
    world.ports = replace(world.ports, limits=Limiter(table, rules))
    return world


def test_a_call_above_the_limit_sends_nothing_and_says_what_is_used_and_when_there_is_room(
    table: Noting, clock: ManualClock
) -> None:
    world = world_of(table, clock, KeyLimits(requests_per_minute=2))
    first, second = world.answer(), world.answer()
    assert [reply.headers[b"x-ratelimit-remaining-requests"] for reply in (first, second)] == [b"1", b"0"]
    assert first.headers[b"x-ratelimit-limit-requests"] == b"2"
    assert first.headers[b"x-ratelimit-reset-requests"] == b"30s"
    sent = len(world.fetcher.sendings)
    refused = world.answer()
    assert (refused.status, refused.headers[b"retry-after"]) == (429, b"30")
    error = json.loads(refused.body)["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert error["message"] == (
        "The limit of 2 requests per minute for the key k is reached: 2 are used. There is room again in 30s."
    )
    assert refused.headers[b"x-ratelimit-remaining-requests"] == b"0"
    assert len(world.fetcher.sendings) == sent
    assert len(world.ledger.holds) == 2
    clock.advance(30)
    assert world.answer().status == 200


def test_keys_without_limits_touch_nothing(clock: ManualClock) -> None:
    world = World((Exchange(pieces=(ANSWER,)),), clock=clock)
    world.ports = replace(world.ports, limits=Limiter(Nobody()))
    assert world.answer().status == 200


def test_what_refuses_takes_nothing_from_the_others(table: Noting, clock: ManualClock) -> None:
    rules = [
        Rule(scope=Scope.PROVIDER, match=("maker",), amounts=Amounts(requests_per_minute=1)),
        Rule(scope=Scope.MODEL, match=("m*",), amounts=Amounts(tokens_per_day=10_000)),
    ]
    world = world_of(table, clock, KeyLimits(requests_per_minute=5, concurrent=2), rules=rules)
    assert world.answer().status == 200
    refused = world.answer()
    assert refused.status == 429
    assert "for the provider maker" in json.loads(refused.body)["error"]["message"]
    assert [limit.scope for limit in table.seen] == [Scope.KEY, Scope.KEY, Scope.MODEL, Scope.PROVIDER]
    assert table.remaining() == [4, 2, 9_987, 0]


def test_tokens_are_taken_at_an_estimate_and_corrected_to_what_was_used(table: Noting, clock: ManualClock) -> None:
    world = world_of(table, clock, KeyLimits(tokens_per_minute=1_000))
    reply = world.answer(max_tokens=500)
    left = int(reply.headers[b"x-ratelimit-remaining-tokens"])
    assert 470 <= left < 500
    assert table.remaining() == [1_000 - 13]
    refused = world.answer(max_tokens=1_500)
    assert refused.status == 429
    assert b"retry-after" not in refused.headers
    assert "would never fit" in json.loads(refused.body)["error"]["message"]
    clock.advance(60)
    assert world.answer().status == 200, "what the caller does not say is no reason to refuse it for ever"


def test_tokens_that_were_counted_here_count_too(table: Noting, clock: ManualClock) -> None:
    world = world_of(
        table, clock, KeyLimits(tokens_per_minute=1_000, concurrent=1), Exchange(headers=STREAM, pieces=(CUT,))
    )
    world.answer(stream=True, max_tokens=300)
    used = world.records[0].usage
    assert world.records[0].estimated
    assert table.remaining() == [1_000 - used.input - used.output, 1]


def test_a_call_that_went_wrong_before_it_was_counted_tells_how_the_limits_stand(
    table: Noting, clock: ManualClock
) -> None:
    world = world_of(table, clock, KeyLimits(requests_per_minute=7))
    reply = world.answer(model=5)
    assert reply.status == 400
    assert reply.headers[b"x-ratelimit-remaining-requests"] == b"7"


@pytest.mark.parametrize("error", [asyncio.CancelledError, lambda: Unavailable("Out of reach."), RuntimeError])
@pytest.mark.parametrize("stream", [True, False])
def test_however_a_call_ends_it_gives_back_what_it_did_not_use(
    tmp_path: Path, error: Callable[[], BaseException], *, stream: bool
) -> None:
    clock = ManualClock()
    prepare(tmp_path, clock)
    exchange = Exchange(headers=STREAM, pieces=(CUT,)) if stream else Exchange(pieces=(ANSWER,))
    with closing(LimitTable(tmp_path, clock, "wrk_a")) as its:
        table = Noting(its)

        def make() -> World:
            clock.advance(60)
            return world_of(table, clock, KeyLimits(concurrent=1, tokens_per_minute=1_000), exchange)

        for world in interruptions(make, error, stream=stream, max_tokens=100):
            if not table.seen:
                continue
            tokens, calls = table.remaining()
            assert calls == 1
            if not (world.fetcher.sendings and world.fetcher.sendings[0].sent):
                assert tokens == 1_000
            assert tokens >= 1_000 - 130


class Waiting:
    """Calls that wait: time goes on only when all of them do."""

    def __init__(self, table: Noting, clock: ManualClock, limits: KeyLimits, rules: Sequence[Rule] = ()) -> None:
        self.clock = clock
        self.world = world_of(table, clock, limits)
        self.limiter = Limiter(table, rules, sleep=self.sleep)
        self.done: list[int] = []

    async def sleep(self, seconds: float) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        self.clock.advance(seconds)

    async def call(self, number: int) -> Call:
        call = self.world.call()
        self.world.ports = replace(self.world.ports, keys=_Known(self.world))
        for stage in (identify, parse, choose):
            await stage(call, self.world.ports)
        await self.limiter.admit(call)
        self.done.append(number)
        return call


class _Known:
    def __init__(self, world: World) -> None:
        self.world = world

    def known(self, digest: bytes) -> object:
        return self.world.key

    async def find(self, digest: bytes) -> object:
        return self.world.key


def test_calls_that_wait_have_their_turn_in_the_order_in_which_they_came(table: Noting, clock: ManualClock) -> None:
    waiting = Waiting(table, clock, KeyLimits(requests_per_minute=2, wait_seconds=600))

    async def main() -> None:
        await asyncio.gather(*(waiting.call(number) for number in range(8)))

    asyncio.run(main())
    assert waiting.done == list(range(8))
    assert clock.now == pytest.approx(6 * 30)


def test_who_leaves_leaves_the_queue_and_who_finds_it_full_is_refused(table: Noting, clock: ManualClock) -> None:
    rule = Rule(scope=Scope.KEY, amounts=Amounts(wait_seconds=600, waiting=2))
    waiting = Waiting(table, clock, KeyLimits(requests_per_minute=1), [rule])

    async def main() -> None:
        await waiting.call(0)
        first, second = (asyncio.create_task(waiting.call(number)) for number in (1, 2))
        await asyncio.sleep(0)
        with pytest.raises(LimitExceeded, match="wait for their turn"):
            await waiting.call(3)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        fourth = asyncio.create_task(waiting.call(4))
        await asyncio.gather(second, fourth)

    asyncio.run(main())
    assert waiting.done == [0, 2, 4]


def test_a_call_that_waits_for_another_goes_on_when_that_has_ended(table: Noting, clock: ManualClock) -> None:
    waiting = Waiting(table, clock, KeyLimits(concurrent=1, wait_seconds=30))

    async def main() -> None:
        running = await waiting.call(0)
        next_one = asyncio.create_task(waiting.call(1))
        for _ in range(100):
            await asyncio.sleep(0)
        assert waiting.done == [0]
        waiting.limiter.end(running, counted=True)
        await next_one

    asyncio.run(main())
    assert waiting.done == [0, 1]


def test_nobody_waits_in_vain(table: Noting, clock: ManualClock) -> None:
    waiting = Waiting(table, clock, KeyLimits(requests_per_day=1, wait_seconds=5))

    async def main() -> None:
        await waiting.call(0)
        with pytest.raises(LimitExceeded, match="room again in 24h"):
            await waiting.call(1)

    asyncio.run(main())
    assert clock.now == 0


def test_each_machine_has_its_part(table: Noting, clock: ManualClock) -> None:
    class Three:
        count = 3

    world = world_of(table, clock, KeyLimits(requests_per_minute=10))
    world.ports = replace(world.ports, limits=Limiter(table, nodes=Three()))  # pyright: ignore[reportArgumentType]
    assert [world.answer().status for _ in range(4)] == [200, 200, 200, 429]


def test_the_table_out_of_reach_refuses_calls_that_have_limits(clock: ManualClock) -> None:
    class Gone(Nobody):
        def take(self, wants: Sequence[Want]) -> Taken:
            raise Unavailable("The limits are not at hand.", retry_after=1)

    world = World((Exchange(pieces=(ANSWER,)),), key=key(limits=KeyLimits(concurrent=5)), clock=clock)
    world.ports = replace(world.ports, limits=Limiter(Gone()))
    assert world.answer().status == 503
    assert world.ledger.holds == []
