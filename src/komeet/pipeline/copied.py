"""A reply of which a copy is made as it goes out."""

from collections.abc import Callable
from typing import Final

from komeet.core.http import Headers, Reply


class CopiedReply:
    """Hands everything on, and keeps what it was, within a bound."""

    def __init__(self, reply: Reply, *, whole_most: int, stream_most: int) -> None:
        """Keep bodies up to so many bytes, of an answer in one piece and of a stream."""
        self._reply: Final = reply
        self._whole_most: Final = whole_most
        self._stream_most: Final = stream_most
        self._body: list[bytes] = []
        self._size = 0
        self.status = 0
        self.headers: Headers = ()
        self.streamed = False
        self.finished = False
        self.complete = False
        """Whether it came to its end."""

    @property
    def started(self) -> bool:
        return self.status != 0

    @property
    def sent(self) -> int:
        return self._reply.sent or self._size

    @property
    def body(self) -> bytes | None:
        """The whole of it; None: there is none, or too much."""
        most = self._stream_most if self.streamed else self._whole_most
        return b"".join(self._body) if self.complete and self._size <= most else None

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        self.status, self.headers = status, headers
        self._body, self._size = [body], len(body)
        self.finished = self.complete = True
        self.tell(lambda: self._reply.whole(status, headers, body))

    def begin(self, status: int, headers: Headers, *, filler: bytes = b"") -> None:
        self.status, self.headers, self.streamed = status, headers, True
        self._reply.begin(status, headers, filler=filler)

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._stream_most:
            self._body.append(data)
        self._reply.write(data)

    def end(self) -> None:
        self.finished = self.complete = True
        self.tell(self._reply.end)

    def abort(self) -> None:
        self.finished = True
        self._reply.abort()

    def on_flow(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._reply.on_flow(pause, resume)

    def tell(self, last: Callable[[], None]) -> None:
        """Send what completes the answer."""
        last()


class KeptReply(CopiedReply):
    """A reply that is remembered as it goes out. Its end waits for that: whoever has it may rely on it."""

    def __init__(self, reply: Reply, *, whole_most: int, stream_most: int) -> None:
        super().__init__(reply, whole_most=whole_most, stream_most=stream_most)
        self._held: Callable[[], None] | None = None

    def tell(self, last: Callable[[], None]) -> None:
        self._held = last

    def let_go(self) -> None:
        """Send what was held back."""
        held, self._held = self._held, None
        if held is not None and not self._reply.finished:
            held()
