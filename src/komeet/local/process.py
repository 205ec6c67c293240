"""One running process of the embedded model, as its supervisor sees it."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

import msgspec

from komeet.local.handover import EmbeddingOrders, Orders, Ready

_TAIL = 4096
_LONGEST_ANSWER = 4096

_PASSED_ON = frozenset({"PATH", "HOME", "TMPDIR", "LANG", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD"})
_PASSED_ON_PREFIXES = ("PYTHON", "LC_", "DYLD_", "GGML_", "OMP_", "CUDA_", "HIP_", "ROCR_", "VK_", "MALLOC_")


class EndedEarlyError(Exception):
    """The process ended before it could answer; the message says how, and what it said last."""


class Child(asyncio.SubprocessProtocol):
    """The process's ends: a port once it answers, a status once it has ended.

    Its standard input stays open: the system closes it when this process ends, however it ends, and the child ends with
    it. What it writes before it answers is kept, for the case that it never does; what comes later is not, as it may
    quote prompts.
    """

    __slots__ = ("_answer", "_ended", "_port", "_said", "_said_all", "_transport")

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._port: asyncio.Future[int] = loop.create_future()
        self._ended: asyncio.Future[int] = loop.create_future()
        self._answer = b""
        self._said = b""
        self._said_all: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.SubprocessTransport | None = None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._transport is not None
        return self._transport.get_pid()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self._port.done():
            return
        if fd != 1:
            self._said = (self._said + data)[-_TAIL:]
            return
        self._answer += data
        line, end, _ = self._answer.partition(b"\n")
        if end or len(line) > _LONGEST_ANSWER:
            try:
                self._port.set_result(msgspec.json.decode(line, type=Ready).port)
            except msgspec.DecodeError:
                self._port.set_exception(EndedEarlyError(f"it answered {line[:80]!r} instead of its port"))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        if fd == 2 and not self._said_all.done():
            self._said_all.set_result(None)

    def process_exited(self) -> None:
        assert self._transport is not None
        status = self._transport.get_returncode()
        if not self._ended.done():
            self._ended.set_result(-1 if status is None else status)

    async def answering(self) -> int:
        """Wait until it answers, and return its port; raises EndedEarlyError if it ends before."""
        await asyncio.wait((self._port, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if self._port.done():
            return self._port.result()
        await asyncio.shield(self._said_all)
        said = self._said.decode("utf-8", "replace").strip()
        raise EndedEarlyError(f"{ending(self._ended.result())}; it said: {said or 'nothing'}")

    async def ended(self) -> int:
        """Wait until it ends, and return its status; a negative one is the signal that ended it."""
        return await asyncio.shield(self._ended)  # who stops waiting must not end the future that others wait for

    def terminate(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send it the signal, unless it has ended."""
        if self._transport is not None and not self._ended.done():
            with suppress(ProcessLookupError):  # it has ended, and the loop has not said so yet
                self._transport.send_signal(how)

    async def kill(self) -> None:
        """End it now, and return when it has ended; does nothing to one that has."""
        self.terminate(signal.SIGKILL)
        await self.ended()
        if self._transport is not None:
            self._transport.close()

    def give(self, orders: Orders | EmbeddingOrders) -> None:
        """Hand over its orders."""
        assert self._transport is not None
        stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        stdin.write(msgspec.json.encode(orders) + b"\n")


def ending(status: int) -> str:
    """Say how a process ended."""
    if status >= 0:
        return f"it ended with status {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return what of our environment the process gets: what it needs to run, and no provider's key."""
    return {name: value for name, value in ours.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)}


async def launch(orders: Orders | EmbeddingOrders, module: str = "komeet.local.child") -> Child:
    """Start the process that `module` is, with its orders; raises OSError where the system refuses one more.

    It gets a session of its own, so that Ctrl-C at the terminal reaches the supervisor alone.
    """
    _, child = await asyncio.get_running_loop().subprocess_exec(
        Child,
        *(sys.executable, "-P", "-m", module),
        env=environment(os.environ),
        start_new_session=True,
    )
    child.give(orders)
    return child
