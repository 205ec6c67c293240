"""The way of any call, whatever it is for."""

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from komeet.canonical.part import Inline
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import InternalError, KomeetError, UpstreamError
from komeet.wire.continued import Story
from komeet.wire.format import Caller, Edited, Envelope, Passed, Tap, Target
from komeet.wire.media.format import MediaFormat
from komeet.wire.media_way import MediaWay
from komeet.wire.single import (
    EmbeddingCaller,
    EmbeddingTarget,
    ModerationCaller,
    ModerationTarget,
    RerankCaller,
    RerankTarget,
    SingleCaller,
    SingleTarget,
)
from komeet.wire.single_way import SingleWay
from komeet.wire.way import Answered, Way

AnyCaller: TypeAlias = Caller | EmbeddingCaller | ModerationCaller | RerankCaller | MediaFormat
AnyTarget: TypeAlias = Target | EmbeddingTarget | ModerationTarget | RerankTarget | MediaFormat
Targets: TypeAlias = Mapping[str, AnyTarget]
"""Every format that providers speak, by name."""


class Answering(Protocol):
    """What the pipeline asks of a format in the provider's role; `wire.format` says what each promises."""

    @property
    def name(self) -> str: ...

    @property
    def stream_type(self) -> bytes: ...

    def path(self, model: str, *, stream: bool) -> str: ...

    def names_stream_options(self, body: bytes) -> bool: ...

    def parse_error(
        self, status: int, headers: Mapping[bytes, bytes], body: bytes, provider: str
    ) -> KomeetError | Passed: ...


class WayLike(Protocol):
    """What the pipeline asks of the way of a call; `wire.way` says what each promises."""

    @property
    def target(self) -> Answering: ...

    @property
    def envelope(self) -> Envelope: ...

    @property
    def identity(self) -> bool: ...

    @property
    def least_output(self) -> int: ...

    def request(self, *, model: str, profile: Profile, output_limit: int | None, ask_usage: bool) -> Edited: ...

    def urls(self) -> tuple[str, ...]: ...

    def inline(self, url: str, fetched: Inline) -> None: ...

    def streams(self, said: bytes) -> bool: ...

    def answer_type(self, said: bytes) -> bytes | None: ...

    def supplemented(self, usage: Usage) -> Usage: ...

    def tap(self, *, continuable: bool = False) -> Tap: ...

    def whole(self, body: bytes, *, streamed: bool) -> Answered | UpstreamError: ...


def way_between(  # noqa: PLR0913 - as `way.Way`
    caller: AnyCaller,
    target: AnyTarget,
    envelope: Envelope,
    *,
    id: str,  # noqa: A002 - the field is called that everywhere
    created: int,
    pass_through: bool = True,
    strict: bool = False,
    story: Story | None = None,
    effort: str | None = None,
) -> WayLike:
    """Return the way between two formats of one kind; arguments as those of `way.Way`.

    Raises:
        WireError: 400, the request has to be understood whole, and cannot be.
        InternalError: they are of different kinds.
    """
    if not isinstance(caller, SingleCaller | MediaFormat) and not isinstance(target, SingleTarget | MediaFormat):
        # First, since it is the usual case, and the looks below take longer than making the way does.
        return Way(
            caller,
            target,
            envelope,
            id=id,
            created=created,
            pass_through=pass_through,
            strict=strict,
            story=story,
            effort=effort,
        )
    match caller, target:
        case EmbeddingCaller(), EmbeddingTarget():
            return SingleWay(caller, target, envelope, pass_through=pass_through, strict=strict)
        case ModerationCaller(), ModerationTarget():
            return SingleWay(caller, target, envelope, pass_through=pass_through, strict=strict)
        case RerankCaller(), RerankTarget():
            return SingleWay(caller, target, envelope, pass_through=pass_through, strict=strict)
        case MediaFormat(), MediaFormat() if caller.name == target.name:
            return MediaWay(target, envelope)
        case _:
            raise InternalError(f"{caller.name} cannot be answered in {target.name}.")
