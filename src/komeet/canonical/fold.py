"""From events to the answer that they tell."""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable, Sequence

from msgspec import Raw, structs

from komeet.canonical.event import (
    ArgumentsDelta,
    AudioDelta,
    CitationDelta,
    Event,
    ExtraDelta,
    Fail,
    Finish,
    PartEnd,
    PartStart,
    SealDelta,
    Start,
    TextDelta,
    UsageEvent,
)
from komeet.canonical.extras import Extras, join
from komeet.canonical.part import Audio, Citation, Inline, Part, Reasoning, Refusal, Seal, Text, ToolCall
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.usage import Usage
from komeet.core.errors import Garbled


class _Growing:
    """A part whose deltas are still coming."""

    __slots__ = ("citations", "data", "expires_at", "final", "part", "seals", "text")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.text: list[str] = []
        self.data: list[bytes] = []
        self.seals: list[Seal] = []
        self.citations: list[Citation] = []
        self.expires_at: int | None = None
        self.final: Part | None = None

    def take(self, event: TextDelta | ArgumentsDelta | AudioDelta | SealDelta | CitationDelta | PartEnd) -> None:
        match event:
            case TextDelta(text=text):
                self.text.append(text)
            case ArgumentsDelta(data=data):
                self.data.append(data)
            case AudioDelta(data=sound, transcript=transcript, expires_at=expires_at):
                if sound:
                    self.data.append(sound.encode("utf-8"))
                if transcript:
                    self.text.append(transcript)
                if expires_at is not None:
                    self.expires_at = expires_at
            case SealDelta(seal=seal):
                self.seals.append(seal)
            case CitationDelta(citation=citation):
                self.citations.append(citation)
            case PartEnd(final=final):
                self.final = final

    def done(self) -> Part:
        if self.final is not None:
            return self.final
        text = "".join(self.text)
        match self.part:
            case Text() as part:
                citations = (*part.citations, *self.citations)
                return structs.replace(part, text=part.text + text, citations=citations) if text or citations else part
            case Refusal() as part:
                return structs.replace(part, text=part.text + text) if text else part
            case Reasoning() as part:
                seals = [*([part.seal] if part.seal else []), *self.seals]
                seal = structs.replace(seals[-1], value=join([seal.value for seal in seals])) if seals else None
                return structs.replace(part, text=part.text + text, seal=seal)
            case ToolCall() as part:
                return structs.replace(part, arguments=part.arguments + b"".join(self.data)) if self.data else part
            case Audio(source=Inline(media_type=media_type, data=data)) as part:
                source = Inline(media_type, data + _base64(self.data))
                return structs.replace(
                    part,
                    source=source,
                    transcript=part.transcript + text,
                    expires_at=part.expires_at if self.expires_at is None else self.expires_at,
                )
            case part:
                return part


def _base64(pieces: Sequence[bytes]) -> str:
    """Join pieces of base64, each of which may be padded."""
    if len(pieces) == 1:
        return pieces[0].decode("ascii", "replace")
    try:
        return b64encode(b"".join([b64decode(piece, validate=True) for piece in pieces])).decode("ascii")
    except NotBase64 as error:
        raise Garbled("The provider's audio is not base64.") from error


class _Extras:
    """Extras whose pieces are still coming."""

    __slots__ = ("pieces",)

    def __init__(self, extras: Extras) -> None:
        self.pieces: dict[str, dict[str, list[Raw]]] = {
            origin: {name: [value] for name, value in members.items()} for origin, members in extras.items()
        }

    def add(self, origin: str, name: str, value: Raw) -> None:
        self.pieces.setdefault(origin, {}).setdefault(name, []).append(value)

    def done(self) -> Extras:
        return {
            origin: {name: join(values) for name, values in members.items()} for origin, members in self.pieces.items()
        }


class _Candidate:
    """A candidate whose parts are still coming."""

    __slots__ = ("extras", "native_stop", "parts", "stop", "stop_sequence")

    def __init__(self) -> None:
        self.parts: dict[int, _Growing] = {}
        self.extras = _Extras({})
        self.stop: StopReason | None = None
        self.native_stop = ""
        self.stop_sequence: str | None = None

    def done(self, index: int) -> Candidate:
        return Candidate(
            index=index,
            parts=tuple([self.parts[at].done() for at in sorted(self.parts)]),
            stop=self.stop,
            native_stop=self.native_stop,
            stop_sequence=self.stop_sequence,
            extras=self.extras.done(),
        )


class Folding:
    """An answer that is being put together, event by event."""

    __slots__ = ("candidates", "extras", "service_tier", "start", "usage")

    def __init__(self) -> None:
        self.start = Start()
        self.candidates: dict[int, _Candidate] = {}
        self.extras = _Extras({})
        self.usage: Usage | None = None
        self.service_tier: str | None = None

    def candidate(self, index: int) -> _Candidate:
        return self.candidates.setdefault(index, _Candidate())

    def part(self, candidate: int, index: int) -> _Growing:
        part = self.candidate(candidate).parts.get(index)
        if part is None:
            raise Garbled("The provider's stream adds to a part that never began.")
        return part

    def take(self, event: Event) -> None:
        match event:
            case Start():
                self.start = event
                self.service_tier = event.service_tier
                self.extras = _Extras(event.extras)
            case PartStart(candidate=candidate, index=index, part=part):
                self.candidate(candidate).parts[index] = _Growing(part)
            case TextDelta() | ArgumentsDelta() | AudioDelta() | SealDelta() | CitationDelta() | PartEnd():
                self.part(event.candidate, event.index).take(event)
            case ExtraDelta(candidate=candidate, origin=origin, name=name, value=value):
                extras = self.extras if candidate is None else self.candidate(candidate).extras
                extras.add(origin, name, value)
            case UsageEvent(usage=usage, service_tier=tier):
                self.usage = usage
                self.service_tier = tier or self.service_tier
            case Finish(candidate=index, stop=stop, native_stop=native_stop):
                candidate = self.candidate(index)
                candidate.stop, candidate.native_stop = stop, native_stop
                candidate.stop_sequence = event.stop_sequence
            case Fail(error=error):
                raise error

    def done(self) -> Response:
        return Response(
            id=self.start.id,
            model=self.start.model,
            created=self.start.created,
            candidates=tuple([self.candidates[index].done(index) for index in sorted(self.candidates)]),
            usage=self.usage,
            service_tier=self.service_tier,
            extras=self.extras.done(),
        )


def fold(events: Iterable[Event]) -> Response:
    """Return the whole answer that `events` tell, the same as if it had not been streamed.

    Raises:
        UpstreamError: the one that a Fail carries.
        Garbled: a delta belongs to no part, or audio is not base64.
    """
    state = Folding()
    for event in events:
        state.take(event)
    return state.done()
