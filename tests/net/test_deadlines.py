"""Each deadline of a call fires within a tenth of its time, at the pace at which the client looks."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.net.conftest import NEVER, Peer, Upstream, run, until, upstream

from komeet.core.clock import ManualClock
from komeet.core.errors import UpstreamTimedOut
from komeet.core.http import Answer
from komeet.net.client import Client

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
PACE = 0.1
DEADLINES = {"first byte": 20.0, "idle": 5.0, "total": 40.0}
Act = Callable[[Peer, "Run"], Awaitable[None]]


class Run:
    """A call on a clock that goes on only as the test says, by a look of the client at a time."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.client = Client(self.clock, sweep_seconds=NEVER)
        self.received = 0
        self.ended = False
        self.arrived = asyncio.Event()

    async def call(self, up: Upstream) -> None:
        answer: Answer = await self.client.fetch(
            up.outgoing(first_byte=DEADLINES["first byte"], idle=DEADLINES["idle"], total=DEADLINES["total"])
        )
        self.arrived.set()
        try:
            await answer.relay(self._feed)
        finally:
            self.ended = True

    def _feed(self, data: bytes) -> None:
        self.received += len(data)

    def look(self) -> None:
        self.clock.advance(PACE)
        self.client._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]


async def silence(peer: Peer, run: Run) -> None:
    """No head ever comes."""


async def trickle(peer: Peer, run: Run) -> None:
    """Heads that are none go on coming."""
    while not peer.writer.is_closing():
        peer.say(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.01)


async def head_only(peer: Peer, run: Run) -> None:
    """The head comes at once, and its body never begins."""
    peer.say(HEAD)
    await run.arrived.wait()


async def framing_only(peer: Peer, run: Run) -> None:
    """The head comes, and the frame of a body of which nothing comes."""
    peer.say(HEAD + b"ff")
    await run.arrived.wait()


async def stall(peer: Peer, run: Run) -> None:
    """The body stops after three seconds."""
    peer.say(HEAD)
    for number in range(30):
        peer.say(b"1\r\nx\r\n")
        await until(lambda number=number: run.received > number)
        run.look()


async def drip(peer: Peer, run: Run) -> None:
    """The body goes on and on, a piece a second."""
    peer.say(HEAD)
    number = 0
    while not run.ended:
        peer.say(b"1\r\nx\r\n")
        number += 1
        await until(lambda number=number: run.received == number or run.ended)
        for _ in range(10):
            run.look()
            await asyncio.sleep(0)
            if run.ended:
                return


@pytest.mark.parametrize(
    ("act", "phase", "since"),
    [
        (silence, "first byte", 0.0),
        (trickle, "first byte", 0.0),
        (head_only, "first byte", 0.0),
        (framing_only, "first byte", 0.0),
        (stall, "idle", 3.0),
        (drip, "total", 0.0),
    ],
)
def test_deadlines_fire_within_a_tenth(act: Act, phase: str, since: float) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await act(peer, this)
        acted.set()
        await peer.left()

    async def main() -> None:
        nonlocal this
        this = Run()
        async with upstream(script) as up:
            call = asyncio.create_task(this.call(up))
            if act not in (trickle, drip):
                await acted.wait()
            else:
                await until(lambda: bool(up.peers))
            while not call.done():
                if act is not drip:
                    this.look()
                await asyncio.sleep(0)
            with pytest.raises(UpstreamTimedOut) as caught:
                await call
            seconds = DEADLINES[phase]
            assert caught.value.phase == phase
            assert f"{seconds:g} s" in caught.value.message
            assert 0.9 * seconds < this.clock.now - since < 1.1 * seconds
            await until(lambda: up.gone == 1)
            await this.client.aclose()

    acted = asyncio.Event()
    this: Run
    run(main())
