"""Callers in a process of their own, so that what they cost the machine is not what they measure.

`python -m tests.whole.callers PORT KEY SECONDS RATE CONNECTIONS`: begins RATE calls a second whatever becomes of those
before (RATE 0: each connection begins one when its last is answered), and prints what came as JSON.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import cast

import httptools
import msgspec
import uvloop
from msgspec import Struct

ROOT = Path(__file__).parents[2]


class Came(Struct, frozen=True, kw_only=True):
    """The answers of one status."""

    count: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    unannounced: int
    """Those without Retry-After."""
    by_second: list[int]
    """How many came in each second since the start."""


class Outcome(Struct, frozen=True, kw_only=True):
    """All that came."""

    statuses: dict[int, Came]
    broken: int
    """Connections that were closed with a call under way, or refused."""
    unsent: int
    """Calls that were due, and no connection was free for them."""

    def of(self, status: int) -> Came:
        """Return the answers of one status, if there are any or not."""
        none = Came(count=0, p50_ms=0, p99_ms=0, most_ms=0, unannounced=0, by_second=[])
        return self.statuses.get(status, none)


class Notes:
    """What all connections have seen."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.took: defaultdict[int, list[float]] = defaultdict(list)
        self.seconds: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.unannounced: defaultdict[int, int] = defaultdict(int)
        self.broken = 0
        self.unsent = 0

    def came(self, status: int, due: float, *, announced: bool) -> None:
        now = time.perf_counter()
        self.took[status].append((now - due) * 1e3)
        self.seconds[status][int(now - self.began)] += 1
        self.unannounced[status] += not announced

    def outcome(self) -> Outcome:
        found: dict[int, Came] = {}
        for status, took in self.took.items():
            took.sort()
            seconds = self.seconds[status]
            found[status] = Came(
                count=len(took),
                p50_ms=took[len(took) // 2],
                p99_ms=took[len(took) * 99 // 100],
                most_ms=took[-1],
                unannounced=self.unannounced[status],
                by_second=[seconds[number] for number in range(max(seconds) + 1)],
            )
        return Outcome(statuses=found, broken=self.broken, unsent=self.unsent)


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, notes: Notes, idle: "deque[Caller]") -> None:
        self._request = request
        self._notes = notes
        self._idle = idle
        self._due: float | None = None
        self._announced = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due is not None:
            self._notes.broken += 1
        elif self in self._idle:
            self._idle.remove(self)

    def ask(self, due: float) -> None:
        """Make the call that was due then."""
        self._due, self._announced = due, False
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._announced |= name.lower() == b"retry-after"

    def on_message_complete(self) -> None:
        assert self._due is not None
        self._notes.came(self._parser.get_status_code(), self._due, announced=self._announced)
        self._due = None
        if self._parser.should_keep_alive():
            self._idle.append(self)
        else:
            self._transport.close()


async def _run(port: int, key: str, seconds: float, rate: float, connections: int) -> Outcome:
    body = json.dumps({"model": "gpt-5.2", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    loop = asyncio.get_running_loop()
    idle: deque[Caller] = deque()
    notes = Notes(time.perf_counter())
    for _ in range(connections):
        await loop.create_connection(lambda: Caller(request, notes, idle), "127.0.0.1", port)
    notes.began = began = time.perf_counter()
    sent = 0
    while (now := time.perf_counter() - began) < seconds:
        while sent < now * rate or (not rate and idle):
            if idle:
                idle.popleft().ask(began + sent / rate if rate else time.perf_counter())
            else:
                notes.unsent += 1
            sent += 1
        await asyncio.sleep(0.001)
    end = time.perf_counter() + 10
    while len(idle) + notes.broken < connections and time.perf_counter() < end:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)
    return notes.outcome()


class Callers:
    """Callers that run until their time is up; `outcome` waits for that."""

    def __init__(self, port: int, key: str, seconds: float, *, rate: float = 0, connections: int) -> None:
        words = [str(word) for word in (port, key, seconds, rate, connections)]
        command = [sys.executable, "-m", "tests.whole.callers", *words]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)

    def outcome(self) -> Outcome:
        """Return what came, once all is there."""
        said, _ = self._process.communicate(timeout=300)
        assert self._process.returncode == 0
        return msgspec.json.decode(said, type=Outcome)


def main(port: str, key: str, seconds: str, rate: str, connections: str) -> None:
    outcome = uvloop.run(_run(int(port), key, float(seconds), float(rate), int(connections)))
    print(msgspec.json.encode(outcome).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
