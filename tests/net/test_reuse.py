"""Which connections are used again, and for whom there is none: a request goes only where it can still arrive."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.net.conftest import NEVER, OK, Peer, Script, Upstream, answering, run, until, upstream

from komeet.core.clock import ManualClock
from komeet.core.errors import ConnectFailed, ConnectTimedOut, Garbled
from komeet.net.client import Client
from komeet.net.limits import ClientLimits
from komeet.net.pool import Pool
from komeet.net.trust import Trust


@asynccontextmanager
async def pair(
    script: Script, limits: ClientLimits | None = None
) -> AsyncGenerator[tuple[Client, Upstream, ManualClock]]:
    clock = ManualClock()
    made = Client(clock, limits=limits, sweep_seconds=NEVER)
    async with upstream(script) as up:
        try:
            yield made, up, clock
        finally:
            await made.aclose()


async def get(made: Client, up: Upstream) -> bytes:
    return await (await made.fetch(up.outgoing())).read(1000)


def sweep(made: Client) -> None:
    made._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]


def pool_of(made: Client, up: Upstream) -> Pool:
    return made._pools[up.origin]  # pyright: ignore[reportPrivateUsage]


def part(peer: Peer, parting: bytes) -> None:
    """Have the provider's kernel say something, and then its end, before the event loop can notice."""
    with socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno())) as channel:
        if parting:
            channel.send(parting)
        channel.shutdown(socket.SHUT_WR)
    time.sleep(0.01)  # not the loop's: the bytes cross the loopback meanwhile


@pytest.mark.parametrize("parting", [b"", b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"])
def test_a_connection_that_ended_unnoticed_while_it_rested_is_sent_nothing(parting: bytes) -> None:
    requests = 0

    async def script(peer: Peer) -> None:
        nonlocal requests
        while await peer.request():
            requests += 1
            peer.say(OK)

    async def main() -> None:
        async with pair(script) as (made, up, _):
            for size in (1, 2):
                assert await asyncio.gather(*[get(made, up) for _ in range(size)]) == [b"hello world"] * size
                sweep(made)
                for peer in up.peers:
                    if not peer.writer.is_closing():
                        part(peer, parting)
                sent = requests
                # Nothing but the call itself has run since: only it can notice.
                assert await get(made, up) == b"hello world"
                assert requests == sent + 1
            await until(lambda: len(pool_of(made, up)) == 1)

    run(main())


def test_a_connection_that_is_granted_and_ended_meanwhile_is_sent_nothing() -> None:
    async def main() -> None:
        async with pair(answering(OK), ClientLimits(connections=1)) as (made, up, _):
            await get(made, up)
            pool = pool_of(made, up)
            connection = pool.take()
            assert connection is not None
            waiting = asyncio.create_task(get(made, up))
            await asyncio.sleep(0)
            pool.release(connection)
            sweep(made)
            part(up.peers[0], b"")
            assert await waiting == b"hello world"
            assert len(up.peers) == 2

    run(main())


def test_a_cancelled_waiter_does_not_keep_the_place_of_a_connection_that_ended() -> None:
    async def main() -> None:
        async with pair(answering(OK), ClientLimits(connections=1)) as (made, up, _):
            await get(made, up)
            pool = pool_of(made, up)
            connection = pool.take()
            assert connection is not None
            waiting = asyncio.create_task(get(made, up))
            await asyncio.sleep(0)
            pool.release(connection)
            sweep(made)
            part(up.peers[0], b"")
            waiting.cancel()
            assert await get(made, up) == b"hello world"

    run(main())


def test_an_idle_connection_is_closed_in_time() -> None:
    async def main() -> None:
        async with pair(answering(OK)) as (made, up, clock):

            def look(seconds: float) -> bool:
                clock.advance(seconds)
                sweep(made)
                return True

            await get(made, up)
            pool = pool_of(made, up)
            await until(lambda: look(1.0) and len(pool) == 0)
            await until(lambda: up.gone == 1)
            assert clock.now > 30.0
            await get(made, up)
            look(0.0)
            look(31.0)  # closing, and not yet closed
            assert len(pool) == 1
            await get(made, up)
            assert len(up.peers) == 3

    run(main())


def test_a_connection_in_constant_use_is_replaced_in_time() -> None:
    async def main() -> None:
        async with pair(answering(OK), ClientLimits(age_seconds=100.0)) as (made, up, clock):
            for _ in range(30):
                assert await get(made, up) == b"hello world"
                clock.advance(10.0)
                sweep(made)
            assert len(up.peers) == 3

    run(main())


def test_an_old_connection_does_not_cut_the_call_that_is_on_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(OK[:-5])
        await proceed.wait()
        peer.say(OK[-5:])
        await peer.left()

    async def main() -> None:
        async with pair(script, ClientLimits(age_seconds=100.0)) as (made, up, clock):
            sweep(made)
            answer = await made.fetch(up.outgoing())
            for _ in range(3):
                clock.advance(60.0)
                sweep(made)
            proceed.set()
            assert await answer.read(100) == b"hello world"
            await until(lambda: up.gone == 1)

    proceed = asyncio.Event()
    run(main())


def test_the_calls_that_wait_for_a_connection_are_bounded() -> None:
    async def script(peer: Peer) -> None:
        while await peer.request():
            await gate.wait()
            peer.say(OK)

    async def main() -> None:
        async with pair(script, ClientLimits(connections=2, waiting=3)) as (made, up, _):
            calls = [asyncio.create_task(get(made, up)) for _ in range(5)]
            await until(lambda: len(up.peers) == 2)
            with pytest.raises(ConnectFailed, match="all 2 are in use, and 3 calls wait") as caught:
                await made.fetch(up.outgoing(), never)
            assert caught.value.retryable
            calls[4].cancel()
            await asyncio.sleep(0)
            calls.append(asyncio.create_task(get(made, up)))
            await asyncio.sleep(0)
            gate.set()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [result for result in results if result == b"hello world"] == [b"hello world"] * 5
            assert len(up.peers) == 2

    def never() -> None:
        pytest.fail("nothing was to be sent")

    gate = asyncio.Event()
    run(main())


def test_nothing_is_sent_to_a_blackhole_and_the_deadline_for_connecting_holds() -> None:
    async def main() -> None:
        with socket.socket() as silent, socket.socket() as filler:
            silent.bind(("127.0.0.1", 0))
            silent.listen(0)
            filler.connect(silent.getsockname())  # its queue is full now: another connection gets no answer
            made = Client(ManualClock(), sweep_seconds=NEVER)
            started = time.monotonic()
            with pytest.raises(ConnectTimedOut, match=r"within 0\.3 s") as caught:
                await made.fetch(Upstream(silent.getsockname()[1]).outgoing(connect=0.3), never)
            assert 0.29 < time.monotonic() - started < 1.0
            assert isinstance(caught.value, ConnectFailed)
            assert caught.value.retryable
            assert (caught.value.http_status, caught.value.error_code) == (504, "upstream_timeout")
            await made.aclose()

    def never() -> None:
        pytest.fail("nothing was to be sent")

    run(main())


def test_a_provider_that_never_shakes_hands_is_given_up_in_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.left()

    async def main() -> None:
        async with upstream(script) as up:
            made = Client(ManualClock(), trust=Trust(), sweep_seconds=NEVER)
            up.origin = type(up.origin)("https", "localhost", up.origin.port)
            with pytest.raises(ConnectTimedOut):
                await made.fetch(up.outgoing(connect=0.1))
            await until(lambda: up.gone == 1)
            await made.aclose()

    run(main())


@pytest.mark.parametrize("count", [256, 257])
def test_the_number_of_header_fields_of_an_answer_is_bounded(count: int) -> None:
    fields = b"".join(b"x-%d: y\r\n" % number for number in range(count - 1))
    head = b"HTTP/1.1 200 OK\r\n" + fields + b"content-length: 0\r\n\r\n"

    async def main() -> None:
        async with pair(answering(head)) as (
            made,
            up,
            _,
        ):
            if count == 256:
                answer = await made.fetch(up.outgoing())
                assert len(answer.headers) == count
            else:
                with pytest.raises(Garbled, match="more than 256 header fields"):
                    await made.fetch(up.outgoing())

    run(main())


@pytest.mark.parametrize(("status", "coding", "taken"), [
    (200, b"identity", True), (200, b"gzip", False), (201, b"br", False), (500, b"gzip", True), (429, b"x", True),
])  # fmt: skip
def test_an_answer_is_never_unpacked(status: int, coding: bytes, taken: bool) -> None:
    head = b"HTTP/1.1 %d X\r\ncontent-encoding: %b\r\ncontent-length: 2\r\n\r\nhi" % (status, coding)

    async def main() -> None:
        async with pair(answering(head)) as (made, up, _):
            if taken:
                assert (await made.fetch(up.outgoing())).status == status
            else:
                with pytest.raises(Garbled, match="content coding"):
                    await made.fetch(up.outgoing())
                await until(lambda: up.gone == 1)

    run(main())
