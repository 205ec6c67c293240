"""The values of one HTTP exchange, on either side: what `net` produces, and the pipeline and the surfaces see.

No I/O here. `net.server` implements `Reply`, `net.client` implements `Fetcher` and `Answer`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, in the order in which they go out."""


class HttpRequest(Struct, frozen=True, kw_only=True):
    """A request that has arrived whole."""

    method: str
    path: str
    """Percent-encoding left as it came; never empty; without the query."""
    query: bytes = b""
    headers: Mapping[bytes, bytes]
    """Names in lower case; a repeated name keeps its last value (those that must not repeat were refused)."""
    body: bytes = b""
    arrived: float
    """Monotonic seconds at which its first byte was read."""
    peer: str = ""
    """The address of the other end of the connection."""


class Reply(Protocol):
    """The way back to one caller: either `whole`, or `begin`, any number of `write`, then `end` or `abort`.

    None of these blocks. Bytes that the caller does not take are buffered by the transport, which calls `on_pause` when
    there are too many and `on_resume` when they have gone.
    """

    @property
    def started(self) -> bool:
        """Whether a status has been sent."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the answer is complete, or given up."""
        ...

    @property
    def sent(self) -> int:
        """Body bytes handed to the transport."""
        ...

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer; `content-length` and `date` are added."""
        ...

    def begin(self, status: int, headers: Headers, *, filler: bytes = b"") -> None:
        """Send the head of an answer whose length is not known yet.

        `filler` is sent between two writes when nothing was for a while, so that nobody on the way takes the connection
        for dead; with it, each write ends where the filler may stand.
        """
        ...

    def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        ...

    def end(self) -> None:
        """Say that the body is complete."""
        ...

    def abort(self) -> None:
        """Close the connection so that the caller sees an answer cut short, never a whole one."""
        ...

    def on_flow(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Name what is called when the caller falls behind and when it has caught up."""
        ...


class TlsFiles(Struct, frozen=True, kw_only=True):
    """Files in PEM that a connection over TLS is made with."""

    ca_file: str | None = None
    """Authorities that are trusted besides the system's."""
    cert_file: str | None = None
    """The certificate that is shown to whoever asks for one."""
    key_file: str | None = None
    """Its key; None: it is in `cert_file`."""


class Origin(Struct, frozen=True):
    """Where a connection goes, and what a credential is bound to."""

    scheme: str
    """`http` or `https`."""
    host: str
    port: int
    tls: TlsFiles | None = None
    """What only this origin is trusted by, and shown: connections are not shared with the same address without it."""


class Deadlines(Struct, frozen=True, kw_only=True):
    """How long each phase of a call may take, in seconds."""

    connect: float = 10.0
    first_byte: float = 600.0
    """From the last byte sent to the first byte of the body."""
    idle: float = 300.0
    """Between two pieces of the answer."""
    total: float = 3600.0


class Outgoing(Struct, frozen=True, kw_only=True):
    """A request to a provider."""

    origin: Origin
    method: str = "POST"
    target: str
    """Path and query, encoded."""
    headers: Headers
    """All but `host` and `content-length`, which the client adds."""
    body: bytes
    deadlines: Deadlines


class Answer(Protocol):
    """A provider's answer whose head has arrived. Read it with `read` or `relay`, once; `close` gives it up."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Names in lower case; the last value of a repeated name."""
        ...

    async def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            Garbled: it is longer than `limit` bytes, or not HTTP.
            CutMidStream: the connection closed before its end.
            UpstreamTimedOut: the idle or the total deadline passed.
        """
        ...

    async def relay(self, feed: Callable[[bytes], None]) -> None:
        """Call `feed` with each piece of the body, as it arrives and without a task switch; return at its end.

        What `feed` raises ends the call and is raised here. Raises what `read` raises, but for the limit.
        """
        ...

    def pause(self) -> None:
        """Take no more bytes from the provider, until `resume`; deadlines stop meanwhile."""
        ...

    def resume(self) -> None:
        """Take bytes again."""
        ...

    def close(self) -> None:
        """Give the answer up; the connection is closed unless the body had ended. May be called twice."""
        ...


class Fetcher(Protocol):
    """Sends requests to providers."""

    async def fetch(self, outgoing: Outgoing, sent: Callable[[], None] | None = None) -> Answer:
        """Send `outgoing` and return the answer once its head is there.

        `sent` is called when the first byte is about to leave: from then on the provider may bill.

        Raises:
            ConnectFailed: no connection; nothing was sent.
            UpstreamTimedOut: `phase` is first byte or total.
            CutMidStream: the connection closed before the head was complete.
            Garbled: the head is not HTTP, or above its limits.
        Cancelling closes the connection.
        """
        ...
