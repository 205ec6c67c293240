"""The client on real sockets, against an upstream that lies."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.conftest import NEVER, OK, Peer, Script, Upstream, answering, run, until, upstream

from komeet.core.clock import ManualClock
from komeet.core.errors import (  # fmt: skip
    ConnectFailed,
    ConnectTimedOut,
    CutMidStream,
    Garbled,
    InternalError,
    KomeetError,
    UpstreamTimedOut,
)
from komeet.core.http import Answer, Fetcher, Origin
from komeet.net.answer import HttpAnswer
from komeet.net.client import Client
from komeet.net.limits import ClientLimits

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@asynccontextmanager
async def client(limits: ClientLimits | None = None, clock: ManualClock | None = None) -> AsyncGenerator[Client]:
    """A client whose time stands still, and which sweeps when a test says so."""
    made = Client(clock or ManualClock(), limits=limits, sweep_seconds=NEVER)
    try:
        yield made
    finally:
        await made.aclose()


@asynccontextmanager
async def pair(
    script: Script, limits: ClientLimits | None = None
) -> AsyncGenerator[tuple[Client, Upstream, ManualClock]]:
    clock = ManualClock()
    async with upstream(script) as up, client(limits, clock) as made:
        yield made, up, clock


def pass_time(made: Client, clock: ManualClock, seconds: float) -> bool:
    """Let time pass, and the client notice; always True, to stand in a condition."""
    clock.advance(seconds)
    made._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    return True


async def get(made: Client, up: Upstream) -> bytes:
    return await (await made.fetch(up.outgoing())).read(1 << 20)


def as_ports(made: Client, answer: HttpAnswer) -> tuple[Fetcher, Answer]:
    """Hold the types to their ports: checked by the type checker."""
    return made, answer


def test_the_request_as_it_is_sent() -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            seen.append(request)
            peer.say(OK)

    async def main() -> None:
        async with pair(script) as (made, up, _):
            await made.fetch(
                up.outgoing("/v1/x?y=1", headers=[(b"authorization", b"Bearer k"), (b"a", b"b")], body=b"{1}")
            )
            await made.fetch(up.outgoing("/", method="GET", body=b""))
            await made.fetch(up.outgoing("/", body=b""))
            large = b"x" * 5_000_000
            await made.fetch(up.outgoing("/", body=large))
            host = f"host: 127.0.0.1:{up.origin.port}\r\n".encode()
            assert seen == [
                b"POST /v1/x?y=1 HTTP/1.1\r\n"
                + host
                + b"content-length: 3\r\nauthorization: Bearer k\r\na: b\r\n\r\n{1}",
                b"GET / HTTP/1.1\r\n" + host + b"\r\n",
                b"POST / HTTP/1.1\r\n" + host + b"content-length: 0\r\n\r\n",
                b"POST / HTTP/1.1\r\n" + host + b"content-length: 5000000\r\n\r\n" + large,
            ]
            assert len(up.peers) == 1

    run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        {"headers": [(b"x", b"a\r\nevil: 1")]},
        {"headers": [(b"x\n", b"a")]},
        {"headers": [(b"x", b"\0")]},
        {"headers": [(b"host", b"evil")]},
        {"headers": [(b"content-length", b"1")]},
        {"headers": [(b"transfer-encoding", b"chunked")]},
        {"target": "/ HTTP/1.1\r\nevil: 1\r\n\r\n"},
        {"target": "/a b"},
        {"target": "/é"},
        {"target": "http://evil/"},
        {"target": ""},
        {"method": "GET /evil HTTP/1.1\r\n"},
    ],
)
def test_a_request_that_would_change_its_framing_is_not_sent(wrong: dict[str, object]) -> None:
    async def main() -> None:
        async with pair(answering(OK)) as (made, up, _):
            with pytest.raises(InternalError):
                await made.fetch(up.outgoing(**wrong))  # pyright: ignore[reportArgumentType] - wrong on purpose
            assert not up.peers

    run(main())


def test_a_kept_alive_connection_is_used_again() -> None:
    async def main() -> None:
        async with pair(answering(OK, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as (made, up, _):
            for _ in range(20):
                assert await get(made, up) == b"hello world"
            assert len(up.peers) == 1

    run(main())


def test_concurrent_calls_have_a_connection_each_and_the_last_used_is_used_first() -> None:
    served: Counter[Peer] = Counter()

    async def script(peer: Peer) -> None:
        while await peer.request():
            served[peer] += 1
            peer.say(OK)

    async def main() -> None:
        async with pair(script) as (made, up, _):
            await asyncio.gather(*[get(made, up) for _ in range(5)])
            assert len(up.peers) == 5
            for _ in range(20):
                await get(made, up)
            assert sorted(served.values()) == [1, 1, 1, 1, 21]

    run(main())


def test_a_connection_is_used_again_before_its_answer_is_read() -> None:
    async def main() -> None:
        async with pair(answering(OK)) as (made, up, _):
            first = await made.fetch(up.outgoing())
            second = await made.fetch(up.outgoing())
            assert len(up.peers) == 1
            assert await second.read(100) == await first.read(100) == b"hello world"
            first.close()

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"x",
        OK + OK,
        OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK.replace(b"\r\n\r\n", b"\r\nkeep-alive: timeout=1\r\n\r\n"),
    ],
)
def test_connections_that_are_not_used_again(answer: bytes) -> None:
    async def main() -> None:
        async with pair(answering(answer)) as (made, up, clock):
            assert await get(made, up) == b"hello world"
            await until(lambda: pass_time(made, clock, 0.1) and up.gone == 1)
            assert clock.now < 5.0
            assert await get(made, up) == b"hello world"
            assert len(up.peers) == 2

    run(main())


@pytest.mark.parametrize("parting", [b"", b"x", b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"])
def test_a_connection_that_closed_or_spoke_while_idle_is_not_used(parting: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(OK)
        await proceed.wait()
        if parting:
            peer.say(parting)
            await peer.left()

    async def main() -> None:
        async with pair(script) as (made, up, _):
            assert await get(made, up) == b"hello world"
            pool = made._pools[up.origin]  # pyright: ignore[reportPrivateUsage]
            assert len(pool) == 1
            proceed.set()
            await until(lambda: len(pool) == 0)
            assert await get(made, up) == b"hello world"
            assert len(up.peers) == 2

    proceed = asyncio.Event()
    run(main())


def test_what_may_have_been_handled_is_not_sent_again() -> None:
    requests = 0

    async def script(peer: Peer) -> None:
        nonlocal requests
        await peer.request()
        requests += 1
        peer.say(OK)
        await peer.request()
        requests += 1

    async def main() -> None:
        async with pair(script) as (made, up, _):
            assert await get(made, up) == b"hello world"
            with pytest.raises(CutMidStream, match="before it answered"):
                await get(made, up)
            assert (requests, len(up.peers)) == (2, 1)

    run(main())


@pytest.mark.parametrize("data", [OK, CHUNKED])
def test_an_answer_cut_anywhere_is_never_whole(data: bytes) -> None:
    async def main() -> None:
        for reset in (False, True):
            for cut in range(len(data)):

                async def script(peer: Peer, cut: int = cut, reset: bool = reset) -> None:
                    await peer.request()
                    peer.say(data[:cut])
                    await peer.writer.drain()
                    if reset:
                        peer.reset()

                async with upstream(script) as up:
                    with pytest.raises(CutMidStream):
                        await get(made, up)
                    pieces: list[bytes] = []
                    with pytest.raises(CutMidStream):
                        await (await made.fetch(up.outgoing())).relay(pieces.append)
                    assert b"hello world".startswith(b"".join(pieces))

    async def around() -> None:
        nonlocal made
        async with client() as made:
            await main()

    made: Client
    run(around())


def test_an_answer_without_length_ends_with_its_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\n\r\nhello ")
        await peer.writer.drain()
        await proceed.wait()
        peer.say(b"world")

    async def main() -> None:
        async with pair(script) as (made, up, _):
            answer = await made.fetch(up.outgoing())
            proceed.set()
            assert await answer.read(100) == b"hello world"

    proceed = asyncio.Event()
    run(main())


def test_answers_without_a_body() -> None:
    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
        async with pair(answering(head)) as (made, up, _):
            answer = await made.fetch(up.outgoing(method="HEAD", body=b""))
            assert await answer.read(1) == b""
        async with pair(answering(b"HTTP/1.1 204 No\r\n\r\n")) as (made, up, _):
            for _ in range(2):
                answer = await made.fetch(up.outgoing())
                assert (answer.status, await answer.read(0)) == (204, b"")
            assert len(up.peers) == 1

    run(main())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300) | st.binary(max_size=50).map(lambda tail: OK[:60] + tail))
def test_garbage_is_garbled_or_cut(data: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(data)

    async def main() -> None:
        async with pair(script) as (made, up, _):
            try:
                await get(made, up)
            except KomeetError as error:
                assert isinstance(error, (Garbled, CutMidStream))

    run(main())


def test_a_whole_answer_in_one_segment_behind_a_head_in_pieces() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        for i in range(len(OK) - 5):
            peer.say(OK[i : i + 1])
            await peer.writer.drain()
            await asyncio.sleep(0)
        peer.say(OK[-5:])
        await peer.left()

    async def main() -> None:
        async with pair(script) as (made, up, _):
            assert await get(made, up) == b"hello world"

    run(main())


def test_relay_hands_over_what_came_early_and_then_each_piece_as_it_comes() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(STREAM + b"5\r\nfirst\r\n")
        for n in range(3):
            await ready.wait()
            ready.clear()
            peer.say(b"1\r\n%d\r\n" % n)
        await ready.wait()
        peer.say(b"0\r\n\r\n")
        await peer.left()

    async def main() -> None:
        async with pair(script) as (made, up, _):
            answer = await made.fetch(up.outgoing())
            await until(lambda: bool(answer._early))  # pyright: ignore[reportPrivateUsage]
            pieces: list[bytes] = []

            def feed(data: bytes) -> None:
                pieces.append(data)
                ready.set()

            await answer.relay(feed)
            assert pieces == [b"first", b"0", b"1", b"2"]

    ready = asyncio.Event()
    run(main())


@pytest.mark.parametrize("early", [True, False])
def test_what_feed_raises_ends_the_call(early: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(STREAM)
        if not early:
            await ready.wait()
        peer.say(b"1\r\nx\r\n" * 3)
        await peer.left()

    def feed(data: bytes) -> None:
        calls.append(data)
        raise LookupError("mine")

    async def main() -> None:
        async with pair(script) as (made, up, _):
            answer = await made.fetch(up.outgoing())
            if early:
                await until(lambda: bool(answer._early))  # pyright: ignore[reportPrivateUsage]
            ready.set()
            with pytest.raises(LookupError, match="mine"):
                await answer.relay(feed)
            assert len(calls) == 1
            await until(lambda: up.gone == 1)

    ready = asyncio.Event()
    calls: list[bytes] = []
    run(main())


def test_closing_from_within_feed_ends_the_call_as_cut() -> None:
    async def main() -> None:
        async with pair(answering(CHUNKED[:60])) as (made, up, _):
            answer = await made.fetch(up.outgoing())
            calls: list[bytes] = []

            def feed(data: bytes) -> None:
                calls.append(data)
                answer.close()

            with pytest.raises(CutMidStream, match="given up"):
                await answer.relay(feed)
            answer.close()
            assert len(calls) == 1

    run(main())


def test_a_body_above_the_limit_is_not_read() -> None:
    async def main() -> None:
        async with pair(answering(OK)) as (made, up, _):
            assert await (await made.fetch(up.outgoing())).read(11) == b"hello world"
            with pytest.raises(Garbled, match="longer than 10 bytes"):
                await (await made.fetch(up.outgoing())).read(10)

        async def endless(peer: Peer) -> None:
            await peer.request()
            peer.say(STREAM)
            while True:
                peer.say(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
                await peer.writer.drain()

        async with pair(endless) as (made, up, _):
            with pytest.raises(Garbled, match="longer"):
                await (await made.fetch(up.outgoing())).read(1_000_000)
            await until(lambda: up.gone == 1)

    run(main())


def test_backpressure_bounds_what_is_kept() -> None:
    total = 30_000_000
    said = 0

    async def script(peer: Peer) -> None:
        nonlocal said
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while said < total:
            peer.say(b"x" * 100_000)
            said += 100_000
            await peer.writer.drain()
        await peer.left()

    async def main() -> None:
        async with pair(script) as (made, up, clock):
            answer = await made.fetch(up.outgoing(idle=10.0, total=20.0))
            await until(lambda: answer.halted)
            kept = len(answer._early)  # pyright: ignore[reportPrivateUsage]
            assert kept < 1_000_000
            for _ in range(10):
                pass_time(made, clock, 100.0)  # deadlines stop meanwhile
                await asyncio.sleep(0.005)
            assert said < total
            assert len(answer._early) == kept  # pyright: ignore[reportPrivateUsage]
            got = paused_at = 0

            def feed(data: bytes) -> None:
                nonlocal got
                got += len(data)
                if paused_at == 0 and got > 5_000_000:
                    pause()

            def pause() -> None:
                nonlocal paused_at
                paused_at = got
                answer.pause()
                asyncio.get_running_loop().call_later(0.02, resume)

            def resume() -> None:
                assert got == paused_at, "nothing comes while paused"
                pass_time(made, clock, 1000.0)
                answer.resume()
                pass_time(made, clock, 0.0)

            await answer.relay(feed)
            assert got == total
            assert paused_at
            assert len(up.peers) == 1

    run(main())


def test_a_pause_does_not_outlive_its_answer() -> None:
    async def script(peer: Peer) -> None:
        while await peer.request():
            peer.say(STREAM + b"5\r\nfirst\r\n")
            await proceed.wait()
            proceed.clear()
            peer.say(b"4\r\nlast\r\n0\r\n\r\n")

    async def main() -> None:
        async with pair(script) as (made, up, _):
            for _ in range(3):
                answer = await made.fetch(up.outgoing())

                def feed(data: bytes, answer: Answer = answer) -> None:
                    if data == b"last":
                        answer.pause()
                    else:
                        proceed.set()

                await answer.relay(feed)
            assert len(up.peers) == 1

    proceed = asyncio.Event()
    run(main())


def test_a_connection_whose_request_was_answered_before_it_had_left_is_not_used_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.say(OK)
        await proceed.wait()

    async def main() -> None:
        async with pair(script) as (made, up, _):
            for _ in range(2):
                answer = await made.fetch(up.outgoing(body=b"x" * 30_000_000))
                assert await answer.read(100) == b"hello world"
            assert len(up.peers) == 2
            proceed.set()

    proceed = asyncio.Event()
    run(main())


@pytest.mark.parametrize("phase", ["fetch", "read", "relay", "close"])
def test_giving_up_closes_the_connection(phase: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if phase != "fetch":
            peer.say(STREAM + b"1\r\nx\r\n")
        await peer.left()

    async def main() -> None:
        async with pair(script) as (made, up, _):
            if phase == "fetch":
                work = asyncio.create_task(made.fetch(up.outgoing()))
                await until(lambda: len(up.peers) == 1)
            else:
                answer = await made.fetch(up.outgoing())
                if phase == "close":
                    answer.close()
                    await until(lambda: up.gone == 1)
                    return
                work = asyncio.create_task(answer.read(100) if phase == "read" else answer.relay(lambda _: None))
            await asyncio.sleep(0)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            await until(lambda: up.gone == 1)
            assert len(made._pools[up.origin]) == 0  # pyright: ignore[reportPrivateUsage]

    run(main())


def test_sent_is_called_once_before_the_first_byte() -> None:
    async def script(peer: Peer) -> None:
        while await peer.request():
            assert marks, "told before anything was sent"
            peer.say(OK)

    async def main() -> None:
        async with pair(script) as (made, up, _):
            for n in range(1, 3):
                await made.fetch(up.outgoing(), lambda: marks.append("sent"))
                assert marks == ["sent"] * n
            with pytest.raises(LookupError):
                await made.fetch(up.outgoing(), fail)
            await made.fetch(up.outgoing())
            assert len(up.peers) == 1, "the unused connection is kept"
            closed = Origin("http", "127.0.0.1", 1)
            up.origin = closed
            with pytest.raises(ConnectFailed):
                await made.fetch(up.outgoing(), lambda: marks.append("never"))
            assert marks == ["sent"] * 2

    def fail() -> None:
        raise LookupError

    marks: list[str] = []
    run(main())


def test_failures_to_connect_name_the_host_and_the_reason() -> None:
    async def main() -> None:
        async with client() as made:
            up = Upstream(1)
            with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:1: the connection was refused"):
                await made.fetch(up.outgoing())
            up.origin = Origin("http", "a" * 70 + ".example", 80)
            with pytest.raises(ConnectFailed, match=r"a\.example could not be resolved"):
                await made.fetch(up.outgoing())

    run(main())


@pytest.mark.parametrize(("phase", "seconds"), [("first byte", 100.0), ("idle", 300.0), ("total", 200.0)])
def test_deadlines_of_each_phase(phase: str, seconds: float) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        match phase:
            case "first byte":
                peer.say(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
            case "idle":
                peer.say(STREAM + b"1\r\nx\r\n")
            case _:
                peer.say(STREAM)
                while not peer.writer.is_closing():
                    peer.say(b"1\r\nx\r\n")
                    await asyncio.sleep(0.001)
        asked.set()
        await peer.left()

    async def main() -> None:
        async with pair(script) as (made, up, clock):
            call = asyncio.create_task(
                made.fetch(up.outgoing(first_byte=100.0, idle=300.0, total=200.0 if phase == "total" else 1000.0))
            )
            if phase == "first byte":
                await asked.wait()
            else:
                answer = await call
                await until(lambda: bool(answer._early))  # pyright: ignore[reportPrivateUsage]
                call = asyncio.create_task(answer.read(1 << 30))
                await asyncio.sleep(0)
                pass_time(made, clock, 0.0)
            pass_time(made, clock, seconds * 0.95)
            await asyncio.sleep(0)
            assert not call.done(), "not before its time"
            pass_time(made, clock, seconds * 0.06)
            with pytest.raises(UpstreamTimedOut, match=f"{seconds:g} s") as caught:
                await call
            assert caught.value.phase == phase
            await until(lambda: up.gone == 1)

    asked = asyncio.Event()
    run(main())


def test_a_piece_begins_the_idle_deadline_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(STREAM)
        for _ in range(5):
            await proceed.wait()
            proceed.clear()
            peer.say(b"1\r\nx\r\n")
        peer.say(b"0\r\n\r\n")
        await peer.left()

    async def main() -> None:
        async with pair(script) as (made, up, clock):
            answer = await made.fetch(up.outgoing(idle=10.0))
            pieces: list[bytes] = []
            work = asyncio.create_task(answer.relay(pieces.append))
            for n in range(5):
                pass_time(made, clock, 0.0)
                pass_time(made, clock, 9.9)
                proceed.set()
                await until(lambda n=n: len(pieces) == n + 1)
            await work

    proceed = asyncio.Event()
    run(main())


def test_the_first_byte_is_waited_for_from_when_the_request_has_left() -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(20_000_000)
        halfway.set()
        await proceed.wait()
        await peer.reader.readexactly(10_000_000)
        peer.say(OK)
        await peer.left()

    async def main() -> None:
        async with pair(script) as (made, up, clock):
            work = asyncio.create_task(made.fetch(up.outgoing(body=b"x" * 30_000_000, first_byte=10.0)))
            await until(lambda: len(up.peers) == 1)
            pass_time(made, clock, 9.0)
            await halfway.wait()
            pass_time(made, clock, 0.5)
            pass_time(made, clock, 9.0)
            assert not work.done()
            proceed.set()
            assert await (await work).read(100) == b"hello world"

    halfway, proceed = asyncio.Event(), asyncio.Event()
    run(main())


def test_a_connection_is_waited_for_in_turn_and_within_the_connect_deadline() -> None:
    order: list[str] = []

    async def script(peer: Peer) -> None:
        while request := await peer.request():
            order.append(request.split(b" ")[1].decode())
            await gate.wait()
            peer.say(OK)

    async def main() -> None:
        async with pair(script, ClientLimits(connections=1)) as (made, up, _):
            first = asyncio.create_task(made.fetch(up.outgoing("/first")))
            await until(lambda: order == ["/first"])
            late = asyncio.create_task(made.fetch(up.outgoing("/late", connect=0.01)))
            rest = [asyncio.create_task(made.fetch(up.outgoing(f"/{n}"))) for n in range(4)]
            with pytest.raises(ConnectTimedOut, match=r"No connection to 127\.0\.0\.1.* within 0\.01 s"):
                await late
            rest[1].cancel()
            gate.set()
            await first
            await asyncio.gather(*rest, return_exceptions=True)
            assert order == ["/first", "/0", "/2", "/3"]
            assert len(up.peers) == 1

    gate = asyncio.Event()
    run(main())


def test_a_place_is_passed_on_when_its_connection_breaks_or_cannot_be_opened() -> None:
    opened = 0

    async def script(peer: Peer) -> None:
        nonlocal opened
        opened += 1
        broken = opened < 3
        while await peer.request():
            if broken:
                return
            peer.say(OK)

    async def main() -> None:
        async with pair(script, ClientLimits(connections=1)) as (made, up, _):
            results = await asyncio.gather(*[get(made, up) for _ in range(5)], return_exceptions=True)
            assert sorted(type(result).__name__ for result in results) == ["CutMidStream"] * 2 + ["bytes"] * 3
            assert opened == 3
            up.origin = Origin("http", "127.0.0.1", 1)
            refused = await asyncio.gather(*[get(made, up) for _ in range(5)], return_exceptions=True)
            assert [type(result) for result in refused] == [ConnectFailed] * 5

    run(main())


def test_a_cancelled_waiter_passes_on_what_it_was_granted() -> None:
    async def main() -> None:
        async with pair(answering(OK), ClientLimits(connections=1)) as (made, up, _):
            pool = made._pools.setdefault(up.origin, made._new_pool(up.origin))  # pyright: ignore[reportPrivateUsage]
            connection = await pool.acquire()
            waiters = [asyncio.create_task(pool.acquire()) for _ in range(2)]
            await asyncio.sleep(0)
            pool.release(connection)  # granted to the first …
            waiters[0].cancel()  # … which leaves in the same moment
            assert await waiters[1] is connection
            assert waiters[0].cancelled()
            pool.release(connection)

    run(main())


def test_aclose_ends_everything() -> None:
    async def script(peer: Peer) -> None:
        if b"/idle" in await peer.request():
            peer.say(OK)
        else:
            peer.say(STREAM)
        await peer.left()

    async def main() -> None:
        async with pair(script, ClientLimits(connections=3)) as (made, up, _):
            busy = [await made.fetch(up.outgoing()) for _ in range(2)]
            await made.fetch(up.outgoing("/idle"))
            pool = made._pools[up.origin]  # pyright: ignore[reportPrivateUsage]
            await pool.acquire()  # the idle one, so that the next has to wait
            reading = asyncio.create_task(busy[0].read(100))
            waiting = asyncio.create_task(made.fetch(up.outgoing()))
            await asyncio.sleep(0)
            await made.aclose()
            for work in (reading, busy[1].read(100)):
                with pytest.raises(CutMidStream):
                    await work
            with pytest.raises(ConnectFailed, match="shutting down"):
                await waiting
            with pytest.raises(ConnectFailed, match="shutting down"):
                await made.fetch(up.outgoing())
            await until(lambda: up.gone == 3)

    run(main())
