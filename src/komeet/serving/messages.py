"""What a supervisor and its processes say to each other, and how it is written: a length, then MessagePack."""

import socket
import struct
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from komeet.console.status import Status
from komeet.telemetry.samples import Family

_LENGTH: Final = struct.Struct("!I")
_LONGEST: Final = 1 << 27
"""Bytes of one message: a thousand pairs of provider and model make three million."""

M = TypeVar("M")


class Orders(Struct, frozen=True, kw_only=True, tag=True):
    """The first message to a worker."""

    config: str
    """The text of the configuration file, so that all workers have the same one; "" where there is none."""
    data_dir: str
    session: str
    """The worker's name in the ledger: what it leaves open when it dies is told by it."""

    def __repr__(self) -> str:
        return f"Orders(data_dir={self.data_dir!r}, session={self.session!r}, config=***)"


class ControlOrders(Struct, frozen=True, kw_only=True, tag=True):
    """The first message to the control process: it gets nothing that is secret."""

    level: Literal["debug", "info", "warning", "error"]
    format: Literal["text", "json"]
    """Both of the log."""


class Retire(Struct, frozen=True, kw_only=True, tag=True):
    """There is a successor: take no new connections, and end when there are none left."""

    seconds: float
    """How long calls under way may still go on."""


class Located(Struct, frozen=True, kw_only=True, tag=True):
    """Where an embedded model answers."""

    number: int
    host: str
    port: int
    key: str

    def __repr__(self) -> str:
        return f"Located(number={self.number}, host={self.host!r}, port={self.port}, key=***)"


class NotLocated(Struct, frozen=True, kw_only=True, tag=True):
    """Why an embedded model does not answer."""

    number: int
    message: str
    retry_after: float | None


class Measure(Struct, frozen=True, kw_only=True, tag=True):
    """Say what you have counted."""

    number: int


class Sums(Struct, frozen=True, kw_only=True, tag=True):
    """What all workers have counted."""

    number: int
    text: bytes


class Standing(Struct, frozen=True, kw_only=True, tag=True):
    """How everything stands."""

    number: int
    status: Status


class Ready(Struct, frozen=True, kw_only=True, tag=True):
    """The worker takes connections."""

    example: str | None
    """A model that it can ask."""


class Failed(Struct, frozen=True, kw_only=True, tag=True):
    """The worker cannot start, and ends."""

    message: str


class Locate(Struct, frozen=True, kw_only=True, tag=True):
    """Where does an embedded model answer?"""

    number: int
    model: str


class Scrape(Struct, frozen=True, kw_only=True, tag=True):
    """What have all workers counted?"""

    number: int


class Look(Struct, frozen=True, kw_only=True, tag=True):
    """How does everything stand?"""

    number: int


class Measured(Struct, frozen=True, kw_only=True, tag=True):
    """What the worker has counted since its start."""

    number: int
    """Of the question; 0 for the last word of a worker that ends."""
    families: list[Family] = field(default_factory=list[Family])


ToWorker = Retire | Located | NotLocated | Measure | Sums
ToSupervisor = Ready | Failed | Locate | Scrape | Look | Measured


_TO_WORKER: Final = msgspec.msgpack.Decoder(ToWorker)
_TO_SUPERVISOR: Final = msgspec.msgpack.Decoder(ToSupervisor)
_TO_CONTROL: Final = msgspec.msgpack.Decoder(Standing)


def to_worker(body: bytes) -> ToWorker:
    """Read a message of the supervisor's; raises msgspec.DecodeError."""
    return _TO_WORKER.decode(body)


def to_supervisor(body: bytes) -> ToSupervisor:
    """Read a message of a worker's; raises msgspec.DecodeError."""
    return _TO_SUPERVISOR.decode(body)


def to_control(body: bytes) -> Standing:
    """Read a message to the control process; raises msgspec.DecodeError."""
    return _TO_CONTROL.decode(body)


class BadMessageError(Exception):
    """The other end does not speak as this module does."""


def packed(message: Struct) -> bytes:
    """Write a message with its length."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Finds the messages in the bytes of a connection, however they are cut."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete now; raises BadMessageError where a length cannot be one."""
        self._buffer += data
        found: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > _LONGEST:
                raise BadMessageError(f"a message of {length:,} bytes")
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            found.append(bytes(self._buffer[start + _LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return found


def read_first(line: socket.socket, kind: type[M]) -> M | None:
    """Wait for the first message on a blocking socket; None where the other end closes before.

    Raises:
        BadMessageError: it is another.
    """
    head = _exactly(line, _LENGTH.size)
    body = None if head is None else _exactly(line, _LENGTH.unpack(head)[0])
    if body is None:
        return None
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise BadMessageError(str(error)) from None


def _exactly(line: socket.socket, count: int) -> bytes | None:
    read = b""
    while len(read) < count:
        piece = line.recv(count - len(read))
        if not piece:
            return None
        read += piece
    return read
