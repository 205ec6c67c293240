"""The lines above a body, written: status lines, header fields, the date. Nothing in them can break the framing."""

from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus

from komeet.core.clock import Clock
from komeet.core.errors import InternalError
from komeet.core.http import Headers

CLOSE = b"connection: close\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

BODILESS = frozenset({204, 304})
"""Statuses whose answers have no body, whatever their header fields say (RFC 9110, 6.4.1)."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def status_line(status: int) -> bytes:
    """Return the first line of an answer."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def field_lines(headers: Headers) -> bytes:
    """Return the header fields as lines, each with its line end.

    Raises:
        InternalError: a name or a value holds CR, LF or NUL, which would end its line early.
    """
    if not headers:
        return b""
    lines = b"\r\n".join([b": ".join(field) for field in headers]) + b"\r\n"
    count = len(headers)
    if lines.count(b"\n") != count or lines.count(b"\r") != count or b"\0" in lines:
        raise InternalError("The gateway could not write a header field.", detail="CR, LF or NUL in it")
    return lines


class DateLine:
    """The `date` field, written once per second."""

    __slots__ = ("_clock", "_line", "_second")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._line = b""

    def line(self) -> bytes:
        """Return the field for this second, with its line end (RFC 9110, 6.6.1)."""
        second = self._clock.unix_ms() // 1000
        if second != self._second:
            self._second = second
            date = format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True)
            self._line = f"date: {date}\r\n".encode()
        return self._line
