"""From a whole answer to events that tell it."""

from collections.abc import Iterator

from komeet.canonical.event import Event, ExtraDelta, Finish, PartEnd, PartStart, Start, UsageEvent
from komeet.canonical.response import Response


def unfold(response: Response) -> Iterator[Event]:
    """Tell `response` as if it had been streamed, each part in one piece; `fold` makes the same of it again."""
    yield Start(
        id=response.id,
        model=response.model,
        created=response.created,
        service_tier=response.service_tier,
        extras=response.extras,
    )
    for candidate in response.candidates:
        for index, part in enumerate(candidate.parts):
            yield PartStart(candidate=candidate.index, index=index, part=part)
            yield PartEnd(candidate=candidate.index, index=index)
        for origin, members in candidate.extras.items():
            for name, value in members.items():
                yield ExtraDelta(candidate=candidate.index, origin=origin, name=name, value=value)
        if candidate.stop is not None:
            yield Finish(
                candidate=candidate.index,
                stop=candidate.stop,
                native_stop=candidate.native_stop,
                stop_sequence=candidate.stop_sequence,
            )
    if response.usage is not None:
        yield UsageEvent(usage=response.usage)
