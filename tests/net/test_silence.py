"""Silence on either side: comments while a provider thinks, and the end of a caller that takes nothing."""

import asyncio

from tests.net.conftest import GET, Site, run, site, until

from komeet.core.clock import ManualClock
from komeet.core.http import HttpRequest, Reply
from komeet.net.limits import ServerLimits

COMMENT = b": here\n\n"


def test_a_silent_stream_is_kept_alive_within_its_time() -> None:
    async def main() -> None:
        clock = ManualClock()
        say: asyncio.Queue[bytes] = asyncio.Queue()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            reply.begin(200, [], filler=COMMENT)
            while data := await say.get():
                reply.write(data)
            reply.end()

        def pass_by(seconds: float) -> None:
            for _ in range(round(seconds * 4)):
                clock.advance(0.25)
                server.serving.sweeper.sweep()

        async with site(handle, clock=clock) as server:
            caller = await server.call()
            caller.send(GET)
            await caller.head()
            chunks = caller.chunks()
            pass_by(14.5)
            pass_by(0.5)
            assert await anext(chunks) == COMMENT, "before the first event, too"
            pass_by(10)
            say.put_nowait(b"data: 1\n\n")
            assert await anext(chunks) == b"data: 1\n\n"
            pass_by(14)
            say.put_nowait(b"data: 2\n\n")
            assert await anext(chunks) == b"data: 2\n\n", "an event starts the time again"
            pass_by(45)
            for _ in range(3):
                assert await anext(chunks) == COMMENT
            say.put_nowait(b"")
            assert [chunk async for chunk in chunks] == []
            pass_by(20)
            caller.send(GET)
            assert (await caller.head())[0] == 200, "nothing was sent behind the answer"
            say.put_nowait(b"")

    run(main())


def test_only_an_answer_that_has_a_filler_is_filled() -> None:
    async def main() -> None:
        clock = ManualClock()
        gate = asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            if request.path == "/whole":
                await gate.wait()
                reply.whole(200, [], b"ok")
                return
            reply.begin(200, [], filler=COMMENT if request.method == "HEAD" else b"")
            await gate.wait()
            reply.end()

        async with site(handle, clock=clock) as server:
            callers = [await server.call() for _ in range(3)]
            for caller, head in zip(callers, [b"HEAD / ", b"GET / ", b"GET /whole "], strict=True):
                caller.send(GET.replace(b"GET / ", head))
            await until(lambda: len(server.state.tasks) == 3)
            for _ in range(10):
                clock.advance(10)
                server.serving.sweeper.sweep()
            gate.set()
            assert (await callers[0].answer(head_only=True)).body == b""
            assert (await callers[1].answer()).body == b""
            assert (await callers[2].answer()).body == b"ok"

    run(main())


def test_what_is_added_for_a_caller_is_not_taken_for_progress() -> None:
    """A stream that drips on into the buffer of a caller that reads nothing does not keep it."""

    async def main() -> None:
        clock = ManualClock()
        cancelled = asyncio.Event()
        drip: list[Reply] = []

        async def handle(request: HttpRequest, reply: Reply) -> None:
            reply.begin(200, [], filler=COMMENT)
            drip.append(reply)
            reply.write(b"x" * 10_000_000)
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with site(handle, clock=clock, limits=ServerLimits(write_bytes=1 << 30)) as server:
            caller = await server.call()
            caller.pause()
            caller.send(GET)
            await until(lambda: bool(drip))
            before = 0
            while (now := waiting(server)) != before:
                before = now
                await asyncio.sleep(0.01)
            server.serving.sweeper.sweep()
            for _ in range(59):
                clock.advance(1.0)
                drip[0].write(b"data: 1\n\n")
                server.serving.sweeper.sweep()
            assert not cancelled.is_set()
            assert waiting(server) == before + 59 * len(b"9\r\ndata: 1\n\n\r\n"), "no filler for who does not read"
            clock.advance(2.0)
            drip[0].write(b"data: 1\n\n")
            server.serving.sweeper.sweep()
            await cancelled.wait()

    def waiting(server: Site) -> int:
        (connection,) = server.connections
        return connection._transport.get_write_buffer_size()

    run(main())


def test_who_connects_and_says_nothing_has_as_long_as_a_header_section() -> None:
    async def main() -> None:
        clock = ManualClock()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            reply.whole(200, [], b"")

        async with site(handle, clock=clock) as server:
            silent, spoke = await server.call(), await server.call()
            spoke.send(GET)
            await spoke.answer()
            await until(lambda: len(server.connections) == 2)
            server.serving.sweeper.sweep()
            clock.advance(10.1)
            server.serving.sweeper.sweep()
            assert await silent.ended() == b""
            spoke.send(GET)
            assert (await spoke.answer()).status == 200

    run(main())
