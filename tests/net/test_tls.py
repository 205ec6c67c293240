"""TLS to a provider: verified always, told apart when it fails, and never cut without notice.

`tls/ca.pem` signed `tls/server.pem`, which is for `localhost` only; both are valid for a hundred years, and nothing but
these tests trusts them.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.net.conftest import GET, NEVER, OK, Peer, Script, Upstream, answering, echo, run, site, until, upstream

from komeet.core.clock import ManualClock
from komeet.core.errors import ConnectFailed, CutMidStream
from komeet.core.http import HttpRequest, Reply, TlsFiles
from komeet.net.client import Client
from komeet.net.trust import Trust

CERTIFICATES = Path(__file__).parent / "tls"


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    return context


@asynccontextmanager
async def pair(
    script: Script, host: str = "localhost", *, trust: bool = True
) -> AsyncGenerator[tuple[Client, Upstream]]:
    made = Client(
        ManualClock(),
        trust=Trust(TlsFiles(ca_file=str(CERTIFICATES / "ca.pem")) if trust else None),
        sweep_seconds=NEVER,
    )
    async with upstream(script, tls=server_context(), host=host) as up:
        try:
            yield made, up
        finally:
            await made.aclose()


def test_a_verified_connection_is_kept_and_used_again() -> None:
    async def main() -> None:
        async with pair(answering(OK)) as (made, up):
            for size in (10, 1_000_000):
                answer = await made.fetch(up.outgoing(body=b"x" * size))
                assert await answer.read(100) == b"hello world"
            assert len(up.peers) == 1
            tls = up.peers[0].writer.get_extra_info("ssl_object")
            assert tls.version() in ("TLSv1.2", "TLSv1.3")

    run(main())


@pytest.mark.parametrize(("host", "trust"), [("localhost", False), ("127.0.0.1", True)])
def test_a_certificate_that_is_not_trusted_or_for_another_host(host: str, trust: bool) -> None:
    async def main() -> None:
        async with pair(answering(OK), host, trust=trust) as (made, up):
            with pytest.raises(ConnectFailed, match=rf"The certificate of {host}:\d+ was not accepted") as caught:
                await made.fetch(up.outgoing(headers=[(b"authorization", b"Bearer private")]), never)
            assert "private" not in str(caught.value)

    def never() -> None:
        pytest.fail("nothing was to be sent")

    run(main())


def test_a_server_that_does_not_speak_tls() -> None:
    async def script(peer: Peer) -> None:
        peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.left()

    async def main() -> None:
        async with upstream(script) as plain, pair(answering(OK)) as (made, up):
            up.origin = type(up.origin)("https", "localhost", plain.origin.port)
            with pytest.raises(ConnectFailed, match=r"TLS with localhost:\d+ failed"):
                await made.fetch(up.outgoing())

    run(main())


def test_a_server_that_hangs_up_during_the_handshake() -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.reset()

    async def main() -> None:
        async with upstream(script) as plain, pair(answering(OK)) as (made, up):
            up.origin = type(up.origin)("https", "localhost", plain.origin.port)
            with pytest.raises(ConnectFailed):
                await made.fetch(up.outgoing())

    run(main())


@pytest.mark.parametrize("orderly", [True, False])
def test_the_end_of_a_body_without_length_is_told_from_a_cut(orderly: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\n\r\nhello world")
        await peer.writer.drain()
        if not orderly:
            peer.reset()

    async def main() -> None:
        async with pair(script) as (made, up):
            answer = await made.fetch(up.outgoing())
            if orderly:
                assert await answer.read(100) == b"hello world"
            else:
                with pytest.raises(CutMidStream):
                    await answer.read(100)

    run(main())


def test_cancelling_during_the_handshake_closes_the_connection() -> None:
    async def script(peer: Peer) -> None:
        begun.set()
        await peer.left()

    async def main() -> None:
        async with upstream(script) as silent, pair(answering(OK)) as (made, up):
            up.origin = type(up.origin)("https", "localhost", silent.origin.port)
            call = asyncio.create_task(made.fetch(up.outgoing()))
            await begun.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await until(lambda: silent.gone == 1)

    begun = asyncio.Event()
    run(main())


def test_backpressure_reaches_through_tls() -> None:
    total = 20_000_000

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        for _ in range(total // 100_000):
            peer.say(b"x" * 100_000)
            await peer.writer.drain()
        done.set()
        await peer.left()

    async def main() -> None:
        async with pair(script) as (made, up):
            answer = await made.fetch(up.outgoing())
            await until(lambda: answer.halted)
            assert not done.is_set()
            assert len(await answer.read(total)) == total

    done = asyncio.Event()
    run(main())


def test_the_server_behind_tls() -> None:
    async def handle(request: HttpRequest, reply: Reply) -> None:
        if request.path == "/cut":
            reply.begin(200, [])
            reply.write(b"one")
            reply.abort()
        else:
            await echo(request, reply)

    async def main() -> None:
        trusting = ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")
        async with site(handle, tls=server_context()) as server:
            caller = await server.call(trusting)
            caller.send(GET + b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000)
            assert (await caller.answer()).body == b"GET /? "
            assert len((await caller.answer()).body) > 1_000_000
            caller.send(b"BROKEN\r\n\r\n")
            assert (await caller.answer()).status == 400
            await caller.close()
            old = await server.call(trusting)
            old.send(b"GET /cut HTTP/1.0\r\n\r\n")
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await old.ended()

    run(main())
