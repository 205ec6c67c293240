"""A provider made of raw sockets: it answers what a test tells it to, byte by byte, and keeps a log of its own."""

import contextlib
import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Close:
    """Ends the connection in good order (FIN)."""


class Reset:
    """Ends the connection at once (RST)."""


Step = bytes | Close | Reset
Answer = Callable[[Received], Iterable[Step]]


def whole(body: object, status: int = 200, headers: str = "", content_type: str = "application/json") -> list[Step]:
    """A complete answer; `body` is JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(data)}\r\n{headers}\r\n"
    return [head.encode() + data]


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def stream(*pieces: bytes) -> list[Step]:
    """A complete stream, a chunk a piece."""
    return [STREAM, *(chunk(piece) for piece in pieces), LAST]


def event(**fields: object) -> bytes:
    """A chunk of a chat completion as an event."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.2-2025-12-11"}
    return b"data: " + json.dumps(base | fields).encode() + b"\n\n"


def delta(text: str | None = None, finish: str | None = None, index: int = 0, **more: object) -> bytes:
    """An event with a piece of an answer."""
    content: dict[str, object] = {} if text is None else {"content": text}
    return event(choices=[{"index": index, "delta": content | more, "finish_reason": finish}])


def usage(prompt: int, completion: int, **details: object) -> dict[str, object]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **details}


DONE = b"data: [DONE]\n\n"
HELLO = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5.2-2025-12-11",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": usage(12, 3),
}


@dataclass
class Upstream:
    """A listening provider; `answer` may be changed at any time."""

    answer: Answer = lambda _: whole(HELLO)
    received: list[Received] = field(default_factory=list[Received])
    left: int = 0
    """Connections that the other side closed before the answer was complete."""

    def __enter__(self) -> Self:
        upstream = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                upstream.serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 512
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for request in _requests(connection):
                with self._lock:
                    self.received.append(request)
                try:
                    for step in self.answer(request):
                        match step:
                            case bytes():
                                connection.sendall(step)
                            case Close():
                                return
                            case Reset():
                                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                                return
                except OSError:
                    with self._lock:
                        self.left += 1
                    raise


def _requests(connection: socket.socket) -> Iterator[Received]:
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            data = connection.recv(65536)
            if not data:
                return
            buffer += data
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(buffer) < length:
            data = connection.recv(65536)
            if not data:
                return
            buffer += data
        body, buffer = buffer[:length], buffer[length:]
        yield Received(method, target, headers, body)
