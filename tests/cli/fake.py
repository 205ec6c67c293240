"""A Komeet that says what a test tells it to."""

import http.server
import json
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


def event(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    """One event of a stream."""
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]} | more).encode() + b"\n\n"


USAGE = event(choices=[], usage={"prompt_tokens": 1200, "completion_tokens": 3, "total_tokens": 1203})
DONE = b"data: [DONE]\n\n"
HELLO = (event("Hel"), event("lo"), event(finish="stop"), USAGE, DONE)


@dataclass
class Fake:
    """What it answers, and what it was asked."""

    port: int = 0
    stream: Sequence[bytes] = HELLO
    status: int = 200
    models: Sequence[str] = ("some-model", "smollm2-135m")
    is_komeet: bool = True
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    keys: list[str] = field(default_factory=list[str])


@contextmanager
def running(fake: Fake) -> Generator[Fake]:
    """Answer on a free port for as long as the context lasts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as its base calls it
            """Stay silent."""

        def do_GET(self) -> None:
            if self.path == "/readyz":
                self._answer(200, {"status": "ready", "missing": {}} if fake.is_komeet else {"status": "ready"})
            elif fake.status == 200:
                self._answer(200, {"object": "list", "data": [{"id": name} for name in fake.models]})
            else:
                self._answer(fake.status, {"error": {"message": "No."}})

        def do_POST(self) -> None:
            fake.keys.append(self.headers["Authorization"].removeprefix("Bearer "))
            fake.calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if fake.status != 200:
                self._answer(fake.status, {"error": {"message": "No."}})
                return
            headers = {"Content-Type": "text/event-stream", "x-komeet-provider": "somebody", "x-request-id": "req_1"}
            self._send(200, headers, b"".join(fake.stream))

        def _answer(self, status: int, value: object) -> None:
            self._send(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
