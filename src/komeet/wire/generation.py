"""What the formats of calls that generate have in common, unless one of them says otherwise."""

from komeet.wire.format import ID_HEADERS, Kind
from komeet.wire.framing import EVENT_STREAM, EventStream, Framing


class Generation:
    """Server-sent events, files and pictures that the provider fetches, usage that comes without being asked for."""

    __slots__ = ()

    kind: Kind = "generation"
    id_headers: tuple[bytes, ...] = ID_HEADERS
    takes_comments: bool = True
    stream_type: bytes = EVENT_STREAM
    least_output: int = 1
    fetches_files: bool = True
    fetches_images: bool = True

    def framing(self) -> Framing:
        """Return what cuts one stream into events."""
        return EventStream()

    def names_stream_options(self, body: bytes) -> bool:  # noqa: ARG002 - none is ever sent
        """Whether a refusal is about having been asked for usage: never."""
        return False
