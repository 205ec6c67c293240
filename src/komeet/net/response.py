"""Reads the answers of one connection to a provider out of its bytes. No I/O.

httptools parses; decided here: where an answer ends that has no length, interim answers, limits, and what disqualifies
the connection from being used again.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from komeet.core.errors import Garbled
from komeet.net.head import BODILESS

_BODILY: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Fields that an interim answer must not have (RFC 9110, 8.6; RFC 9112, 6.1)."""


class Sink(Protocol):
    """Takes one answer, in pieces."""

    def begun(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Take the head."""
        ...

    def piece(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        ...


class ResponseReader:
    """Hands each answer to the sink that expects it; what breaks it is returned by `feed`, never raised."""

    __slots__ = (
        "_body_to_eof", "_head_bytes", "_head_fields", "_head_only", "_headers", "_host", "_interim", "_keep_alive",
        "_parser", "_reading_head", "_sink", "_surplus", "_unfruitful", "complete", "in_body",
    )  # fmt: skip

    def __init__(self, host: str, head_bytes: int, head_fields: int) -> None:
        self.complete = True
        """Whether the answer that was expected has come whole."""
        self.in_body = False
        """Whether some of its body has come."""
        self._host: Final = host
        self._head_bytes: Final = head_bytes
        self._head_fields: Final = head_fields
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._sink: Sink | None = None
        self._head_only = False
        self._headers: dict[bytes, bytes] = {}
        self._interim = False
        self._keep_alive = False
        self._reading_head = False
        self._body_to_eof = False
        self._surplus = False
        self._unfruitful = 0

    def expect(self, sink: Sink, *, head_only: bool) -> None:
        """Hand the next answer to `sink`; it has no body if the request was HEAD."""
        self._sink = sink
        self._head_only = head_only
        self._headers = {}
        self._reading_head = True
        self._body_to_eof = False
        self._unfruitful = 0
        self.complete = self.in_body = False

    def feed(self, data: bytes) -> BaseException | None:
        """Read `data`; return what it broke on: Garbled, or what the sink raised."""
        parser = self._parser
        if parser is None:
            return None
        # Bytes since the request was sent, or since the last byte of the body: heads, chunk extensions, trailers.
        self._unfruitful += len(data)
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.complete:
                self._surplus = True
                return None
            if isinstance(error, HttpParserCallbackError) and error.__context__ is not None:
                return error.__context__
            reason = "it changes the protocol" if isinstance(error, HttpParserUpgrade) else error
            return Garbled(f"{self._host} did not answer in HTTP/1.1: {reason}.")
        if self._unfruitful > self._head_bytes and not self.complete:
            return self._too_large()
        return None

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on the connection; to be asked when `complete`."""
        return self._keep_alive and not self._surplus and not self._head_only

    def ends_with_eof(self) -> bool:
        """Return whether the end of the connection is the orderly end of the answer."""
        return self._body_to_eof

    def stop(self) -> None:
        """Hand over nothing more, and let go of the parser, which refers back to this object."""
        self._sink = None
        self._parser = None

    # What httptools calls. An error raised here comes out of `feed_data` as the context of HttpParserCallbackError.

    def on_message_begin(self) -> None:
        if self.complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading_head:
            self._headers[name.lower()] = value.rstrip()

    def on_headers_complete(self) -> None:
        parser, sink = self._parser, self._sink
        if self.complete or parser is None or sink is None:
            return
        status = parser.get_status_code()
        if status < 200:
            if status < 100 or not _BODILY.isdisjoint(self._headers):
                # The parser would give it a body, before there is an answer that it could be of.
                raise Garbled(f"{self._host} did not answer in HTTP/1.1.")
            self._interim = True
            self._headers = {}
            return
        headers = self._headers
        if parser.get_http_version() not in ("1.1", "1.0") or status > 599:
            raise Garbled(f"{self._host} did not answer in HTTP/1.1.")
        if self._unfruitful > self._head_bytes and self._head_size() > self._head_bytes:
            raise self._too_large()
        if len(headers) > self._head_fields:
            raise Garbled(f"{self._host} sent more than {self._head_fields} header fields.")
        coding = headers.get(b"content-encoding")
        if coding is not None and status < 300 and coding.lower() != b"identity":
            # What came with an error need not be understood; what was asked for must be.
            raise Garbled(f"{self._host} answered in a content coding that it was not asked for.")
        if self._head_only or status in BODILESS:
            self.complete = self._head_only
        elif (coding := headers.get(b"transfer-encoding")) is not None:
            if coding.lower() != b"chunked":
                raise Garbled(f"{self._host} answered in a transfer coding that it was not asked for.")
        else:
            self._body_to_eof = b"content-length" not in headers
        self._reading_head = False
        sink.begun(status, headers)

    def on_body(self, piece: bytes) -> None:
        self._unfruitful = 0
        self.in_body = True
        if self._sink is not None and not self.complete:
            self._sink.piece(piece)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self._parser is not None:
            self._keep_alive = self._parser.should_keep_alive()
            self.complete = True

    def _head_size(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self._headers.items())

    def _too_large(self) -> Garbled:
        what = "header section" if self._reading_head else "framing of the body"
        return Garbled(f"The {what} that {self._host} sent is above the limit of {self._head_bytes} bytes.")
