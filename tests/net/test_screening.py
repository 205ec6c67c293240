"""What a head alone decides is decided before its body is read; behind a refusal nothing is executed."""

import asyncio
import contextlib

import pytest
from tests.net.conftest import Caller, echo, run, site, until

from komeet.core.clock import ManualClock
from komeet.core.http import Headers, HttpRequest, Reply
from komeet.net.server import Asking

LARGE = 1_000_000
REFUSAL: tuple[int, Headers, bytes] = (401, [(b"x-why", b"no key")], b"no")
NEXT = b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n"
EXPECT = b"expect: 100-continue\r\n"


def head(path: bytes = b"/", length: int = LARGE, more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n%b\r\n" % (path, length, more)


class Screen:
    """Refuses `/no`, has to ask about `/ask…`, and lets the rest come."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.asked = 0
        self.left = 0
        self.go = asyncio.Event()

    def __call__(self, request: HttpRequest) -> tuple[int, Headers, bytes] | Asking | None:
        assert request.body == b""
        self.seen.append(request.path)
        if request.path == "/no":
            return REFUSAL
        return None if not request.path.startswith("/ask") else lambda: self._ask(request.path)

    async def _ask(self, path: str) -> tuple[int, Headers, bytes] | None:
        self.asked += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        if path == "/ask-broken":
            raise RuntimeError
        return REFUSAL if path == "/ask-no" else None


class Seen:
    """Notes what is executed."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, request: HttpRequest, reply: Reply) -> None:
        self.paths.append(request.path)
        await echo(request, reply)


async def refused(caller: Caller) -> None:
    answer = await caller.answer()
    assert (answer.status, answer.body, answer.headers[b"x-why"]) == (401, b"no", b"no key")
    assert answer.headers[b"connection"] == b"close"


@pytest.mark.parametrize("path", [b"/no", b"/ask-no"])
@pytest.mark.parametrize("more", [b"", EXPECT])
@pytest.mark.parametrize("together", [False, True])
def test_it_is_refused_before_its_body_which_is_never_executed(path: bytes, more: bytes, together: bool) -> None:
    async def main() -> None:
        screen, seen = Screen(), Seen()
        screen.go.set()
        async with site(seen, screen=screen) as server:
            caller = await server.call()
            caller.send(head(path, more=more) + NEXT * 1000 * together)
            await refused(caller)
            caller.send(NEXT * 2000)
            with contextlib.suppress(ConnectionError):
                assert await caller.ended() == b""
            assert seen.paths == []
            assert screen.seen == [path.decode()]

    run(main())


def test_chunks_are_much_and_a_short_body_is_read_without_a_look() -> None:
    async def main() -> None:
        screen, seen = Screen(), Seen()
        async with site(seen, screen=screen) as server:
            caller = await server.call()
            caller.send(b"POST /no HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            await refused(caller)
            caller = await server.call()
            caller.send(head(b"/no", 5))
            await until(lambda: any(each._intake.phase.value == 2 for each in server.connections))
            caller.send(b"hello")
            assert (await caller.answer()).status == 200
            caller.send(head(b"/no", 5, EXPECT))
            await refused(caller)
            assert screen.seen == ["/no", "/no"]

    run(main())


@pytest.mark.parametrize("path", [b"/yes", b"/ask-yes"])
@pytest.mark.parametrize("more", [b"", EXPECT])
def test_what_is_not_refused_comes_whole_and_in_its_turn(path: bytes, more: bytes) -> None:
    async def main() -> None:
        screen, seen = Screen(), Seen()
        async with site(seen, screen=screen) as server:
            caller = await server.call()
            caller.send(NEXT + head(path, more=more))
            assert (await caller.answer()).body == b"GET /next? "
            screen.go.set()
            if more:
                assert (await caller.answer()).status == 100
            caller.send(b"x" * LARGE + NEXT)
            assert len((await caller.answer()).body) > LARGE
            assert (await caller.answer()).body == b"GET /next? "
            assert screen.seen == [path.decode()]
            assert seen.paths == ["/next", path.decode(), "/next"]

    run(main())


def test_while_somebody_is_asked_no_body_is_read_and_no_deadline_passes() -> None:
    async def main() -> None:
        screen, clock = Screen(), ManualClock()
        async with site(echo, screen=screen, clock=clock, sweep_seconds=0.01) as server:
            caller = await server.call()
            caller.send(head(b"/ask-yes", 30_000_000))
            await until(lambda: screen.asked == 1)
            caller.send(b"x" * 30_000_000)
            for _ in range(10):
                clock.advance(5)
                await asyncio.sleep(0.02)
            (connection,) = server.connections
            assert len(connection._intake._body) + connection._held_bytes < 1_000_000
            screen.go.set()
            assert len((await caller.answer()).body) > 30_000_000

    run(main())


def test_a_caller_that_leaves_meanwhile_and_a_question_that_fails() -> None:
    async def main() -> None:
        screen = Screen()
        async with site(echo, screen=screen) as server:
            gone = await server.call()
            gone.send(head(b"/ask-yes"))
            await until(lambda: screen.asked == 1)
            caller = await server.call()
            caller.send(head(b"/ask-broken"))
            await until(lambda: screen.asked == 2)
            for connection in list(server.connections):
                if connection._transport.get_extra_info("peername") == gone.writer.get_extra_info("sockname"):
                    connection._transport.abort()
            await until(lambda: screen.left == 1)
            screen.go.set()
            answer = await caller.answer()
            assert (answer.status, answer.headers[b"connection"]) == (500, b"close")
            assert answer.code == "internal_error"

    run(main())
