"""Server and client together: what happens at one end reaches the other."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.net.conftest import GET, NEVER, Peer, Script, Site, Upstream, run, site, until, upstream

from komeet.core.clock import ManualClock
from komeet.core.errors import KomeetError
from komeet.core.http import HttpRequest, Reply
from komeet.net.client import Client

STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@asynccontextmanager
async def chain(script: Script) -> AsyncGenerator[tuple[Site, Upstream]]:
    made = Client(ManualClock(), sweep_seconds=NEVER)

    async def handle(request: HttpRequest, reply: Reply) -> None:
        answer = await made.fetch(up.outgoing(request.path, body=request.body))
        try:
            reply.on_flow(answer.pause, answer.resume)
            reply.begin(answer.status, [])
            await answer.relay(reply.write)
            reply.end()
        except KomeetError:
            reply.abort()
        finally:
            answer.close()

    async with upstream(script) as up, site(handle) as server:
        try:
            yield server, up
        finally:
            await made.aclose()


def test_the_caller_leaving_closes_the_call_to_the_provider() -> None:
    async def script(peer: Peer) -> None:
        if b"/stream" in await peer.request():
            peer.say(STREAM + b"1\r\nx\r\n")
        await peer.left()

    async def main() -> None:
        async with chain(script) as (server, up):
            for number, path in enumerate((b"/stream", b"/silent")):
                caller = await server.call()
                caller.send(GET.replace(b"/ ", path + b" "))
                if path == b"/stream":
                    await caller.head()
                else:
                    await until(lambda: len(up.peers) == 2)
                await caller.close()
                await until(lambda number=number: up.gone == number + 1)

    run(main())


def test_a_slow_caller_slows_the_provider() -> None:
    total = 60_000_000
    said = 0

    async def script(peer: Peer) -> None:
        nonlocal said
        await peer.request()
        peer.say(STREAM)
        while said < total:
            peer.say(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
            said += 100_000
            await peer.writer.drain()
        peer.say(b"0\r\n\r\n")
        await peer.left()

    async def main() -> None:
        async with chain(script) as (server, _):
            caller = await server.call()
            caller.pause()
            caller.send(GET)
            await until(lambda: any(connection._paused for connection in server.connections))
            (connection,) = server.connections
            for _ in range(200):
                await asyncio.sleep(0)
            assert connection._paused
            assert connection._transport.get_write_buffer_size() < 1_000_000
            assert said < total
            caller.resume()
            assert len((await caller.answer()).body) == total

    run(main())


@pytest.mark.parametrize("reset", [True, False])
def test_a_stream_cut_by_the_provider_is_cut_for_the_caller(reset: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(STREAM + b"3\r\none\r\n")
        await peer.writer.drain()
        if reset:
            await proceed.wait()
            peer.reset()

    async def main() -> None:
        async with chain(script) as (server, _):
            caller = await server.call()
            caller.send(GET)
            await caller.head()
            proceed.set()
            assert await caller.ended() == b"3\r\none\r\n"

    proceed = asyncio.Event()
    run(main())
