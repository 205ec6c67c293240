"""The way back to one caller, written on a transport."""

import socket
import struct
from asyncio import Transport
from collections.abc import Callable
from enum import Enum

from komeet.core.http import Headers
from komeet.net.head import BODILESS, CHUNKED, CLOSE, DateLine, field_lines, status_line

_JOIN_BELOW = 64 * 1024
"""Up to here, bytes are copied behind their head and leave in one segment; more are not copied."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing resets the connection."""


class _Form(Enum):
    """How the body is framed, and how far the reply is."""

    UNSENT = 0
    CHUNKED = 1
    TO_THE_CLOSE = 2
    NO_BODY = 3
    DONE = 4


def whole_answer(status: int, date: bytes, headers: Headers, length: int, *, closes: bool) -> bytes:
    """Return the head of an answer with a body of `length` bytes."""
    return b"".join(
        (
            status_line(status),
            date,
            b"" if status in BODILESS else b"content-length: %d\r\n" % length,
            CLOSE if closes else b"",
            field_lines(headers),
            b"\r\n",
        )
    )


class HttpReply:
    """Implements `komeet.core.http.Reply`. What is written after the caller has gone goes nowhere."""

    __slots__ = (
        "_date", "_filler", "_form", "_head_only", "_http11", "_pause", "_paused", "_resume", "_transport", "closes",
        "out", "sent", "started",
    )  # fmt: skip

    def __init__(
        self, transport: Transport, date: DateLine, *, head_only: bool, http11: bool, closes: bool, paused: bool
    ) -> None:
        self.started = False
        self.sent = 0
        self.out = 0
        """Bytes handed to the transport, head and framing with them."""
        self.closes = closes
        """Whether the connection ends with this reply; may be set while the reply is under way."""
        self._transport = transport
        self._date = date
        self._head_only = head_only
        self._http11 = http11
        self._form = _Form.UNSENT
        self._filler = b""
        self._paused = paused
        self._pause: Callable[[], None] | None = None
        self._resume: Callable[[], None] | None = None

    @property
    def finished(self) -> bool:
        """Whether the answer is complete, or was given up."""
        return self._form is _Form.DONE

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        assert self._form is _Form.UNSENT, "whole: the reply has begun"
        head = whole_answer(status, self._date.line(), headers, len(body), closes=self.closes)
        self.started = True
        transport = self._transport
        if not transport.is_closing():
            self.out = len(head)
            if self._head_only or status in BODILESS:
                transport.write(head)
            elif len(body) <= _JOIN_BELOW:
                transport.write(head + body)
                self.sent = len(body)
            else:
                transport.writelines((head, body))
                self.sent = len(body)
            self.out += self.sent
        self._finish()

    def begin(self, status: int, headers: Headers, *, filler: bytes = b"") -> None:
        assert self._form is _Form.UNSENT, "begin: the reply has begun"
        bodiless = self._head_only or status in BODILESS
        if self._http11:
            form, framing = _Form.CHUNKED, CHUNKED
        else:
            form, framing, self.closes = _Form.TO_THE_CLOSE, b"", True
        lines = (
            status_line(status),
            self._date.line(),
            b"" if status in BODILESS else framing,
            CLOSE if self.closes else b"",
            field_lines(headers),
            b"\r\n",
        )
        self._form = _Form.NO_BODY if bodiless else form
        self.started = True
        self._filler = b"" if bodiless else filler
        if not self._transport.is_closing():
            head = b"".join(lines)
            self.out = len(head)
            self._transport.write(head)

    def write(self, data: bytes) -> None:
        if not data or self._transport.is_closing():
            return
        if self._form is _Form.NO_BODY:
            return
        self.sent += len(data)
        self._put(data)

    def fill(self) -> bool:
        """Send the filler, if the answer has one and is under way; return whether it was sent."""
        if not self._filler or self._form is _Form.DONE or self._transport.is_closing():
            return False
        self._put(self._filler)
        return True

    def end(self) -> None:
        form = self._form
        assert form not in (_Form.UNSENT, _Form.DONE), "end: the reply has not begun, or has ended"
        if form is _Form.CHUNKED and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")
        self._finish()

    def abort(self) -> None:
        form, self._form = self._form, _Form.DONE
        transport = self._transport
        if form is _Form.DONE or transport.is_closing():
            return
        if form is _Form.CHUNKED:
            transport.close()  # what was written still arrives; without the last chunk it is not whole
            return
        if form is _Form.TO_THE_CLOSE:
            # Here an orderly close would say that the body is complete. TLS has an end of its own, which is not sent.
            channel: socket.socket = transport.get_extra_info("socket")
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    def on_flow(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause, self._resume = pause, resume
        if self._paused:
            pause()

    def flow(self, *, paused: bool) -> None:
        """Tell the handler that the caller has fallen behind, or has caught up."""
        self._paused = paused
        call = self._pause if paused else self._resume
        if call is not None and self._form is not _Form.DONE:
            call()

    def _put(self, data: bytes) -> None:
        size = len(data)
        if self._form is _Form.CHUNKED:
            if size <= _JOIN_BELOW:
                data = b"%x\r\n%b\r\n" % (size, data)
                self.out += len(data)
                self._transport.write(data)
            else:
                self.out += size
                self._transport.writelines((b"%x\r\n" % size, data, b"\r\n"))
        else:
            assert self._form is _Form.TO_THE_CLOSE, "write: the reply has not begun, or has ended"
            self.out += size
            self._transport.write(data)

    def _finish(self) -> None:
        self._form = _Form.DONE
        if self.closes:
            self._transport.close()
