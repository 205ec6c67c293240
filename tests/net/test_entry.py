"""The start of a connection: the PROXY protocol, TLS with certificates that change, and who is believed."""

import asyncio
import logging
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.net.conftest import GET, NEVER, Caller, Site, echo, refuse, run, until
from uvicorn.config import Config
from uvicorn.server import ServerState

from komeet.core.clock import ManualClock
from komeet.core.http import HttpRequest, Reply
from komeet.net.certificates import CertificateError, Certificates
from komeet.net.entry import protocol
from komeet.net.forwarded import TrustedProxies
from komeet.net.limits import ServerLimits
from komeet.net.server import STATE_KEY, Entrance, Handler, Serving

HERE = Path(__file__).parent / "tls"
V2 = b"\r\n\r\n\0\r\nQUIT\n"


async def whose(request: HttpRequest, reply: Reply) -> None:
    """Answer with the address that the call is said to come from."""
    reply.whole(200, [], request.peer.encode() + b" " + request.body)


@asynccontextmanager
async def entrance(
    handle: Handler,
    *,
    proxies: TrustedProxies | None = None,
    certificates: Certificates | None = None,
    clock: ManualClock | None = None,
    limits: ServerLimits | None = None,
) -> AsyncGenerator[Site]:
    serving = Serving(
        handle=handle,
        refuse=refuse,
        clock=clock or ManualClock(),
        limits=limits,
        sweep_seconds=NEVER,
        entrance=Entrance(proxies=proxies or TrustedProxies(), certificates=certificates),
        log=logging.getLogger("tests.net"),
    )
    state, config = ServerState(), Config("none:none")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {STATE_KEY: serving}), "127.0.0.1", 0)  # pyright: ignore[reportArgumentType] - a BufferedProtocol is one, too
    running = Site(serving, state, server.sockets[0].getsockname()[1])
    try:
        yield running
    finally:
        server.close()
        await running.close()
        for connection in list(state.connections):
            connection.shutdown()
        await until(lambda: not state.connections and not state.tasks)


def v2(client: str, command: int = 1, more: bytes = b"") -> bytes:
    source = ip_address(client)
    body = source.packed + ip_address("::2" if source.version == 6 else "9.9.9.9").packed + b"\x12\x34\x01\xbb" + more
    family = 0x21 if source.version == 6 else 0x11
    return V2 + bytes([0x20 | command, family]) + len(body).to_bytes(2, "big") + body


PREAMBLES = {
    b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n": b"203.0.113.7",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n": b"2001:db8::1",
    b"PROXY UNKNOWN\r\n": b"127.0.0.1",
    b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n": b"127.0.0.1",
    v2("203.0.113.7"): b"203.0.113.7",
    v2("2001:db8::1", more=b"\x03\x00\x04abcd" * 20): b"2001:db8::1",
    v2("203.0.113.7", command=0): b"127.0.0.1",
    V2 + b"\x21\x00\x00\x00": b"127.0.0.1",
}
"""What a load balancer says first, and whose the connection is then."""

ANNOUNCED = TrustedProxies(["127.0.0.1"], announce=True)


@pytest.mark.parametrize(("preamble", "client"), PREAMBLES.items())
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_preamble_says_whose_the_connection_is(preamble: bytes, client: bytes, size: int) -> None:
    data = preamble + GET + GET

    async def main() -> None:
        async with entrance(whose, proxies=ANNOUNCED) as server:
            caller = await server.call()
            for start in range(0, len(data), size):
                caller.send(data[start : start + size])
                await asyncio.sleep(0)
            for _ in range(2):
                assert (await caller.answer()).body == client + b" "

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        GET,
        b"PROXY TCP4 203.0.113.7 10.0.0.1 56324\r\n",
        b"PROXY TCP4 203.0.113.999 10.0.0.1 56324 443\r\n",
        b"PROXY TCP4 2001:db8::1 10.0.0.1 56324 443\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 99999\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\n",
        b"PROXY TCP5 203.0.113.7 10.0.0.1 56324 443\r\n",
        b"PROXY TCP4 " + b"1" * 200,
        b"proxy UNKNOWN\r\n",
        V2 + b"\x11\x11\x00\x0c" + bytes(12),  # version 1 of version 2
        V2 + b"\x22\x11\x00\x0c" + bytes(12),
        V2 + b"\x21\x12\x00\x0c" + bytes(12),  # UDP
        V2 + b"\x21\x11\x00\x08" + bytes(8),
        V2 + b"\x21\x11\xff\xff" + bytes(100),
    ],
)
def test_what_is_no_preamble_ends_the_connection(data: bytes) -> None:
    async def main() -> None:
        async with entrance(whose, proxies=ANNOUNCED) as server:
            caller = await server.call()
            caller.send(data + GET)
            assert await said(caller) == b""
            await until(lambda: not server.connections)

    run(main())


def test_who_is_not_named_is_not_believed() -> None:
    async def main() -> None:
        async with entrance(whose, proxies=TrustedProxies(["10.0.0.0/8"], announce=True)) as server:
            caller = await server.call()
            caller.send(GET)
            assert (await caller.answer()).body == b"127.0.0.1 "
            caller.send(next(iter(PREAMBLES)) + GET)
            assert (await caller.answer()).status == 400

    run(main())


async def said(caller: Caller) -> bytes:
    try:
        return await caller.ended()
    except ConnectionError:
        return b""


def test_a_preamble_or_a_handshake_has_as_long_as_a_header_section() -> None:
    async def main() -> None:
        clock = ManualClock()
        certificates = Certificates(HERE / "server.pem", HERE / "server.pem", clock)
        async with entrance(whose, proxies=ANNOUNCED, certificates=certificates, clock=clock) as server:
            silent, half = [await server.call() for _ in range(2)]
            half.send(b"PROXY TCP4 2")
            await until(lambda: len(server.connections) == 2)
            clock.advance(9.0)
            server.serving.sweeper.sweep()
            assert len(server.connections) == 2
            clock.advance(1.1)
            server.serving.sweeper.sweep()
            for caller in (silent, half):
                assert await said(caller) == b""

        async with entrance(whose, certificates=certificates, limits=ServerLimits(header_seconds=0.2)) as server:
            silent = await server.call()
            await until(lambda: server.serving.greeting == 1)
            assert await said(silent) == b""
            assert server.serving.greeting == 0

    run(main())


def test_handshakes_are_connections_too() -> None:
    async def main() -> None:
        certificates = Certificates(HERE / "server.pem", HERE / "server.pem", ManualClock())
        async with entrance(whose, certificates=certificates, limits=ServerLimits(connections=2)) as server:
            silent = [await server.call() for _ in range(2)]
            await until(lambda: server.serving.greeting == 2)
            assert await said(await server.call()) == b""
            for caller in silent:
                await caller.close()
            await until(lambda: server.serving.greeting == 0)
            caller = await server.call(ssl.create_default_context(cafile=HERE / "ca.pem"))
            caller.send(GET)
            assert (await caller.answer()).status == 200

    run(main())


def test_tls_behind_a_load_balancer_and_alone() -> None:
    """What comes in one piece with the end of the handshake is not lost."""

    async def main() -> None:
        clock = ManualClock()
        certificates = Certificates(HERE / "server.pem", HERE / "server.pem", clock)
        trusting = ssl.create_default_context(cafile=HERE / "ca.pem")
        async with entrance(echo, certificates=certificates) as server:
            caller = await server.call(trusting)
            caller.send(GET + b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000)
            assert (await caller.answer()).body == b"GET /? "
            assert len((await caller.answer()).body) > 1_000_000
            plain = await server.call()
            plain.send(GET)
            assert b"HTTP" not in await said(plain), "nothing is said in the clear"
        async with entrance(whose, certificates=certificates, proxies=ANNOUNCED) as server:
            for preamble, client in PREAMBLES.items():
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(preamble)
                await writer.start_tls(trusting, server_hostname="localhost")
                caller = Caller(reader, writer)
                caller.send(GET)
                assert (await caller.answer()).body == client + b" "
                await caller.close()

    run(main())


def test_the_first_bytes_of_a_fast_caller_are_not_lost_in_the_handshake() -> None:
    async def main() -> None:
        certificates = Certificates(HERE / "server.pem", HERE / "server.pem", ManualClock())
        trusting = ssl.create_default_context(cafile=HERE / "ca.pem")
        async with entrance(whose, certificates=certificates) as server:
            for _ in range(20):
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                session = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                while True:
                    try:
                        session.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        writer.write(outgoing.read())
                        incoming.write(await reader.read(65536))
                session.write(GET + GET)
                writer.write(outgoing.read())  # the end of the handshake and two requests, in one segment
                answer = b""
                while answer.count(b"127.0.0.1 ") < 2:
                    incoming.write(await reader.read(65536))
                    try:
                        answer += session.read(65536)
                    except ssl.SSLWantReadError:
                        continue
                writer.close()

    run(main())


def made(folder: Path, name: str, kind: str) -> tuple[Path, Path]:
    """Make a certificate of its own for localhost."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
         "subjectAltName=DNS:localhost", "-newkey", *kind.split(), "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def shown(port: int) -> asyncio.Future[str]:
    """The name on the certificate that a new connection is shown."""
    return asyncio.get_running_loop().run_in_executor(None, ssl.get_server_certificate, ("127.0.0.1", port))


def test_a_certificate_that_changes_is_shown_to_new_connections(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = made(tmp_path, "first", "rsa:2048"), made(tmp_path, "second", "ec -pkeyopt ec_paramgen_curve:P-256")
    cert, key = tmp_path / "used.pem", tmp_path / "used.key"

    def use(files: tuple[Path, Path], *, only_cert: bool = False) -> None:
        shutil.copyfile(files[0], cert)
        if not only_cert:
            shutil.copyfile(files[1], key)

    async def main() -> None:
        clock = ManualClock()
        use(first)
        async with entrance(whose, certificates=Certificates(cert, key, clock), clock=clock) as server:
            old = await server.call(ssl.create_default_context(cafile=first[0]))
            old.send(GET)
            assert (await old.answer()).status == 200
            assert await shown(server.port) == first[0].read_text()
            use(second, only_cert=True)  # half of a renewal
            clock.advance(1.0)
            assert await shown(server.port) == first[0].read_text()
            assert "the certificate stays as it was" in caplog.text
            use(second)
            assert await shown(server.port) == first[0].read_text(), "it looks once a second"
            clock.advance(1.0)
            assert await shown(server.port) == second[0].read_text()
            cert.unlink()
            clock.advance(1.0)
            assert await shown(server.port) == second[0].read_text()
            old.send(GET)
            assert (await old.answer()).status == 200, "who is connected stays so"

    run(main())
    caplog.clear()


@pytest.mark.parametrize("wrong", ["missing", "garbage", "another key", "encrypted"])
def test_files_that_cannot_be_used_are_named(tmp_path: Path, wrong: str) -> None:
    cert, key = made(tmp_path, "one", "rsa:2048")
    if wrong == "missing":
        key.unlink()
    elif wrong == "garbage":
        cert.write_text("hello")
    elif wrong == "another key":
        key = made(tmp_path, "two", "rsa:2048")[1]
    else:
        locked = tmp_path / "locked.key"
        subprocess.run(
            ["openssl", "rsa", "-aes256", "-passout", "pass:x", "-in", key, "-out", locked],
            check=True,
            capture_output=True,
        )
        key = locked
    with pytest.raises(CertificateError, match=str(tmp_path)):
        Certificates(cert, key, ManualClock())


def test_too_many_connections_are_told_and_far_too_many_are_not() -> None:
    async def main() -> None:
        limits = ServerLimits(connections=2)
        async with entrance(whose, limits=limits) as server:
            first, second = await server.call(), await server.call()
            first.send(GET)
            assert (await first.answer()).status == 200
            await until(lambda: len(server.connections) == 2)
            third = await server.call()
            third.send(GET)
            answer = await third.answer()
            assert (answer.status, answer.headers[b"connection"], answer.code) == (503, b"close", "overloaded")
            crowd = [await server.call() for _ in range(30)]
            silenced = [caller for caller in crowd if await started(caller) == b""]
            assert 0 < len(silenced) < len(crowd)
            assert len(server.connections) <= 2 + 16
            for caller in (first, second):
                caller.send(GET)
                assert (await caller.answer()).status == 200, "those that were there first are served"
            for caller in (third, *crowd):
                await caller.close()
            await until(lambda: len(server.connections) == 2)
            another = await server.call()
            second.reset()
            await until(lambda: len(server.connections) < 3 or True)
            await another.close()

    run(main())


async def started(caller: Caller) -> bytes:
    try:
        return await caller.reader.read(12)
    except ConnectionError:
        return b""


def test_a_connection_that_begins_while_the_server_leaves_ends_with_its_first_answer() -> None:
    async def main() -> None:
        certificates = Certificates(HERE / "server.pem", HERE / "server.pem", ManualClock())
        trusting = ssl.create_default_context(cafile=HERE / "ca.pem")
        async with entrance(whose, certificates=certificates, proxies=ANNOUNCED) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            await until(lambda: bool(server.connections))
            server.serving.retiring = True
            for connection in server.connections:
                connection.retire()
            writer.write(b"PROXY UNKNOWN\r\n")
            await writer.start_tls(trusting, server_hostname="localhost")
            caller = Caller(reader, writer)
            caller.send(GET + GET)
            answer = await caller.answer()
            assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
            assert await said(caller) == b""

    run(main())
