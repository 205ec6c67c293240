"""What tests of several processes share: finding workers, and callers that note what goes wrong."""

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Self

from tests.whole.gateway import Gateway, towards
from tests.whole.upstream import DONE, HELLO, LAST, STREAM, Received, Step, Upstream, chunk, delta, event, usage, whole

from komeet.ledger.port import State

END = chunk(delta(finish="stop")) + chunk(event(choices=[], usage=usage(9, 4))) + chunk(DONE) + LAST


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The living children of a process."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if alive(int(child))]


def alive(pid: int) -> bool:
    """Whether a process runs still; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def program(pid: int) -> str:
    """The module that a process runs."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return words[words.index(b"-m") + 1].decode() if b"-m" in words else ""
    return ""


def workers(gateway: Gateway) -> list[int]:
    """The processes that answer calls."""
    return [pid for pid in children(gateway.process.pid) if program(pid) == "komeet.serving.worker"]


def serving(gateway: Gateway, count: int) -> list[int]:
    """Wait for so many workers that take connections; return their ids."""

    def there() -> list[int]:
        said = gateway.errors()
        return [pid for pid in workers(gateway) if f"worker {pid} takes connections" in said]

    until(lambda: len(there()) == count)
    return there()


def at(upstream: Upstream, **server: Any) -> dict[str, Any]:
    return towards(upstream.url) | {"server": {"workers": 2} | server, "embedded": {"enabled": False}}


def paced(request: Received) -> Iterator[Step]:
    if not request.json.get("stream"):
        yield from whole(HELLO)
        return
    yield STREAM
    for word in ("One ", "two ", "three."):
        time.sleep(0.02)
        yield chunk(delta(word))
    yield END


class Load:
    """Callers that call one after the other until they are told to stop, and note what went wrong."""

    def __init__(self, gateway: Gateway, callers: int, *, stream: float = 0.5, reconnect: bool = False) -> None:
        self.gateway = gateway
        self.callers = callers
        self.stream = stream
        self.reconnect = reconnect
        self.done = 0
        self.cut: list[str] = []
        self.refused: list[str] = []
        self._stop = threading.Event()
        self._names = (f"openai/{secrets.token_hex(4)}-{number}" for number in itertools.count())

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        until(lambda: self.done > self.callers)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        await asyncio.gather(*(self._caller(number) for number in range(self.callers)))

    async def _caller(self, number: int) -> None:
        stream = number < self.callers * self.stream
        while not self._stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
            except OSError as error:
                self.refused.append(repr(error))
                await asyncio.sleep(0.05)
                continue
            try:
                while not self._stop.is_set() and await self._call(reader, writer, stream=stream):
                    self.done += 1
                    if self.reconnect:
                        break
            except (OSError, asyncio.IncompleteReadError) as error:
                self.cut.append(repr(error))
            finally:
                writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stream: bool) -> bool:
        """Make one call; return whether the connection may be used again."""
        messages = [{"role": "user", "content": "Hi"}]
        call = {"model": next(self._names), "messages": messages, "stream": stream}
        body = json.dumps(call).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.gateway.key}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith(b"http/1.1 200"):
            self.refused.append(answer.decode())
        if b"transfer-encoding: chunked" in answer:
            await reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            await reader.readexactly(int(answer.partition(b"content-length:")[2].split(b"\r\n")[0]))
        return b"connection: close" not in answer


class Caller:
    """Calls one node without a pause, and notes what it was answered and when."""

    def __init__(self, gateway: Gateway, key: str, **fields: Any) -> None:
        self.answers: list[tuple[float, int, float]] = []
        self._gateway = gateway
        self._key = key
        self._fields = fields
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            status = self._gateway.chat(self._key, **self._fields).status
            self.answers.append((began, status, time.monotonic() - began))

    def last(self, status: int) -> float:
        """When the last call began that was answered so."""
        return max(began for began, found, _ in self.answers if found == status)


def books(gateway: Gateway, upstream: Upstream) -> None:
    """The ledger and the provider's own log say the same, call by call, once all is written."""
    until(lambda: len(gateway.outcomes()) >= gateway.holds() >= len(upstream.received))
    ended = gateway.outcomes()
    accepted = [request.json["model"] for request in upstream.received]
    sent = [model for model, state in ended if state is not State.VOIDED]
    assert len(sent) == len(set(sent)), "a call with two outcomes"
    assert set(accepted) <= set(sent), "the provider saw what the ledger did not"
    assert {model for model, state in ended if state is State.SETTLED} <= set(accepted), "charged and never sent"
    assert gateway.audit() == []
    assert gateway.holds() == len(ended), "a hold without an outcome"


def serving_any(gateway: Gateway) -> list[int]:
    said = gateway.errors()
    return [pid for pid in workers(gateway) if f"worker {pid} takes connections" in said]


@contextlib.contextmanager
def asleep(gateway: Gateway, pid: int) -> Generator[None]:
    """Stop a worker for a while, between two transactions: it must not keep the others from the database."""
    until(lambda: len(gateway.outcomes()) == gateway.holds())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
