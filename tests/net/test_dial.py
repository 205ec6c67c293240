"""Finding an address that answers: a silent one does not hold up the others, and failures name their reasons."""

import asyncio
import socket

import pytest
from tests.net.conftest import run, until

from komeet.core.errors import ConnectFailed
from komeet.core.http import Origin
from komeet.net.dial import connect_any, place
from komeet.net.resolve import Address
from komeet.net.tasks import Tasks


def address(listener: socket.socket) -> Address:
    return socket.AF_INET, listener.getsockname()


def test_a_silent_address_does_not_hold_up_the_next() -> None:
    async def main() -> None:
        with socket.socket() as silent, socket.create_server(("127.0.0.1", 0)) as answering, socket.socket() as filler:
            silent.bind(("127.0.0.1", 0))
            silent.listen(0)
            filler.connect(silent.getsockname())  # its queue is full now: another connection gets no answer
            tasks = Tasks()
            with await connect_any([address(silent), address(answering)], "up", tasks) as channel:
                assert channel.getpeername() == answering.getsockname()
            assert await tasks.drain(5.0) == 0

    run(main())


def test_a_refusing_address_is_passed_over_at_once() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as answering:
            tasks = Tasks()
            with await connect_any([(socket.AF_INET, ("127.0.0.1", 1)), address(answering)], "up", tasks) as channel:
                assert channel.getpeername() == answering.getsockname()

    run(main())


def test_when_none_answers_the_reasons_are_named() -> None:
    async def main() -> None:
        with pytest.raises(ConnectFailed, match=r"No connection to up: the connection was refused\."):
            await connect_any([(socket.AF_INET, ("127.0.0.1", 1)), (socket.AF_INET, ("127.0.0.1", 2))], "up", Tasks())
        with pytest.raises(ConnectFailed, match="it has no address"):
            await connect_any([], "up", Tasks())

    run(main())


def test_cancelling_leaves_no_attempt_behind() -> None:
    async def main() -> None:
        with socket.socket() as silent, socket.socket() as filler:
            silent.bind(("127.0.0.1", 0))
            silent.listen(0)
            filler.connect(silent.getsockname())
            tasks = Tasks()
            work = asyncio.create_task(connect_any([address(silent)], "up", tasks))
            await until(lambda: len(tasks) == 1)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert await tasks.drain(5.0) == 0

    run(main())


@pytest.mark.parametrize(
    ("origin", "written"),
    [
        (Origin("https", "api.example", 443), "api.example"),
        (Origin("http", "api.example", 80), "api.example"),
        (Origin("http", "api.example", 443), "api.example:443"),
        (Origin("https", "::1", 443), "[::1]"),
        (Origin("http", "::1", 8080), "[::1]:8080"),
    ],
)
def test_the_port_is_written_where_it_is_not_the_schemes(origin: Origin, written: str) -> None:
    assert place(origin) == written
