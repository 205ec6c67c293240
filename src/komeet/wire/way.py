"""The way of one call between the caller's format and the provider's: bytes as they came, or through the hub."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from msgspec.structs import replace

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
from komeet.canonical.fold import fold
from komeet.canonical.loss import Loss
from komeet.canonical.part import File, Image, Inline, Part, Reasoning, Refusal, Text, ToolCall, ToolResult, Url
from komeet.canonical.request import Request
from komeet.canonical.response import Response
from komeet.canonical.unfold import unfold
from komeet.canonical.usage import Usage
from komeet.catalog.profile import Profile
from komeet.core.errors import Garbled, Unrepresentable, UpstreamError, WireError
from komeet.wire.continued import Story, asked_on
from komeet.wire.format import (
    Asked,
    Caller,
    Edited,
    Envelope,
    Passing,
    StreamParser,
    StreamRenderer,
    Tap,
    Target,
    Whole,
)
from komeet.wire.framing import EVENT_STREAM, Framing
from komeet.wire.readable import readable
from komeet.wire.restore import Restorer
from komeet.wire.sse import Event as Said


class Answered(Protocol):
    """A whole answer: metered, and ready to be written for the caller."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def model(self) -> str: ...

    @property
    def service_tier(self) -> str | None: ...

    def output_text(self) -> str:
        """Return all that the model wrote, for counting tokens."""
        ...

    def render(self, usage: Usage | None) -> bytes:
        """Return what the caller gets, in the form that it asked for; `usage` counts where the provider gave none."""
        ...


class Way:
    """How one attempt translates.

    Args:
        caller: the format of the caller.
        target: the format that the provider is asked in.
        envelope: the caller's request.
        id: of the call, for answers whose provider gives no id.
        created: Unix seconds, likewise.
        pass_through: whether the identity path may be taken.
        strict: whether a call that would lose anything is refused.
        story: what its caller has been told of the answer, where another attempt has begun it.
        effort: how much to reason where the caller does not say; None: as the model does by itself.

    Raises:
        WireError: 400, the request has to be understood whole, and cannot be.
    """

    __slots__ = ("_asked", "_caller", "_passing", "_story", "_strict", "envelope", "target")

    def __init__(  # noqa: PLR0913 - a way has that many properties
        self,
        caller: Caller,
        target: Target,
        envelope: Envelope,
        *,
        id: str,  # noqa: A002 - the field is called that everywhere
        created: int,
        pass_through: bool = True,
        strict: bool = False,
        story: Story | None = None,
        effort: str | None = None,
    ) -> None:
        self._caller = caller
        self.target = target
        self.envelope = envelope
        self._strict = strict
        like = caller.name == target.name and envelope.stream_type == EVENT_STREAM
        self._passing: Passing | None = target.passing if like and pass_through and not envelope.sealed else None
        if self._passing is None or effort is not None:
            request = caller.parse_request(envelope)
            if effort is not None and request.effort is None and request.thinking is None:
                request, self._passing = replace(request, effort=effort), None
        else:
            request = Request(model=envelope.model, turns=())
        if story is not None:
            request = asked_on(request, story.text)
        self._story = story
        self._asked = Asked(envelope=envelope, request=request, id=id, created=created)

    @property
    def identity(self) -> bool:
        """Whether bytes go through as they came."""
        return self._passing is not None

    def request(self, *, model: str, profile: Profile, output_limit: int | None, ask_usage: bool) -> Edited:
        """Return the request as the provider gets it.

        Args:
            model: what the provider calls the model.
            profile: what the model takes.
            output_limit: tokens; set only where the caller set no limit.
            ask_usage: whether the stream is asked to report usage.

        Raises:
            Unrepresentable: 422, content that the target cannot carry; under the strict policy, anything.
            WireError: 400, it asks for what the model cannot do.
        """
        if self._passing is not None:
            edited = self._passing.edit(
                self.envelope, model=model, profile=profile, output_limit=output_limit, ask_usage=ask_usage
            )
        else:
            request = self._asked.request
            limit = output_limit if request.output_limit is None else request.output_limit
            request = replace(request, model=model, output_limit=limit)
            edited = self.target.render_request(request, profile, ask_usage=ask_usage)
        if self._strict and edited.losses:
            raise not_kept(edited.losses[0])
        return edited

    @property
    def least_output(self) -> int:
        """The lowest output limit that is sent, in tokens, whatever the caller asks for."""
        return 1 if self.identity else self.target.least_output

    def urls(self) -> tuple[str, ...]:
        """Return the addresses of documents and pictures that providers of the target do not fetch themselves."""
        parts = [part for turn in self._asked.request.turns for part in _inside(turn.parts)]
        fetched = [part for part in parts if isinstance(part, File) and not self.target.fetches_files]
        seen = [part for part in parts if isinstance(part, Image) and not self.target.fetches_images]
        sources = [part.source for part in (*fetched, *seen)]
        return tuple({source.url: None for source in sources if isinstance(source, Url) and _on_the_web(source.url)})

    def inline(self, url: str, fetched: Inline) -> None:
        """Put what was fetched in the place of its address."""
        request = self._asked.request
        turns = tuple([replace(turn, parts=_inlined(turn.parts, url, fetched)) for turn in request.turns])
        self._asked = replace(self._asked, request=replace(request, turns=turns))

    def streams(self, said: bytes) -> bool:
        """Whether an answer of this media type is a stream of the provider's format."""
        return said.startswith(self.target.stream_type)

    def answer_type(self, said: bytes) -> bytes | None:  # noqa: ARG002 - as of other ways
        """Return the media type of the caller's answer, where that is the provider's; None: the caller's format's."""
        return None

    def supplemented(self, usage: Usage) -> Usage:
        """Return a count of ours, with what can be told of the answer that no tokens tell: nothing."""
        return usage

    def tap(self, *, continuable: bool = False) -> Tap:
        """Return what a stream is fed to; `continuable`: another may have to end what this one begins."""
        if self._passing is not None:
            return self._passing.tap(include_usage=self.envelope.include_usage)
        story = self._story
        if story is not None:
            story.go_on()
        elif continuable:
            story = Story(self._caller.stream_renderer(self._asked))
        renderer = story or self._caller.stream_renderer(self._asked)
        return HubTap(self.target.framing(), self.target.stream_parser(), renderer, self._restorer())

    def whole(self, body: bytes, *, streamed: bool) -> Answered | UpstreamError:
        """Read an answer that came whole, or a stream for a caller that asked for a whole answer.

        An error that came with a success status is returned.

        Raises:
            Garbled: the bytes are not an answer of the provider's format.
            UpstreamError: the stream broke off, or carries an error.
        """
        if self._passing is not None and not streamed and not self.envelope.stream:
            whole = self._passing.read_whole(body)
            return whole if isinstance(whole, UpstreamError) else _AsItCame(whole, body)
        try:
            response = read_answer(self.target, body, streamed=streamed)
        except UpstreamError as error:
            if streamed or isinstance(error, Garbled):
                raise  # after a piece of an answer, an error is no refusal: it may have cost something
            return error
        return _Translated(self._caller, self._known(), response, self._restorer())

    def _restorer(self) -> Restorer:
        return Restorer(self._asked.request)

    def _known(self) -> Asked:
        """Return the call with its request read, if it can be: an answer that is there is not lost for want of it."""
        if self.identity:
            try:
                return replace(self._asked, request=self._caller.parse_request(self.envelope))
            except WireError:
                pass
        return self._asked


def read_answer(target: Target, body: bytes, *, streamed: bool) -> Response:
    """Return the answer that is in a body of a format, or in a whole stream of it.

    Raises:
        Garbled: the bytes are not an answer of that format.
        UpstreamError: the stream broke off, or carries an error.
    """
    return fold(_streamed(target, body)) if streamed else target.parse_response(readable(body))


def _streamed(target: Target, stream: bytes) -> Iterable[Event]:
    parser, framing = target.stream_parser(), target.framing()
    for said in [*framing.feed(stream), *framing.rest()]:
        yield from parser.feed(_legible(said))
    yield from parser.end()


def _on_the_web(url: str) -> bool:
    """Whether an address is one that anybody can fetch, and not a provider's own (`gs://`)."""
    return url.lower().startswith(("https://", "http://"))


def _inside(parts: tuple[Part, ...]) -> Iterable[Part]:
    """Yield the parts, and those inside of what tools answered."""
    for part in parts:
        if isinstance(part, ToolResult):
            yield from part.parts
        else:
            yield part


def _inlined(parts: tuple[Part, ...], url: str, fetched: Inline) -> tuple[Part, ...]:
    return tuple([_filled(part, url, fetched) for part in parts])


def _filled(part: Part, url: str, fetched: Inline) -> Part:
    match part:
        case File(source=Url(url=named)) if named == url:
            name = url.partition("?")[0].rpartition("/")[2]
            return replace(part, source=fetched, filename=part.filename or name)
        case Image(source=Url(url=named)) if named == url:
            return replace(part, source=fetched)
        case ToolResult(parts=parts):
            return replace(part, parts=_inlined(parts, url, fetched))
        case _:
            return part


def not_kept(loss: Loss) -> Unrepresentable:
    """Return the refusal of a call that would lose something, where the policy is to refuse such calls."""
    return Unrepresentable(
        f"{loss.path} cannot be kept ({loss.reason}), and this gateway is set to refuse what it cannot keep.",
        param=loss.path,
    )


class _AsItCame:
    """An answer that goes out as it came."""

    __slots__ = ("_body", "_whole")

    def __init__(self, whole: Whole, body: bytes) -> None:
        self._whole = whole
        self._body = body

    @property
    def usage(self) -> Usage | None:
        return self._whole.usage

    @property
    def model(self) -> str:
        return self._whole.model

    @property
    def service_tier(self) -> str | None:
        return self._whole.service_tier

    def output_text(self) -> str:
        return self._whole.output_text()

    def render(self, usage: Usage | None) -> bytes:  # noqa: ARG002 - nothing is added to another's words
        return self._body


class _Translated:
    """An answer in the neutral model."""

    __slots__ = ("_asked", "_caller", "_response", "_restorer")

    def __init__(self, caller: Caller, asked: Asked, response: Response, restorer: Restorer) -> None:
        self._caller = caller
        self._asked = asked
        self._response = response
        self._restorer = restorer

    @property
    def usage(self) -> Usage | None:
        return self._response.usage

    @property
    def model(self) -> str:
        return self._response.model

    @property
    def service_tier(self) -> str | None:
        return self._response.service_tier

    def output_text(self) -> str:
        return "".join([_written(part) for candidate in self._response.candidates for part in candidate.parts])

    def render(self, usage: Usage | None) -> bytes:
        response = self._response if self._response.usage is not None else replace(self._response, usage=usage)
        events = [told for event in unfold(response) for told in self._restorer.feed(event)]
        if self._asked.envelope.stream:
            renderer = self._caller.stream_renderer(self._asked)
            return b"".join([renderer.feed(event) for event in events]) + renderer.end()
        return self._caller.render_response(fold(events), self._asked)


def _written(part: Part) -> str:
    match part:
        case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
            return text
        case ToolCall(name=name, arguments=arguments):
            return name + arguments.decode("utf-8", "replace")
        case _:
            return ""


class HubTap:
    """Translates a stream event by event, and meters it on the way."""

    __slots__ = (
        "_framing",
        "_garbled",
        "_parser",
        "_pieces",
        "_renderer",
        "_restorer",
        "_unmetered",
        "_unsent",
        "done",
        "error",
        "first_content",
        "model",
        "service_tier",
        "story",
        "usage",
    )

    def __init__(self, framing: Framing, parser: StreamParser, renderer: StreamRenderer, restorer: Restorer) -> None:
        self._framing = framing
        self._parser = parser
        self._renderer = renderer
        self.story = renderer if isinstance(renderer, Story) else None
        """Set where another may end what this one begins: an error is told by `fail` only, when it is the end."""
        self._restorer = None if restorer.idle else restorer
        self._pieces: list[str] = []
        self._unmetered = False
        self._garbled = False
        self._unsent = b""
        """What was written before the message that `feed` raised on: what is written next goes on from there."""
        self.usage: Usage | None = None
        self.model = ""
        self.service_tier: str | None = None
        self.first_content = False
        self.done = False
        self.error: UpstreamError | None = None

    def feed(self, data: bytes) -> bytes:
        """Return what the caller is told; raises Garbled where the bytes are not a stream of the provider's format."""
        out: list[bytes] = []
        try:
            for said in self._framing.feed(data):
                out.append(self._said(said))  # noqa: PERF401 - what was written before an error is kept
        except Garbled:
            self._garbled = True
            self._unsent = b"".join(out)
            raise
        return out[0] if len(out) == 1 else b"".join(out)

    def estimated(self, usage: Usage) -> None:
        """Take a count of ours, where the provider gave none: the caller's format asks for one."""
        self.usage = usage
        self._unmetered = False
        self._renderer.feed(UsageEvent(usage=usage))

    def end(self) -> tuple[bytes, bool]:
        """Return what ends the stream, and whether the answer was complete."""
        out = self._unsent
        if self._garbled and not self.done:
            self._forget_early_usage()
            return out, False
        if self.error is None and not self._garbled:
            with suppress(Garbled):
                out = b"".join([self._said(said) for said in self._framing.rest()])
        if self.error is not None:
            return out, False
        last = self._parser.end()
        if any(isinstance(event, Fail) for event in last):
            self.done = False
            self._forget_early_usage()
            return out, False
        try:
            out += b"".join([self._told(event) for event in last])
        except Garbled:
            self._forget_early_usage()
            return out, False
        self.done = True
        return out + self._renderer.end(), True

    def fail(self, error: UpstreamError) -> bytes:
        """Return what tells the caller that the stream broke; only after `end`, and nothing may follow."""
        return self._renderer.feed(Fail(error=error)) + self._renderer.end()

    def output_text(self) -> str:
        """Return all that the model wrote, for counting tokens."""
        return "".join(self._pieces)

    def _forget_early_usage(self) -> None:
        if self._unmetered:
            self.usage = None  # it was reported before what was written last: it is not the usage of that

    def _said(self, said: Said) -> bytes:
        if self.error is not None:
            return b""
        return b"".join([self._told(event) for event in self._parser.feed(_legible(said))])

    def _told(self, event: Event) -> bytes:
        self._meter(event)
        if self.story is not None and isinstance(event, Fail):
            return b""
        if self._restorer is None:
            return self._renderer.feed(event)
        return b"".join([self._renderer.feed(told) for told in self._restorer.feed(event)])

    def _meter(self, event: Event) -> None:
        match event:
            case Start(model=model, service_tier=tier):
                self.model = model or self.model
                self.service_tier = tier or self.service_tier
            case PartStart(part=part):
                self._wrote(_written(part))
            case TextDelta(text=text):
                self._wrote(text)
            case ArgumentsDelta(data=data):
                self._wrote(data.decode("utf-8", "replace"))
            case AudioDelta(transcript=transcript):
                self._wrote(transcript)
            case UsageEvent(usage=usage, service_tier=tier):
                self.usage = usage
                self.service_tier = tier or self.service_tier
                self._unmetered = False
            case Finish():
                self.done = True
            case Fail(error=error):
                self.error = error
            case SealDelta() | CitationDelta() | PartEnd() | ExtraDelta():
                pass

    def _wrote(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self.first_content = self._unmetered = True


def _legible(said: Said) -> Said:
    data = readable(said.data)
    return said if data is said.data else replace(said, data=data)
