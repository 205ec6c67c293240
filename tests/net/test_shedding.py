"""Requests that are too many are answered without a handler, in their turn, on connections that go on."""

import asyncio

from tests.net.conftest import GET, echo, run, site

from komeet.core.http import Headers, HttpRequest, Reply


def shed(request: HttpRequest) -> tuple[int, Headers, bytes] | None:
    """As a gateway would that has no room for anything but `/kept`."""
    return None if request.path == "/kept" else (503, [(b"retry-after", b"1")], b"full")


KEPT = GET.replace(b"/ ", b"/kept ")


def test_thousands_are_shed_in_one_go() -> None:
    async def main() -> None:
        async with site(echo, shed=shed) as server:
            caller = await server.call()
            for size in (1, 9000):
                caller.send(GET * size)
                for _ in range(size):
                    answer = await caller.answer()
                    assert (answer.status, answer.body, answer.headers[b"retry-after"]) == (503, b"full", b"1")
                    assert b"connection" not in answer.headers
            assert server.state.total_requests == 9001

    run(main())


def test_answers_stay_in_their_order() -> None:
    async def main() -> None:
        async def handle(request: HttpRequest, reply: Reply) -> None:
            await asyncio.sleep(0.001)
            await echo(request, reply)

        async with site(handle, shed=shed) as server:
            caller = await server.call()
            caller.send((GET + KEPT + GET + GET) * 200 + b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n12")
            for _ in range(200):
                assert [(await caller.answer()).status for _ in range(4)] == [503, 200, 503, 503]
            caller.send(b"34" + KEPT)
            assert (await caller.answer()).status == 503
            assert (await caller.answer()).body == b"GET /kept? "

    run(main())


def test_the_last_request_of_a_connection_ends_it() -> None:
    async def main() -> None:
        async with site(echo, shed=shed) as server:
            for last in (
                b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
                b"GET / HTTP/1.0\r\n\r\n",
                b"BAD\r\n\r\n",
            ):
                caller = await server.call()
                caller.send(GET + last + KEPT)
                assert (await caller.answer()).status == 503
                answer = await caller.answer()
                assert answer.status == (400 if last.startswith(b"BAD") else 503)
                assert answer.headers[b"connection"] == b"close"
                assert await caller.ended() == b""

    run(main())
