"""A socket's end that nothing is behind: what is written is kept, and what is closed is closed."""

import asyncio
from collections.abc import Iterable
from typing import Any


class Channel:
    """A socket whose options are set, and that does nothing."""

    def setsockopt(self, *_: object) -> None:
        """Take an option."""


class Wire(asyncio.Transport):
    """A transport that keeps what is written; the connection is lost when the test says so."""

    def __init__(self, peer: str = "10.1.2.3") -> None:
        super().__init__({"peername": (peer, 1), "socket": Channel()})
        self.out: list[bytes] = []
        self.closing = False
        self.aborted = False
        self.eof = False
        self.paused = False
        self.protocol: Any = None

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.eof, "written behind the end"
        if not self.closing:
            self.out.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol
