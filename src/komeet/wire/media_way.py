"""The way of a call about pictures or sound: bytes as they came, whatever they are."""

import re
from typing import Final

from msgspec.structs import replace

from komeet.canonical.part import Inline
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, UpstreamError
from komeet.wire.format import Edited, Envelope, Tap, Whole
from komeet.wire.media.format import MediaFormat
from komeet.wire.way import Answered

_MEDIA_TYPE: Final = re.compile(rb"[\x20-\x7e]{1,200}")
_BYTES: Final = b"application/octet-stream"


class MediaWay:
    """How one attempt goes through.

    Args:
        target: the format, which is the caller's too.
        envelope: the caller's request.
    """

    __slots__ = ("_profile", "_tap", "envelope", "target")

    least_output: int = 0
    """No output limit is sent."""
    identity: bool = True
    """Bytes always go through as they came."""

    def __init__(self, target: MediaFormat, envelope: Envelope) -> None:
        self.target: Final = target
        self.envelope: Final = envelope
        self._profile = Profile()
        self._tap: Tap | None = None

    def request(
        self,
        *,
        model: str,
        profile: Profile,
        output_limit: int | None,  # noqa: ARG002 - as of other ways
        ask_usage: bool,  # noqa: ARG002
    ) -> Edited:
        """Return the request as the provider gets it; `model` is what it calls the model."""
        self._profile = profile
        return self.target.edit(self.envelope, model)

    def urls(self) -> tuple[str, ...]:
        """Return the addresses of what is to be fetched: nothing is."""
        return ()

    def inline(self, url: str, fetched: Inline) -> None:
        """Put what was fetched in the place of its address: nothing was."""

    def streams(self, said: bytes) -> bool:
        """Whether an answer of this media type is forwarded as it comes."""
        return self.target.streams(self.envelope, said)

    def answer_type(self, said: bytes) -> bytes:
        """Return the media type of the caller's answer: the provider's."""
        return said if _MEDIA_TYPE.fullmatch(said) else _BYTES

    def supplemented(self, usage: Usage) -> Usage:
        """Return a count of ours, with what can be told of the answer that no tokens tell."""
        return self._billed(self.target.supplemented(self.envelope, usage, self._profile, self._tap))

    def tap(self, *, continuable: bool = False) -> Tap:  # noqa: ARG002 - nobody else can go on with it
        """Return what a stream is fed to."""
        self._tap = self.target.tap(self.envelope)
        return self._tap

    def whole(self, body: bytes, *, streamed: bool) -> Answered | UpstreamError:
        """Read an answer. An error that came with a success status is returned.

        Raises:
            Garbled: the bytes are not an answer of the format.
        """
        if streamed:
            raise Garbled("The provider answered with a stream, where none was asked for.")
        whole = self.target.read_whole(self.envelope, body)
        if isinstance(whole, UpstreamError):
            return whole
        return _AsItCame(whole, None if whole.usage is None else self._billed(whole.usage), body)

    def _billed(self, usage: Usage) -> Usage:
        """Return the usage with as much sound as is billed."""
        least = self._profile.least_audio_ms
        return replace(usage, audio_ms=least) if 0 < usage.audio_ms < least else usage


class _AsItCame:
    """An answer that goes out as it came."""

    __slots__ = ("_body", "_whole", "model", "service_tier", "usage")

    def __init__(self, whole: Whole, usage: Usage | None, body: bytes) -> None:
        self.usage = usage
        self.model = whole.model
        self.service_tier = whole.service_tier
        self._whole = whole
        self._body = body

    def output_text(self) -> str:
        """Return all that the model wrote, for counting tokens."""
        return self._whole.output_text()

    def render(self, usage: Usage | None) -> bytes:  # noqa: ARG002 - nothing is added to another's words
        """Return what the caller gets."""
        return self._body
