"""The callers of the soak: a call is of a kind, which says what is asked, how it is read, and what has to come back."""

import asyncio
import json
import random
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self

from msgspec import Struct

_USER: Final[list[dict[str, Any]]] = [{"role": "user", "content": "Hi"}]
_PATIENCE: Final = 60.0
"""Seconds that a call may take in all."""
_MOST: Final = 400
"""Calls under way, above which none is begun: the machine is too slow for the rate, and that is counted."""


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of call."""

    name: str
    weight: float
    path: str = "/v1/chat/completions"
    provider: str = "calm"
    body: dict[str, Any]
    status: int = 200
    holds: bytes = b""
    """What the answer has to hold."""


def _chat(name: str, weight: float, *, stream: bool = False, **more: Any) -> Kind:
    body: dict[str, Any] = {"messages": _USER} | ({"stream": True} if stream else {})
    return Kind(name=name, weight=weight, body=body, **more)


KINDS: Final = (
    _chat("plain", 24, holds=b"Hello."),
    _chat("stream", 20, stream=True, holds=b"data: [DONE]"),
    Kind(name="messages", weight=5, path="/v1/messages", body={"messages": _USER, "max_tokens": 50}, holds=b"Hello."),
    Kind(
        name="events",
        weight=5,
        path="/v1/messages",
        body={"messages": _USER, "max_tokens": 50, "stream": True},
        holds=b"event: message_stop",
    ),
    Kind(name="responses", weight=4, path="/v1/responses", body={"input": "Hi"}, holds=b"Hello."),
    Kind(
        name="replies",
        weight=4,
        path="/v1/responses",
        body={"input": "Hi", "stream": True},
        holds=b"event: response.completed",
    ),
    _chat("dead", 3, provider="dead", status=502),
    _chat("busy", 3, status=429),
    _chat("broken", 3, status=502),
    _chat("garbage", 3, status=502),
    _chat("reset", 2, status=502),
    _chat("cut", 3, stream=True, holds=b"upstream_cut"),
    _chat("stall", 1, status=504),
    _chat("hang", 1, stream=True, holds=b"upstream_timeout"),
    _chat("drip", 2, holds=b"Hello."),
    _chat("unknown", 2, provider="nobody", status=404),
)
"""What is asked and read to its end. The other callers are below."""

_BAD: Final = (
    (b'{"model": "calm/bad", "messages": [', b"400"),
    (b'{"model": "calm/bad", "messages": ' + b"[" * 5000 + b"]" * 5000 + b"}", b"400"),
    (b'{"model": "calm/bad", "model": "calm/bad", "messages": NaN}', b"400"),
    (b"\xff\xfe\x00", b"400"),
    (b"[]", b"400"),
)
_RAW: Final = (
    (b"GET / HTTP/1.1\r\n\r\n", b"400"),
    (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"400",
    ),
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"431"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    (b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"404"),
    (b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n", b"413"),
)


class Traffic:
    """Begins `rate` calls a second, whatever becomes of those before, until it is told to stop."""

    def __init__(self, port: int, key: str, rate: float, seed: int, *, embedded: bool = True) -> None:
        self._port: Final = port
        self._key: Final = key
        self._rate: Final = rate
        self._chance: Final = random.Random(seed)
        self._run: Final = secrets.token_hex(3)
        self._embedded: Final = embedded
        self._number = 0
        self._stop: Final = threading.Event()
        self._thread: Final = threading.Thread(target=lambda: asyncio.run(self._main()), name="traffic")
        self.calls: Final[Counter[str]] = Counter()
        """By kind."""
        self.wrong: Final[list[str]] = []
        """What did not come back as it had to."""
        self.complete: Final[list[str]] = []
        """Models of the calls whose answer came whole."""
        self.running = 0
        self.skipped = 0
        """Calls that were not begun, since too many were under way."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _main(self) -> None:
        kinds: list[tuple[float, str, Callable[[], Coroutine[Any, Any, None]]]] = [
            *((kind.weight, kind.name, lambda kind=kind: self._ask(kind)) for kind in KINDS),
            (8, "bad", self._bad),
            (5, "session", self._session),
            (6, "leaves", self._leaves),
            (1.5, "slow", self._slow),
            (0.3, "deaf", self._deaf),
            (0.2, "no key", self._stranger),
        ]
        if self._embedded:
            kinds += [(0.4, "embedded chat", self._local_chat), (0.6, "embedded vectors", self._local_vectors)]
        weights = [weight for weight, _, _ in kinds]
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                due += self._chance.expovariate(self._rate)
                await asyncio.sleep(max(due - loop.time(), 0))
                if self.running >= _MOST:
                    self.skipped += 1
                    continue
                _, name, call = self._chance.choices(kinds, weights)[0]
                group.create_task(self._one(name, call))

    async def _one(self, name: str, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.running += 1
        self.calls[name] += 1
        try:
            async with asyncio.timeout(_PATIENCE):
                await call()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            self.wrong.append(f"{name}: {error!r}")
        finally:
            self.running -= 1

    # What is read to its end.

    async def _ask(self, kind: Kind) -> None:
        model = self._model(kind.name)
        answer = await self._exchange(self._request(kind.path, {"model": f"{kind.provider}/{model}"} | kind.body))
        if self._right(kind.name, answer, str(kind.status).encode(), kind.holds) and kind.status == 200:
            self.complete.append(model)

    async def _bad(self) -> None:
        if self._chance.random() < 0.5:
            body, status = self._chance.choice(_BAD)
            asked = self._request("/v1/chat/completions", body)
        else:
            asked, status = self._chance.choice(_RAW)
        self._right("bad", await self._exchange(asked), status)

    async def _stranger(self) -> None:
        asked = self._request("/v1/chat/completions", {"model": "calm/x", "messages": _USER}, key="sk-nobody")
        self._right("no key", await self._exchange(asked), b"401")

    async def _local_chat(self) -> None:
        body = {"model": "local/smollm2-135m", "messages": _USER, "max_tokens": 5}
        self._right("embedded chat", await self._exchange(self._request("/v1/chat/completions", body)), b"200")

    async def _local_vectors(self) -> None:
        body = {"model": "local/wordllama", "input": ["One.", "Two."]}
        self._right("embedded vectors", await self._exchange(self._request("/v1/embeddings", body)), b"200")

    def _right(self, name: str, answer: bytes, status: bytes, holds: bytes = b"") -> bool:
        if answer[9:12] == status and holds in answer:
            return True
        self.wrong.append(f"{name}: {answer[:300]!r} … {answer[-200:]!r}")
        return False

    # What is not.

    async def _session(self) -> None:
        """Several calls on one connection, as long as it is not announced to close."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for _ in range(5):
                model = self._model("plain")
                body = {"model": f"calm/{model}", "messages": _USER}
                writer.write(self._request("/v1/chat/completions", body, close=False))
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
                if not self._right("session", head, b"200") or b"connection: close" in head:
                    return
                self.complete.append(model)
        finally:
            writer.close()

    async def _leaves(self) -> None:
        """Goes away at any time."""
        stream = self._chance.random() < 0.8
        body = {"model": f"calm/{self._model('leaves')}", "messages": _USER, "stream": stream}
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request("/v1/chat/completions", body))
        try:
            async with asyncio.timeout(self._chance.uniform(0, 0.5)):
                while await reader.read(65_536):
                    pass
        except TimeoutError:
            pass
        finally:
            writer.transport.abort() if self._chance.random() < 0.5 else writer.close()

    async def _slow(self) -> None:
        """Takes a long stream in small bites."""
        answer = b""
        with self._small_socket() as connection:
            await self._call_long(connection, "slow")
            loop = asyncio.get_running_loop()
            while piece := await loop.sock_recv(connection, 16_384):
                answer = (answer + piece)[-200:]
                await asyncio.sleep(0.05)
        if b"[DONE]" not in answer:
            self.wrong.append(f"slow: … {answer!r}")

    async def _deaf(self) -> None:
        """Takes nothing, until it is cut."""
        with self._small_socket() as connection:
            await self._call_long(connection, "deaf")
            await asyncio.sleep(self._chance.uniform(6, 20))

    def _small_socket(self) -> socket.socket:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.setblocking(False)
        return connection

    async def _call_long(self, connection: socket.socket, name: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", self._port))
        body = {"model": f"calm/{self._model(name)}", "messages": _USER, "stream": True}
        await loop.sock_sendall(connection, self._request("/v1/chat/completions", body))

    # Bytes.

    def _model(self, kind: str) -> str:
        """Return a name that no other call has: the ledger and the provider are compared by it."""
        self._number += 1
        return f"{kind}-{self._run}-{self._number}"

    def _request(self, path: str, body: object, *, key: str | None = None, close: bool = True) -> bytes:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        ending = "Connection: close\r\n" if close else ""
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key or self._key}\r\n{ending}"
        return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data

    async def _exchange(self, asked: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(asked)
            answer = b""
            while piece := await reader.read(65_536):
                answer += piece
            return answer
        finally:
            writer.close()
