"""The PROXY protocol, versions 1 and 2: what a load balancer says before the caller's first byte. No I/O."""

from ipaddress import IPv4Address, IPv6Address
from typing import Final

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_START_1: Final = b"PROXY "
_LONGEST_1: Final = 107
_HEAD_2: Final = 16
_LONGEST_2: Final = 2048
"""Addresses take up to 216 bytes; what is behind them is read over."""
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_UNSPECIFIED: Final = frozenset({0x00, 0x31})
"""No address, or those of a local socket."""


class NotProxyProtocol(Exception):
    """The bytes are something else, or are not well formed."""


class Preamble:
    """Reads one preamble out of exactly as many bytes as it has: what follows belongs to somebody else."""

    __slots__ = ("_data", "client", "done")

    def __init__(self) -> None:
        self._data = b""
        self.client: str | None = None
        """Where the connection came from; None: the proxy speaks for itself, or does not know."""
        self.done = False

    @property
    def wanted(self) -> int:
        """How many bytes may be read now without reading too many."""
        data = self._data
        if len(data) < len(_SIGNATURE):
            return len(_SIGNATURE) - len(data)
        if data.startswith(_START_1):
            return 1  # its end is a line end, which may be the next byte
        if len(data) < _HEAD_2:
            return _HEAD_2 - len(data)
        return _HEAD_2 + self._length() - len(data)

    def feed(self, data: bytes) -> None:
        """Take up to `wanted` bytes; `done` says whether that was all.

        Raises:
            NotProxyProtocol: they are not those of a preamble.
        """
        assert len(data) <= self.wanted, "more bytes than were wanted"
        self._data += data
        whole = self._data
        if whole.startswith(_START_1):
            if whole.endswith(b"\r\n"):
                self.client = _version_1(whole)
                self.done = True
            elif len(whole) >= _LONGEST_1 or b"\n" in whole:
                raise NotProxyProtocol("a line of version 1 that does not end as it should")
        elif whole.startswith(_SIGNATURE):
            if len(whole) >= _HEAD_2:
                length = self._length()
                if length > _LONGEST_2:
                    raise NotProxyProtocol(f"a preamble of {length} bytes")
                if len(whole) == _HEAD_2 + length:
                    self.client = _version_2(whole)
                    self.done = True
        elif not (_SIGNATURE.startswith(whole) or _START_1.startswith(whole)):
            raise NotProxyProtocol("no preamble")

    def _length(self) -> int:
        return int.from_bytes(self._data[14:16], "big")


def _version_1(line: bytes) -> str | None:
    words = line[:-2].split(b" ")
    if words[1] == b"UNKNOWN":
        return None
    if len(words) != 6 or words[1] not in {b"TCP4", b"TCP6"}:
        raise NotProxyProtocol("a line of version 1 with other words")
    kind = IPv4Address if words[1] == b"TCP4" else IPv6Address
    try:
        source, _ = (kind(word.decode("ascii")) for word in words[2:4])
    except ValueError as error:
        raise NotProxyProtocol("an address that is none") from error
    if not all(word.isdigit() and len(word) <= 5 and int(word) < 1 << 16 for word in words[4:]):
        raise NotProxyProtocol("a port that is none")
    return str(source)


def _version_2(data: bytes) -> str | None:
    version, command, family = data[12] >> 4, data[12] & 0xF, data[13]
    if version != 2 or command > 1:
        raise NotProxyProtocol("a version or a command that is not known")
    if command == 0 or family in _UNSPECIFIED:
        return None
    addresses = data[_HEAD_2:]
    if family == _TCP4 and len(addresses) >= 12:
        return str(IPv4Address(addresses[:4]))
    if family == _TCP6 and len(addresses) >= 36:
        return str(IPv6Address(addresses[:16]))
    raise NotProxyProtocol("addresses of a family that is not known")
