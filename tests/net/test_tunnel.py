"""Through a proxy: it sees where a call goes and no more, its failures are told, and its password is not."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.net.conftest import NEVER, OK, Peer, Script, Upstream, answering, run, until, upstream

from komeet.core.clock import ManualClock
from komeet.core.errors import ConnectFailed, ConnectTimedOut, CutMidStream
from komeet.core.http import Origin, TlsFiles
from komeet.net.client import Client
from komeet.net.proxies import from_environment
from komeet.net.resolve import Address, ask_system
from komeet.net.trust import Trust

CERTIFICATES = Path(__file__).parent / "tls"
PASSWORD = "s3cret"
ASKED = b"proxy-authorization: Basic dXNlcjpzM2NyZXQ=\r\n"


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    return context


class Between:
    """What the proxy saw."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.seen = b""
        self.port = 0

    async def tunnel(self, peer: Peer) -> None:
        """Connect to the upstream, whatever was asked for, and pass bytes on."""
        self.heads.append(await peer.request())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        peer.say(b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n")

        async def back() -> None:
            while data := await reader.read(65536):
                peer.say(data)
            peer.hang_up()

        there = asyncio.create_task(back())
        try:
            while data := await peer.reader.read(65536):
                self.seen += data
                writer.write(data)
        finally:
            writer.close()
            await asyncio.gather(there, return_exceptions=True)


def elsewhere(host: str) -> bool:
    """Have `localhost`, which the certificate is for, be reached like another machine."""
    return host == ""


async def names(host: str, port: int) -> list[Address]:
    """Only the proxy is looked up."""
    assert host == "localhost"
    return list(await ask_system("127.0.0.1", port))


@asynccontextmanager
async def proxied(script: Script, *, tls: bool, scheme: str = "https") -> AsyncGenerator[tuple[Client, Upstream]]:
    """A client for which `script` is the proxy to everything; `tls`: it is spoken to over TLS."""
    async with upstream(script, tls=server_context() if tls else None, host="localhost") as proxy:
        address = f"{proxy.origin.scheme}://user:{PASSWORD}@localhost:{proxy.origin.port}"
        made = Client(
            ManualClock(),
            trust=Trust(TlsFiles(ca_file=str(CERTIFICATES / "ca.pem"))),
            proxies=from_environment({f"{scheme}_proxy": address}),
            sweep_seconds=NEVER,
            look_up=names,
        )
        try:
            yield made, proxy
        finally:
            await made.aclose()


def towards(up: Upstream, host: str) -> Upstream:
    """Call it by a name that is not this machine's."""
    up.origin = Origin(up.origin.scheme, host, up.origin.port)
    return up


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_call_goes_through_and_the_proxy_reads_none_of_it(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    between = Between()
    monkeypatch.setattr("komeet.net.proxies.is_this_machine", elsewhere)

    async def main() -> None:
        async with (
            upstream(answering(OK), tls=server_context(), host="localhost") as up,
            proxied(between.tunnel, tls=tls) as (made, proxy),
        ):
            between.port = up.origin.port
            for size in (10, 1_000_000):
                answer = await made.fetch(
                    up.outgoing(headers=[(b"authorization", b"Bearer canary")], body=b"canary" * size)
                )
                assert await answer.read(100) == b"hello world"
            assert len(up.peers) == len(proxy.peers) == 1
            name = f"localhost:{up.origin.port}".encode()
            assert between.heads == [b"CONNECT " + name + b" HTTP/1.1\r\nhost: " + name + b"\r\n" + ASKED + b"\r\n"]
            assert len(between.seen) > 6_000_000
            assert b"canary" not in between.seen
            up.peers[0].reset()
            await until(lambda: len(made._pools[up.origin]) == 0)  # pyright: ignore[reportPrivateUsage]

    run(main())


def test_the_certificate_within_the_tunnel_is_verified() -> None:
    between = Between()

    async def main() -> None:
        async with (
            upstream(answering(OK), tls=server_context()) as up,
            proxied(between.tunnel, tls=False) as (made, proxy),
        ):
            between.port = up.origin.port
            with pytest.raises(ConnectFailed, match=r"The certificate of api\.example:\d+ was not accepted"):
                await made.fetch(towards(up, "api.example").outgoing(), never)
            await until(lambda: proxy.gone == 1)

    def never() -> None:
        pytest.fail("nothing was to be sent")

    run(main())


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_plain_http_is_asked_of_the_proxy_itself(tls: bool) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while head := await peer.request():
            heads.append(head)
            peer.say(OK)

    async def main() -> None:
        async with proxied(script, tls=tls, scheme="http") as (made, proxy):
            box = Upstream(8080, host="box.example")
            for _ in range(2):
                answer = await made.fetch(box.outgoing("/v1/x?y=1"))
                assert await answer.read(100) == b"hello world"
            assert len(proxy.peers) == 1
            assert heads == 2 * [
                b"POST http://box.example:8080/v1/x?y=1 HTTP/1.1\r\nhost: box.example:8080\r\n"
                + ASKED
                + b"content-length: 2\r\n\r\n{}"
            ]

    run(main())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "did not connect to .*: 407 Proxy Authentication"),
        (b"HTTP/1.1 403\r\n\r\n", "did not connect to .*: 403."),
        (b"HTTP/1.1 502 \x1b[31mred\x07\r\n\r\n", r"502 \\x1b\[31mred\\x07"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "did not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "more than its answer"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000, "above 16384 bytes"),
        (b"HTTP/1.1 200 OK\r\nx: ", "closed the connection before"),
        (b"", "closed the connection before"),
    ],
)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_what_a_proxy_answers_instead(answer: bytes, message: str, tls: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.say(answer)
        await peer.writer.drain()

    async def main() -> None:
        async with proxied(script, tls=tls) as (made, proxy):
            with pytest.raises(ConnectFailed, match=message) as caught:
                await made.fetch(Upstream(443, "https", "api.example").outgoing(), never)
            assert f"proxy localhost:{proxy.origin.port} " in caught.value.message
            assert PASSWORD not in str(caught.value)
            assert PASSWORD not in repr(caught.value.__cause__)

    def never() -> None:
        pytest.fail("nothing was to be sent")

    run(main())


def test_a_proxy_that_is_not_there_is_named_without_its_password() -> None:
    async def main() -> None:
        proxies = from_environment({"HTTPS_PROXY": f"http://user:{PASSWORD}@localhost:1"})
        made = Client(ManualClock(), proxies=proxies, sweep_seconds=NEVER)
        with pytest.raises(ConnectFailed, match="No connection to the proxy localhost:1: the connection was") as caught:
            await made.fetch(Upstream(443, "https", "api.example").outgoing())
        assert PASSWORD not in str(caught.value)
        await made.aclose()

    run(main())


def test_a_silent_proxy_is_given_up_in_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.left()

    async def main() -> None:
        async with proxied(script, tls=False) as (made, proxy):
            with pytest.raises(ConnectTimedOut, match=r"No connection to api\.example within 0\.1 s"):
                await made.fetch(Upstream(443, "https", "api.example").outgoing(connect=0.1))
            await until(lambda: proxy.gone == 1)

    run(main())


def test_an_origin_that_ends_as_soon_as_it_is_reached_leaves_nothing_behind() -> None:
    between = Between()

    async def script(peer: Peer) -> None:
        peer.hang_up()

    async def main() -> None:
        async with (
            upstream(script, tls=server_context(), host="localhost") as up,
            proxied(between.tunnel, tls=False) as (made, _),
        ):
            between.port = up.origin.port
            for _ in range(20):
                with pytest.raises((ConnectFailed, CutMidStream)):
                    await made.fetch(up.outgoing())
            await until(lambda: not made._sweeper.running)  # pyright: ignore[reportPrivateUsage]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("komeet.net.proxies.is_this_machine", elsewhere)
        run(main())
