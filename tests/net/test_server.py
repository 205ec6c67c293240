"""The server on real sockets: order, refusals, deadlines, backpressure, failures, leaving and shutting down."""

import asyncio
import logging
import re

import pytest
from tests.net.conftest import GET, Answered, Site, echo, run, site, until

from komeet.core.clock import ManualClock
from komeet.core.http import HttpRequest, Reply
from komeet.net.limits import ServerLimits


def post(body: bytes, path: bytes = b"/", extra: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nhost: a\r\n%bcontent-length: %d\r\n\r\n%b" % (path, extra, len(body), body)


def test_an_answer_carries_its_length_and_the_date_and_nothing_else() -> None:
    async def main() -> None:
        async with site(echo, clock=ManualClock(unix_ms=784111777_000)) as server:
            caller = await server.call()
            caller.send(post(b"hi", b"/v1/x?q=1"))
            answer = await caller.answer()
            assert (answer.status, answer.body) == (200, b"POST /v1/x?q=1 hi")
            assert answer.fields == [
                (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
                (b"content-length", b"17"),
                (b"content-type", b"text/plain"),
            ]
            caller.send(GET)
            assert (await caller.answer()).body == b"GET /? ", "the connection stays"
            assert server.state.total_requests == 2

    run(main())


def test_a_request_in_pieces_and_a_large_one() -> None:
    async def main() -> None:
        async with site(echo) as server:
            caller = await server.call()
            caller.writer.transport.set_write_buffer_limits(0)
            for piece in re.findall(rb".{1,7}", post(b"hello"), re.DOTALL):
                caller.send(piece)
                await caller.writer.drain()
                await asyncio.sleep(0)
            assert (await caller.answer()).body == b"POST /? hello"
            large = bytes(range(256)) * 20_000
            caller.send(post(large))
            assert (await caller.answer()).body == b"POST /? " + large

    run(main())


def test_pipelined_requests_are_answered_in_order_and_one_at_a_time() -> None:
    running = 0

    async def handle(request: HttpRequest, reply: Reply) -> None:
        nonlocal running
        running += 1
        assert running == 1
        for _ in range(3):
            await asyncio.sleep(0)
        await echo(request, reply)
        await asyncio.sleep(0)
        running -= 1

    async def main() -> None:
        async with site(handle) as server:
            caller = await server.call()
            caller.send(b"".join(post(b"%d" % n) for n in range(500)))
            for n in range(500):
                assert (await caller.answer()).body == b"POST /? %d" % n

    run(main())


def test_what_is_pipelined_waits_in_the_network() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            await gate.wait()
            await echo(request, reply)

        async with site(handle, limits=ServerLimits(held_bytes=10_000)) as server:
            caller = await server.call()
            caller.writer.transport.set_write_buffer_limits(0)
            caller.send(GET)
            await until(lambda: bool(server.state.tasks))
            total = 200 * (1 << 16)
            caller.send(b"".join(post(b"x" * 65536) for _ in range(200)))
            await until(lambda: held(server) > 10_000)
            before = held(server)
            for _ in range(200):
                await asyncio.sleep(0)
            assert held(server) == before < 1 << 20, "reading has stopped"
            assert caller.writer.transport.get_write_buffer_size() > total // 4
            gate.set()
            await caller.answer()
            for _ in range(200):
                assert len((await caller.answer()).body) > 65536

    def held(server: Site) -> int:
        (connection,) = server.connections
        return sum(len(piece) for piece in connection._held)

    run(main())


def test_a_segment_full_of_requests_is_not_parsed_at_once() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            await gate.wait()
            reply.whole(200, [], b"")

        async with site(handle) as server:
            caller = await server.call()
            caller.send(GET * 9000)  # 252 KB: at most what the loop reads at once
            await until(lambda: bool(server.state.tasks))
            (connection,) = server.connections
            assert len(connection._intake.ready) < 700
            gate.set()
            for _ in range(9000):
                assert (await caller.answer()).status == 200

    run(main())


def test_a_caller_that_is_behind_pauses_the_next_handler_too() -> None:
    async def main() -> None:
        flow: list[str] = []

        async def handle(request: HttpRequest, reply: Reply) -> None:
            reply.on_flow(lambda: flow.append("pause " + request.path), lambda: flow.append("resume " + request.path))
            reply.whole(200, [], b"x" * (20_000_000 if request.path == "/1" else 1))

        async with site(handle) as server:
            caller = await server.call()
            caller.send(GET.replace(b"/ ", b"/1 ") + GET.replace(b"/ ", b"/2 "))
            await until(lambda: "pause /2" in flow)
            assert [len((await caller.answer()).body) for _ in range(2)] == [20_000_000, 1]
            assert flow == ["pause /1", "pause /2"], "a finished handler hears nothing more"

    run(main())


def test_a_shutdown_behind_an_answer_closes_when_the_handler_returns() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            await echo(request, reply)
            await gate.wait()

        async with site(handle) as server:
            caller = await server.call()
            caller.send(GET)
            await caller.answer()
            (connection,) = server.connections
            connection.shutdown()
            gate.set()
            assert await caller.ended() == b""

    run(main())


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"v" * 100_000, 431, "headers_too_large"),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\n\r\n", 413, "body_too_large"),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501, "not_supported"),
        (b"GET / HTTP/3.0\r\n\r\n", 505, "http_version_not_supported"),
    ],
)
def test_refusals_name_themselves_and_close(data: bytes, status: int, code: str) -> None:
    async def main() -> None:
        async with site(echo) as server:
            caller = await server.call()
            caller.send(data)
            answer = await caller.answer()
            assert (answer.status, answer.code, answer.headers[b"connection"]) == (status, code, b"close")
            assert await caller.ended() == b""

    run(main())


def test_a_refusal_comes_in_its_turn() -> None:
    async def main() -> None:
        async with site(echo) as server:
            caller = await server.call()
            caller.send(GET + GET + b"BROKEN\r\n\r\n" + GET)
            assert [(await caller.answer()).status for _ in range(3)] == [200, 200, 400]
            assert await caller.ended() == b""

    run(main())


def test_a_refused_upload_is_read_to_its_end_so_that_the_refusal_arrives() -> None:
    async def main() -> None:
        async with site(echo, limits=ServerLimits(body_bytes=1000)) as server:
            caller = await server.call()
            caller.send(post(b"x" * 20_000_000))
            await caller.writer.drain()
            assert (await caller.answer()).status == 413
            assert await caller.ended() == b""

    run(main())


def test_a_refused_caller_that_stays_is_cut() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with site(echo, clock=clock) as server:
            caller = await server.call()
            caller.send(b"BROKEN\r\n\r\n")
            await caller.answer()
            assert len(server.connections) == 1, "the caller has not closed"
            clock.advance(5.1)
            server.serving.sweeper.sweep()
            await until(lambda: not server.connections)

    run(main())


def test_expect_100_continue() -> None:
    async def main() -> None:
        async with site(echo) as server:
            caller = await server.call()
            head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
            for _ in range(2):
                caller.send(head)
                assert (await caller.answer()).status == 100
                caller.send(b"hi")
                assert (await caller.answer()).body == b"POST /? hi"
            caller.send(GET + head)
            assert [(await caller.answer()).status for _ in range(2)] == [200, 100], "in its turn"
            caller.send(b"hi")
            assert (await caller.answer()).status == 200
            caller.send(head.replace(b": 2", b": 999999999"))
            assert (await caller.answer()).status == 413, "no invitation to send what is too large"

    run(main())


def test_http_10_gets_an_end_by_closing() -> None:
    async def handle(request: HttpRequest, reply: Reply) -> None:
        reply.begin(200, [])
        reply.write(b"one")
        reply.write(b"two")
        reply.end()

    async def main() -> None:
        async with site(handle) as server:
            caller = await server.call()
            caller.send(b"GET / HTTP/1.0\r\n\r\n")
            answer = await caller.answer()
            assert answer.body == b"onetwo"
            assert answer.headers[b"connection"] == b"close"
            assert b"transfer-encoding" not in answer.headers

    run(main())


def test_an_aborted_answer_never_looks_whole() -> None:
    async def handle(request: HttpRequest, reply: Reply) -> None:
        reply.begin(200, [])
        reply.write(b"one")
        reply.abort()

    async def main() -> None:
        async with site(handle) as server:
            old = await server.call()
            old.send(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                await old.ended()
            new = await server.call()
            new.send(GET)
            raw = await new.ended()
            assert raw.endswith(b"3\r\none\r\n"), "what was written arrives, the last chunk does not"

    run(main())


def test_bodiless_answers() -> None:
    async def handle(request: HttpRequest, reply: Reply) -> None:
        match request.path:
            case "/204":
                reply.whole(204, [(b"x", b"y")], b"")
            case "/stream":
                reply.begin(200, [])
                reply.write(b"body")
                reply.end()
            case _:
                reply.whole(200, [], b"body")

    async def main() -> None:
        async with site(handle) as server:
            caller = await server.call()
            caller.send(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = await caller.answer(head_only=True)
            assert answer.headers[b"content-length"] == b"4"
            caller.send(b"HEAD /stream HTTP/1.1\r\nhost: a\r\n\r\n")
            await caller.answer(head_only=True)
            caller.send(b"GET /204 HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = await caller.answer()
            assert (answer.status, answer.headers[b"x"]) == (204, b"y")
            assert b"content-length" not in answer.headers
            caller.send(GET)
            assert (await caller.answer()).body == b"body"

    run(main())


def test_a_stream_arrives_piece_by_piece_and_an_empty_piece_does_not_end_it() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            reply.begin(200, [(b"content-type", b"text/event-stream")])
            reply.write(b"data: 1\n\n")
            await gate.wait()
            reply.write(b"")
            reply.write(b"data: 2\n\n")
            reply.end()
            assert reply.sent == 18
            assert reply.finished

        async with site(handle) as server:
            caller = await server.call()
            caller.send(GET)
            _, fields = await caller.head()
            assert (b"transfer-encoding", b"chunked") in fields
            chunks = caller.chunks()
            assert await anext(chunks) == b"data: 1\n\n"
            gate.set()
            assert [chunk async for chunk in chunks] == [b"data: 2\n\n"]
            caller.send(GET)
            assert (await caller.answer()).body == b"data: 1\n\ndata: 2\n\n"

    run(main())


@pytest.mark.parametrize("evil", [b"a\r\nset-cookie: x", b"a\nb", b"a\rb", b"a\0b"])
def test_a_header_field_cannot_end_its_line(evil: bytes) -> None:
    async def handle(request: HttpRequest, reply: Reply) -> None:
        if request.path == "/whole":
            reply.whole(200, [(b"x", evil)], b"")
        else:
            reply.begin(200, [(b"ok", b"1"), (b"x", evil)])

    async def main() -> None:
        async with site(handle) as server:
            caller = await server.call()
            for path in (b"/whole", b"/stream"):
                caller.send(GET.replace(b"/ ", path + b" "))
                answer = await caller.answer()
                assert answer.status == 500
                assert b"set-cookie" not in answer.headers

    run(main())


def test_a_failing_handler_is_answered_for_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def handle(request: HttpRequest, reply: Reply) -> None:
        match request.path:
            case "/raise":
                raise ValueError("a secret detail")
            case "/silent":
                return
            case "/late":
                reply.begin(200, [])
                reply.write(b"x")
                raise ValueError("too late")
            case _:
                await echo(request, reply)

    async def ask(server: Site, path: bytes) -> Answered:
        caller = await server.call()
        caller.send(post(b"private body", path, b"authorization: Bearer private\r\n") + GET)
        answer = await caller.answer()
        assert (await caller.answer()).status == 200, "the connection goes on"
        return answer

    async def main() -> None:
        async with site(handle, log=logging.getLogger("tests.net.failing")) as server:
            for path in (b"/raise", b"/silent"):
                answer = await ask(server, path)
                assert (answer.status, answer.code) == (500, "internal_error")
                assert b"secret" not in answer.body
            late = await server.call()
            late.send(GET.replace(b"/ ", b"/late ") + GET)
            assert (await late.ended()).endswith(b"1\r\nx\r\n"), "cut, and nothing else on the connection"

    run(main())
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "handler failed: POST /raise",
        "handler left no complete answer: POST /silent",
        "handler failed: GET /late",
    ]
    assert caplog.records[0].exc_info is not None
    assert "private" not in caplog.text


def test_the_caller_leaving_cancels_the_handler() -> None:
    async def main() -> None:
        started, ended = asyncio.Event(), asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            started.set()
            if request.path == "/stream":
                reply.begin(200, [])
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with site(handle) as server:
            for path in (b"/", b"/stream"):
                for reset in (False, True):
                    started.clear()
                    ended.clear()
                    caller = await server.call()
                    caller.send(GET.replace(b"/ ", path + b" "))
                    await started.wait()
                    if reset:
                        caller.reset()
                    else:
                        await caller.close()
                    await ended.wait()
                    await until(lambda: not server.state.tasks and not server.connections)

    run(main())


def test_a_caller_that_leaves_at_once_leaves_nothing_behind() -> None:
    async def main() -> None:
        async with site(echo) as server:
            for _ in range(50):
                caller = await server.call()
                caller.send(GET)
                caller.reset()
            await until(lambda: not server.state.tasks and not server.connections)

    run(main())


def test_what_a_handler_does_after_its_answer_is_not_cancelled() -> None:
    async def main() -> None:
        gate, done = asyncio.Event(), asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            await echo(request, reply)
            await gate.wait()
            done.set()

        async with site(handle) as server:
            caller = await server.call()
            caller.send(GET)
            await caller.answer()
            await caller.close()
            await until(lambda: not server.connections)
            gate.set()
            await done.wait()

    run(main())


def test_a_slow_reader_pauses_the_handler_and_memory_stays_bounded() -> None:
    async def main() -> None:
        flowing = asyncio.Event()
        flowing.set()
        written = 0

        async def handle(request: HttpRequest, reply: Reply) -> None:
            nonlocal written
            reply.on_flow(flowing.clear, flowing.set)
            reply.begin(200, [])
            for _ in range(4000):
                await flowing.wait()
                reply.write(b"x" * 8192)
                written += 8192
                await asyncio.sleep(0)
            reply.end()

        async with site(handle) as server:
            caller = await server.call()
            caller.pause()
            caller.send(GET)
            await until(lambda: not flowing.is_set())
            (connection,) = server.connections
            before = written
            assert connection._transport.get_write_buffer_size() < 64 * 1024 + 10_000
            for _ in range(100):
                await asyncio.sleep(0)
            assert written == before < 4000 * 8192
            caller.resume()
            assert len((await caller.answer()).body) == 4000 * 8192

    run(main())


def test_a_reader_that_takes_nothing_is_cut_and_a_slow_one_is_not() -> None:
    async def main() -> None:
        clock = ManualClock()
        cancelled = asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            reply.begin(200, [])
            reply.write(b"x" * 20_000_000)
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with site(handle, clock=clock) as server:
            caller = await server.call()  # its reader keeps a little by itself, and takes more when asked
            caller.send(GET)
            await until(lambda: bool(server.connections) and waiting(server) > 10_000_000)
            for _ in range(3):
                server.serving.sweeper.sweep()
                clock.advance(50.0)
                await caller.reader.readexactly(3_000_000)
                server.serving.sweeper.sweep()
                assert not cancelled.is_set()
            while not cancelled.is_set():
                server.serving.sweeper.sweep()
                clock.advance(61.0)
                await asyncio.sleep(0)
            await until(lambda: not server.connections)

    def waiting(server: Site) -> int:
        (connection,) = server.connections
        return connection._transport.get_write_buffer_size()

    run(main())


def test_deadlines_for_head_and_body() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with site(echo, clock=clock) as server:
            for begun in (b"GET / HT", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nxx"):
                caller = await server.call()
                caller.send(GET)
                await caller.answer()
                caller.send(begun)
                await until(lambda: any(c._intake.phase.value for c in server.connections))
                clock.advance(9.9)
                server.serving.sweeper.sweep()
                clock.advance(0.3)
                server.serving.sweeper.sweep()
                answer = await caller.answer()
                assert (answer.status, answer.code) == (408, "request_timeout")
                assert await caller.ended() == b""
                await caller.close()

    run(main())


def test_idle_connections_are_closed_silently() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with site(echo, clock=clock) as server:
            fresh, used = await server.call(), await server.call()
            fresh.send(b"\r\n")
            used.send(GET)
            await used.answer()
            server.serving.sweeper.sweep()
            clock.advance(74.0)
            server.serving.sweeper.sweep()
            used.send(GET)
            await used.answer()
            clock.advance(2.0)
            server.serving.sweeper.sweep()
            assert await fresh.ended() == b""
            assert len(server.connections) == 1
            clock.advance(76.0)
            server.serving.sweeper.sweep()
            assert await used.ended() == b""

    run(main())


def test_a_deadline_does_not_run_while_the_handler_works() -> None:
    async def main() -> None:
        clock, gate = ManualClock(), asyncio.Event()

        async def handle(request: HttpRequest, reply: Reply) -> None:
            await gate.wait()
            await echo(request, reply)

        async with site(handle, clock=clock) as server:
            caller = await server.call()
            caller.send(GET + b"GET /half HTTP/1.1\r\n")
            await until(lambda: bool(server.state.tasks))
            clock.advance(100.0)
            server.serving.sweeper.sweep()
            gate.set()
            assert (await caller.answer()).status == 200
            server.serving.sweeper.sweep()
            caller.send(b"host: a\r\n\r\n")
            assert (await caller.answer()).body == b"GET /half? "

    run(main())


def test_the_sweep_runs_by_itself() -> None:
    async def main() -> None:
        clock = ManualClock()
        async with site(echo, clock=clock, sweep_seconds=0.01) as server:
            caller = await server.call()
            caller.send(b"GET / HT")
            await until(lambda: any(c._intake.phase.value for c in server.connections))
            clock.advance(11.0)
            assert (await caller.answer()).status == 408

    run(main())
