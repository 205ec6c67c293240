"""The two loads: whole answers through wrk, streamed ones through `bench.streams`.

Each is a command that prints an Outcome as JSON, in its last line.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from bench.call import PATH, TOKENS, question

BUSY, BUSY_STREAMS = 32, 100
"""Connections that keep a gateway busy."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What a load got."""

    units: int
    """Requests answered, or events received: what CPU time is divided by."""
    answers: int
    bad: int
    """Answers that were not the upstream's, or not whole."""
    p50_us: float
    """To the whole answer; of streams, to the first event."""
    p99_us: float


class Load(Protocol):
    """One way to call a gateway, over and over."""

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str:
        """What CPU time is counted per."""
        ...

    @property
    def stream(self) -> bool: ...

    def command(self, port: int, key: str, seconds: float, *, alone: bool) -> list[str]:
        """Return the command that loads `port` for `seconds` and prints an Outcome; `alone`: one call at a time."""
        ...


_WRK = """
wrk.method = "POST"
wrk.path = {path}
wrk.body = {body}
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = {authorization}
done = function(summary, latency)
  local e = summary.errors
  local bad = e.status + e.connect + e.read + e.write + e.timeout
  io.write(string.format('\\n{{"units":%d,"answers":%d,"bad":%d,"p50_us":%.1f,"p99_us":%.1f}}\\n', summary.requests,
    summary.requests, bad, latency:percentile(50), latency:percentile(99)))
end
"""


class Plain:
    """Whole answers, from wrk."""

    name, unit, stream = "plain", "request", False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def command(self, port: int, key: str, seconds: float, *, alone: bool) -> list[str]:
        with tempfile.NamedTemporaryFile("w", suffix=".lua", dir=self._folder, delete=False) as script:
            body, authorization = json.dumps(question(stream=False)), json.dumps(f"Bearer {key}")
            script.write(_WRK.format(path=json.dumps(PATH), body=body, authorization=authorization))
        connections = 1 if alone else BUSY
        address = f"http://127.0.0.1:{port}"
        return ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}", "-s", script.name, address]


class Streamed:
    """Streams of events, one every 10 ms on each; alone: one short stream after another."""

    name, unit, stream = "streamed", "event", True

    def command(self, port: int, key: str, seconds: float, *, alone: bool) -> list[str]:
        streams, tokens = (1, 1) if alone else (BUSY_STREAMS, TOKENS)
        return [sys.executable, "-m", "bench.streams", str(port), key, str(streams), str(tokens), str(seconds)]
