"""Slow attackers in a process of their own: connections that say nothing, and headers and bodies that drip.

`python -m tests.whole.slow_attack PORT KEY SECONDS SILENT HEADS BODIES`: keeps so many of each open for so long, each
opened anew when it is closed, and prints as JSON how long each sort was let live. A byte every half second.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal, get_args

import msgspec
import uvloop
from msgspec import Struct

ROOT = Path(__file__).parents[2]
Sort = Literal["silent", "head", "body"]
DRIP_SECONDS = 0.5


class Lives(Struct, frozen=True, kw_only=True):
    """How long the connections of one sort lived that the server ended."""

    count: int
    shortest: float
    longest: float
    alive: float
    """The age of the oldest that was still open at the end."""
    told: int
    """Those that got a 408."""
    refused: int
    """Those that could not connect, or were told that there are too many."""


class Attack:
    """Keeps connections of every sort open."""

    def __init__(self, port: int, key: str, seconds: float) -> None:
        self._port = port
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
        self._first: dict[Sort, bytes] = {
            "silent": b"",
            "head": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Drip: ",
            "body": head.encode() + b"Content-Length: 1000000\r\n\r\n{",
        }
        self._end = time.monotonic() + seconds
        self.lived: dict[Sort, list[float]] = {sort: [] for sort in get_args(Sort)}
        self.open: dict[Sort, set[float]] = {sort: set() for sort in get_args(Sort)}
        self.told = dict.fromkeys(get_args(Sort), 0)
        self.refused = dict.fromkeys(get_args(Sort), 0)

    async def run(self, counts: dict[Sort, int]) -> dict[Sort, Lives]:
        """Attack until the time is up."""
        # Spread over a while: a burst would measure the queue of the socket.
        tasks = [
            asyncio.ensure_future(self._one(sort, number / max(count, 1)))
            for sort, count in counts.items()
            for number in range(count)
        ]
        await asyncio.sleep(self._end - time.monotonic())
        now = time.monotonic()
        found: dict[Sort, Lives] = {
            sort: Lives(
                count=len(lived),
                shortest=min(lived, default=0.0),
                longest=max(lived, default=0.0),
                alive=max((now - since for since in self.open[sort]), default=0.0),
                told=self.told[sort],
                refused=self.refused[sort],
            )
            for sort, lived in self.lived.items()
        }
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found

    async def _one(self, sort: Sort, after: float) -> None:
        await asyncio.sleep(after)
        while True:
            since = time.monotonic()
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.refused[sort] += 1
                await asyncio.sleep(0.1)
                continue
            self.open[sort].add(since)
            dripping = asyncio.ensure_future(self._drip(writer, self._first[sort]))
            try:
                answer = await reader.read()
            except OSError:
                answer = b""
            finally:
                dripping.cancel()
                self.open[sort].discard(since)
                writer.close()
            self.lived[sort].append(time.monotonic() - since)
            self.told[sort] += answer.startswith(b"HTTP/1.1 408 ")
            self.refused[sort] += answer.startswith(b"HTTP/1.1 503 ")

    async def _drip(self, writer: asyncio.StreamWriter, first: bytes) -> None:
        writer.write(first)
        while first:
            await asyncio.sleep(DRIP_SECONDS)
            writer.write(b"x")


class Attackers:
    """An attack that goes on until its time is up; `outcome` waits for that."""

    def __init__(self, port: int, key: str, seconds: float, counts: dict[Sort, int]) -> None:
        words = [str(word) for word in (port, key, seconds, *(counts[sort] for sort in get_args(Sort)))]
        command = [sys.executable, "-m", "tests.whole.slow_attack", *words]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)

    def outcome(self) -> dict[Sort, Lives]:
        """Return how long they were let live."""
        said, _ = self._process.communicate(timeout=300)
        assert self._process.returncode == 0
        return msgspec.json.decode(said, type=dict[Sort, Lives])


def main(port: str, key: str, seconds: str, *counts: str) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wanted = {sort: int(count) for sort, count in zip(get_args(Sort), counts, strict=True)}
    attack = Attack(int(port), key, float(seconds))
    print(json.dumps(msgspec.to_builtins(uvloop.run(attack.run(wanted)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
