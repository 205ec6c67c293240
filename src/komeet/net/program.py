"""Runs a program for what it prints: without a shell, for so long, and so much."""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Final


async def run(argv: tuple[str, ...], *, seconds: float, most: int) -> bytes:
    """Return what a program prints.

    It reads nothing, and what it writes as errors is not read: it may hold what nobody should log. It leads a group of
    processes; where it is given up, or the call is cancelled, the group is killed.

    Args:
        argv: the program, and its arguments as they are.
        seconds: how long it may take.
        most: bytes that it may print.

    Raises:
        OSError: it cannot be started.
        ValueError: it failed, took too long or printed too much; the message holds nothing of what it printed.
    """
    loop = asyncio.get_running_loop()
    transport, running = await loop.subprocess_exec(
        lambda: _Running(loop, most),
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            await asyncio.wait((running.over, running.ended), return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        raise ValueError(f"took longer than {seconds:g} s") from None
    finally:
        if transport.get_returncode() is None:
            with suppress(ProcessLookupError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
        transport.close()
        await asyncio.wait((running.ended,))
    if running.over.done():
        raise ValueError(f"printed more than {most} bytes")
    status = transport.get_returncode()
    if status != 0:
        raise ValueError(f"ended with status {status}")
    return bytes(running.text)


class _Running(asyncio.SubprocessProtocol):
    """What it printed so far. `ended`: it has ended, and nothing of it is open any more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self.text: Final = bytearray()
        self.over: Final[asyncio.Future[None]] = loop.create_future()
        self.ended: Final[asyncio.Future[None]] = loop.create_future()
        self._most: Final = most

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - there is one pipe
        if len(self.text) + len(data) <= self._most:
            self.text.extend(data)
        elif not self.over.done():
            self.over.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - over is over
        if not self.ended.done():
            self.ended.set_result(None)
