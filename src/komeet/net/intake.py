"""Reads requests out of the bytes of one connection: framing, limits and refusals. No I/O.

httptools parses; what it leaves open is decided here: `host`, codings, versions, repeated fields, sizes, upgrades.
"""

from collections import deque
from enum import Enum
from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser
from msgspec import Struct

from komeet.core.clock import Clock
from komeet.core.errors import (
    BodyTooLarge,
    ExpectationFailed,
    HeadersTooLarge,
    KomeetError,
    NotSupported,
    RequestTimeout,
    UnsupportedCoding,
    VersionNotSupported,
    WireError,
)
from komeet.core.http import HttpRequest
from komeet.net.forwarded import ClientOf
from komeet.net.limits import ServerLimits

_SINGLE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization", b"x-api-key", b"expect"}
)
"""Fields of which two would let two readers see two different requests."""

_LISTS = frozenset({b"forwarded", b"x-forwarded-for", b"connection"})
"""Fields of which several are one list (RFC 9110, 5.3), and are read here as one."""

_HOST_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=:[]"
"""What a host and a port may consist of (RFC 3986, 3.2.2)."""

_UPGRADE_FIELDS = frozenset({b"connection", b"upgrade", b"http2-settings"})

_OTHER_VERSION = frozenset({"Invalid HTTP version", "Pause on PRI/Upgrade"})
"""What the parser says of a version, or of HTTP/2's first bytes."""

_ONLY_1X = "Only HTTP/1.1 and HTTP/1.0 are spoken here."


_MUCH: Final = 64 * 1024
"""Bytes of a body from which on it is worth to look at its head first."""


class Phase(Enum):
    """Where in a request the connection is."""

    BETWEEN = 0
    HEAD = 1
    BODY = 2


class Arrival(Struct, frozen=True):
    """A request that is complete, and how its connection goes on."""

    request: HttpRequest
    keep_alive: bool
    """Whether another request may follow."""
    http11: bool
    """Whether the caller takes chunked answers."""


class _Over(Exception):
    """Stops the parser after the last request of a connection."""


class Intake:
    """Turns bytes, split anywhere, into `ready`: requests in order, and at most one refusal, which is the last."""

    __slots__ = (
        "_announced", "_arrived", "_body", "_client_of", "_clock", "_fields", "_headers", "_http11", "_keep_alive",
        "_limits", "_over", "_parser", "_path", "_peer", "_query", "_repeated", "_repeats", "_since", "_size",
        "_target", "_unfruitful", "_upgrading", "expects", "phase", "ready",
    )  # fmt: skip

    def __init__(self, limits: ServerLimits, clock: Clock, peer: str, client_of: ClientOf | None = None) -> None:
        self.ready: deque[Arrival | KomeetError] = deque()
        self.phase = Phase.BETWEEN
        self.expects = False
        """Whether the caller waits for `100 Continue` before it sends the body."""
        self._limits: Final = limits
        self._clock: Final = clock
        self._peer: Final = peer
        self._client_of: Final = client_of
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._over = False
        self._upgrading = False
        self._size = 0
        self._announced = False
        self._unfruitful = 0
        self._since: float | None = None
        self._arrived = 0.0
        self._target = b""
        self._path = ""
        self._query = b""
        self._fields: dict[bytes, bytes] = {}
        self._headers = self._fields
        self._repeats = 0
        self._repeated = 0
        self._body: bytes | bytearray = b""
        self._keep_alive = False
        self._http11 = False

    def feed(self, data: bytes | memoryview) -> None:
        """Read `data`; what it completes is in `ready`. Keep pieces small: one may complete many requests."""
        parser = self._parser
        if parser is None or self._over:
            return
        self._size = len(data)
        # Bytes since the request began, or since the last byte of its body: more than its share of the limit means an
        # endless field, chunk extension or trailer. A piece may begin before that, so this may be one piece too many.
        self._unfruitful += self._size
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            offset: int = upgrade.args[0]
        except HttpParserError as error:
            self._failed(error)
            return
        else:
            if self.phase is not Phase.BETWEEN:
                if self._unfruitful > self._limits.header_bytes + self._size:
                    self._refuse(self._too_large())
                elif self._since is None:
                    self._since = self._clock.monotonic()
            return
        # Out here: an error that is raised while another is handled has that one for its context.
        self._ignore_upgrade(data, offset)

    def overdue(self, now: float) -> RequestTimeout | None:
        """Return the refusal of a request that takes too long to arrive, at `now` monotonic seconds."""
        if self.phase is Phase.BETWEEN or self._since is None:
            return None
        limits = self._limits
        taken = now - self._since
        if self.phase is Phase.HEAD:
            if taken <= limits.header_seconds:
                return None
            return RequestTimeout(f"The header section did not arrive within {limits.header_seconds:g} s.")
        if taken <= limits.body_seconds + len(self._body) / limits.body_rate:
            return None
        return RequestTimeout(
            f"The body arrived too slowly: {len(self._body)} bytes in {taken:.1f} s. Send at least "
            f"{limits.body_rate} bytes per second after the first {limits.body_seconds:g} s."
        )

    def announced(self) -> HttpRequest | None:
        """Return, once, the head of a request whose body is on its way and would be much to read, or waits to be sent.

        None for others: to read the rest of them costs less than to look at them twice.
        """
        parser = self._parser
        if self.phase is not Phase.BODY or self._announced or parser is None:
            return None
        self._announced = True
        if not self.expects and int(self._headers.get(b"content-length", _MUCH)) < _MUCH:
            return None
        return self._request(parser, b"")

    def resume(self, now: float) -> None:
        """Begin the deadline of a half-read request again: the connection was not read meanwhile."""
        self._since = now

    def stop(self) -> None:
        """Read nothing more; also lets go of the parser, which refers back to this object."""
        self._over = True
        self._parser = None
        self.phase = Phase.BETWEEN
        self.expects = False

    # What httptools calls. An error raised here comes out of `feed_data` as the context of HttpParserCallbackError.

    def on_message_begin(self) -> None:
        if self._over:
            raise _Over
        self._unfruitful = self._size
        self._since = self._arrived = self._clock.monotonic()
        self._target = b""
        self._fields = {}
        self._repeats = self._repeated = 0
        self._body = b""
        self.phase = Phase.HEAD

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        fields = self._fields
        if name in fields:
            if name in _SINGLE:
                raise WireError(f"The header field {name.decode('latin-1')} is there twice: send it once.")
            self._repeats += 1
            self._repeated += len(name) + 4
            if name in _LISTS:
                value = fields[name] + b", " + value
            else:
                self._repeated += len(fields[name])
        fields[name] = value.rstrip()

    def on_headers_complete(self) -> None:
        parser, limits = self._parser, self._limits
        assert parser is not None
        self._headers = headers = self._fields
        if self._unfruitful > limits.header_bytes or len(headers) + self._repeats > limits.header_count:
            self._check_head_size()
        version = parser.get_http_version()
        self._http11 = version == "1.1"
        if self._http11:
            host = headers.get(b"host")
            if host is None:
                raise WireError("The header field host is missing.")
            if host.translate(None, _HOST_BYTES):
                raise WireError("The header field host is not a host name with an optional port.")
        elif version != "1.0":
            raise VersionNotSupported(_ONLY_1X)
        if b"transfer-encoding" in headers:
            self._check_coding(headers[b"transfer-encoding"])
        elif (length := headers.get(b"content-length")) is not None and int(length) > limits.body_bytes:
            raise self._body_too_large()
        self._split_target()
        if b"content-encoding" in headers:
            self._check_compression(headers[b"content-encoding"])
        if b"expect" in headers and self._http11:
            self._check_expectation(headers[b"expect"])
        # HTTP/1.0 may ask to stay; nobody who still speaks it needs to.
        self._keep_alive = self._http11 and parser.should_keep_alive()
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise NotSupported("CONNECT is not supported: this is not a forward proxy.")
            self._upgrading = True
        self._unfruitful = self._size
        self._since = None
        self._announced = False
        self.phase = Phase.BODY

    def on_body(self, piece: bytes) -> None:
        self._unfruitful = 0
        body = self._body
        if not body:
            self._body = body = piece
        elif isinstance(body, bytearray):
            body += piece
        else:
            self._body = body = bytearray(body)
            body += piece
        if len(body) > self._limits.body_bytes:
            raise self._body_too_large()

    def on_message_complete(self) -> None:
        parser = self._parser
        if self._upgrading or parser is None:
            return
        body = self._body
        request = self._request(parser, body if isinstance(body, bytes) else bytes(body))
        self.ready.append(Arrival(request, self._keep_alive, self._http11))
        self._body = b""
        self.expects = False
        self.phase = Phase.BETWEEN
        self._over = not self._keep_alive

    def _request(self, parser: HttpRequestParser, body: bytes) -> HttpRequest:
        return HttpRequest(
            method=parser.get_method().decode("ascii"),
            path=self._path,
            query=self._query,
            headers=self._headers,
            body=body,
            arrived=self._arrived,
            peer=self._peer if self._client_of is None else self._client_of(self._headers),
        )

    def _check_head_size(self) -> None:
        limits = self._limits
        count = len(self._headers) + self._repeats
        if count > limits.header_count:
            raise HeadersTooLarge(f"The request has {count} header fields; the limit is {limits.header_count}.")
        size = sum(len(name) + len(value) + 4 for name, value in self._headers.items())
        if len(self._target) + self._repeated + size > limits.header_bytes:
            raise self._too_large()

    def _check_coding(self, coding: bytes) -> None:
        if not self._http11:
            raise WireError("HTTP/1.0 has no transfer-encoding: send content-length.")
        if coding.lower() != b"chunked":
            raise NotSupported("The only transfer-encoding supported here is chunked.")
        self._fields = {}  # trailers come through on_header too: they end here, unread

    def _check_compression(self, coding: bytes) -> None:
        if coding.lower() not in {b"", b"identity"}:
            raise UnsupportedCoding("Compressed bodies are not taken: send it without content-encoding.")

    def _check_expectation(self, expected: bytes) -> None:
        if expected.lower() != b"100-continue":
            raise ExpectationFailed("The only expectation that can be met is 100-continue.")
        self.expects = True

    def _split_target(self) -> None:
        target = self._target
        if b"#" in target:
            raise WireError("The request target holds a fragment (#): percent-encode it.")
        if target[:1] != b"/" and b"://" in target[:8]:
            rest = target.partition(b"://")[2]
            authority = rest.partition(b"?")[0].partition(b"/")[0]
            target = rest[len(authority) :]
            if target[:1] != b"/":
                target = b"/" + target
        path, _, self._query = target.partition(b"?")
        self._path = path.decode("latin-1")

    def _ignore_upgrade(self, data: bytes | memoryview, offset: int) -> None:
        """Go on in HTTP/1.1, as RFC 9110 (7.8) allows: the parser would take the body for another protocol's bytes."""
        parser, headers = self._parser, self._headers
        assert parser is not None
        lines = [parser.get_method(), b" ", self._target, b" HTTP/1.1\r\n" if self._http11 else b" HTTP/1.0\r\n"]
        for name, value in headers.items():
            if name not in _UPGRADE_FIELDS:
                lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n" if parser.should_keep_alive() else b"connection: close\r\n\r\n")
        self._upgrading = False
        self._parser = HttpRequestParser(self)
        self.feed(b"".join(lines))
        self.feed(data[offset:])

    def _failed(self, error: HttpParserError) -> None:
        cause = error.__context__ if isinstance(error, HttpParserCallbackError) else None
        if self._over:
            return  # what follows the last request of a connection is nobody's
        if isinstance(cause, KomeetError):
            self._refuse(cause)
        elif cause is not None:
            raise cause  # a mistake of ours
        elif str(error) in _OTHER_VERSION:
            self._refuse(VersionNotSupported(_ONLY_1X))
        else:
            self._refuse(WireError(f"The request is not valid HTTP/1.1: {error}."))

    def _refuse(self, error: KomeetError) -> None:
        self.stop()
        self.ready.append(error)

    def _too_large(self) -> HeadersTooLarge:
        return HeadersTooLarge(f"The header section is above the limit of {self._limits.header_bytes} bytes.")

    def _body_too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body is above the limit of {self._limits.body_bytes} bytes.")
