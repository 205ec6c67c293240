"""What providers answer, in each of their formats: whole, streamed and refused, and told to callers of any format."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

from tests.fuzz.answers import refusals, starts_of
from tests.fuzz.callers import CALLERS, PROVIDERS, check_stream_error
from tests.fuzz.framing import in_frames_of_events
from tests.fuzz.singles import check_usage
from tests.fuzz.target import (
    CUTS,
    Options,
    Target,
    bounded,
    check_error,
    check_refusal,
    events,
    parted,
    pieces,
    read_json,
)
from tests.wire.matrix.outcome import target_of

from komeet.canonical.usage import Usage
from komeet.core.errors import Blame, CutMidStream, UpstreamError
from komeet.wire.format import Caller, Envelope, Passed, Where
from komeet.wire.format import Target as Provider
from komeet.wire.readable import readable
from komeet.wire.way import HubTap, Way

_SCHEMA: Final = b'{"type":"object","properties":{"a":{"type":"string"}}}'
_CHAT: Final = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]'
_RESPONSES: Final = b'{"model":"m","store":false,"input":"Hi"'
_MESSAGES: Final = b'{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"Hi"}]'
_GEMINI: Final = b'{"contents":[{"parts":[{"text":"Hi"}]}]'

ASKED: Final[Mapping[str, tuple[bytes, ...]]] = {
    "openai_chat": (
        _CHAT + b"}",
        _CHAT + b',"stream":true,"stream_options":{"include_usage":true}}',
        _CHAT + b',"stream":true,"tools":[{"type":"function","function":{"name":"f","parameters":' + _SCHEMA + b"}},"
        b'{"type":"custom","custom":{"name":"g"}}]}',
        _CHAT + b',"response_format":{"type":"json_schema","json_schema":{"name":"p","schema":' + _SCHEMA + b"}}}",
    ),
    "openai_responses": (
        _RESPONSES + b"}",
        _RESPONSES + b',"stream":true}',
        _RESPONSES + b',"stream":true,"tools":[{"type":"function","name":"f","parameters":' + _SCHEMA + b"},"
        b'{"type":"custom","name":"g"},{"type":"namespace","name":"n","description":"d","tools":'
        b'[{"type":"function","name":"f","parameters":' + _SCHEMA + b"}]}]}",
        _RESPONSES + b',"text":{"format":{"type":"json_schema","name":"p","schema":' + _SCHEMA + b"}}}",
    ),
    "anthropic_messages": (
        _MESSAGES + b"}",
        _MESSAGES + b',"stream":true}',
        _MESSAGES + b',"stream":true,"tools":[{"name":"f","input_schema":' + _SCHEMA + b"}]}",
        _MESSAGES + b',"output_config":{"format":{"type":"json_schema","schema":' + _SCHEMA + b"}}}",
    ),
    "gemini": (
        _GEMINI + b"}",
        _GEMINI + b"}",
        _GEMINI + b',"tools":[{"functionDeclarations":[{"name":"f"}]}]}',
        _GEMINI + b',"generationConfig":{"responseMimeType":"application/json","responseJsonSchema":' + _SCHEMA + b"}}",
    ),
    "openai_completions": (
        b'{"model":"m","prompt":"Hi"}',
        b'{"model":"m","prompt":"Hi","stream":true}',
        b'{"model":"m","prompt":"Hi","stream":true,"stream_options":{"include_usage":true}}',
        b'{"model":"m","prompt":"Hi","n":2}',
    ),
}
_VERBS: Final = (
    Where("/v1beta/models/m:generateContent"),
    Where("/v1beta/models/m:streamGenerateContent", b"alt=sse"),
    Where("/v1beta/models/m:streamGenerateContent"),
    Where("/v1beta/models/m:generateContent"),
)
_STATUSES: Final = (400, 401, 403, 404, 408, 413, 422, 429, 499, 500, 503, 504, 529, 302)
_ARRAY: Final = b"application/json"


@cache
def _envelope(caller: str, number: int) -> Envelope:
    return CALLERS[caller].parse_envelope(ASKED[caller][number], {}, _VERBS[number])


def answering(name: str) -> Callable[[bytes], None]:
    """Return what reads an answer in a provider's format, and tells it to a caller."""
    target = target_of(name)

    def run(data: bytes) -> None:
        options, said = parted(data)
        caller = CALLERS[options.choose(1, tuple(CALLERS))]
        envelope = _envelope(caller.name, options.number(2, 4))
        way = Way(caller, target, envelope, id="1", created=1, pass_through=options.number(3, 2) == 0)
        match options.number(0, 3):
            case 0:
                _whole(caller, way, said, streamed=False)
            case 1:
                _stream(caller, way, said, options)
            case _:
                _refused(caller, target, said, options)

    return run


def _whole(caller: Caller, way: Way, said: bytes, *, streamed: bool) -> None:
    try:
        whole = way.whole(said, streamed=streamed)
        if isinstance(whole, UpstreamError):
            _check_upstream_error(caller, whole)
            return
        whole.model.encode()
        whole.output_text().encode()
        check_usage(whole.usage)
        told = whole.render(Usage(input=1, output=1))
    except UpstreamError as error:
        _check_upstream_error(caller, error)
        return
    bounded(told, said)
    if told is said:
        return
    _check_told(told, way.envelope)


def _check_told(told: bytes, envelope: Envelope) -> None:
    """Hold what a caller gets to the form that it asked for."""
    if not envelope.stream:
        assert isinstance(read_json(told), dict | None)
    elif envelope.stream_type == _ARRAY:
        assert isinstance(read_json(told), list | None)
    else:
        for _, data in events(told):
            if data != b"[DONE]":
                assert isinstance(read_json(data), dict | list | None)


def _check_upstream_error(caller: Caller, error: UpstreamError) -> None:
    check_error(error, Blame.UPSTREAM)
    check_refusal(*caller.render_error(error))
    check_stream_error(caller, error)


def _stream(caller: Caller, way: Way, said: bytes, options: Options) -> None:
    """Tell a stream to a caller that asked for one, and as a whole to one that did not."""
    if way.target.name == "bedrock_converse":
        said = in_frames_of_events(said)
    if not way.envelope.stream:
        _whole(caller, way, said, streamed=True)
        return
    at_once, broke = _told(caller, way, pieces(said, 0))
    in_pieces, broke_too = _told(caller, way, pieces(said, options.choose(4, CUTS)))
    assert broke == broke_too, "cut otherwise, it breaks otherwise"
    bounded(at_once, said)
    if not broke:
        assert at_once == in_pieces, "cut otherwise, it says something else"
    if not way.identity:
        _check_told(at_once, way.envelope)
        _check_told(in_pieces, way.envelope)


def _told(caller: Caller, way: Way, arriving: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return what a caller is told, as the pipeline would tell it, and whether the bytes were none of the format."""
    tap = way.tap()
    out: list[bytes] = []
    broken: UpstreamError | None = None
    try:
        for piece in arriving:
            out.append(tap.feed(piece))  # noqa: PERF401 - what came before an error counts
    except UpstreamError as error:
        broken = error
    rest, complete = tap.end()
    tap.output_text().encode()
    tap.model.encode()
    check_usage(tap.usage)
    assert isinstance(tap.first_content, bool)
    told = tap.done or tap.error is not None
    last = broken
    out.append(rest)
    if not complete and broken is None:
        last = CutMidStream("The stream ended before the answer was complete.")
    if last is not None and not told:
        out.append(tap.fail(last) if isinstance(tap, HubTap) else caller.render_stream_error(last))
    return b"".join(out), broken is not None


def _refused(caller: Caller, target: Provider, said: bytes, options: Options) -> None:
    """Take a refusal: its second line is a header field, and its body what follows."""
    line, _, body = readable(said).partition(b"\n")
    name, _, value = line.partition(b": ")
    status = options.choose(4, _STATUSES)
    target.names_stream_options(body)
    refusal = target.parse_error(status, {name.lower(): value}, body, "someone")
    if not isinstance(refusal, Passed):
        _check_upstream_error(caller, refusal)  # pyright: ignore[reportArgumentType] - held to it in there
        return
    assert 400 <= refusal.status < 500
    refusal.message.encode()
    if target.passing is not None:
        read_json(refusal.body)  # it goes to callers of the same format as it is
    read_json(caller.render_refusal(refusal))


def _starts(name: str) -> Callable[[], Iterator[bytes]]:
    def starts() -> Iterator[bytes]:
        for number, (mode, said) in enumerate(starts_of(name)):
            yield b"%d%d%d%d%d\n" % (mode, number % 5, (number // 2) % 4, number % 2, number % 9) + said
            yield b"%d%d%d1%d\n" % (mode, (number + 3) % 5, (1 + number) % 4, number % 9) + said
        for number, said in enumerate(refusals()):
            for status in (number, 2 * number + 1):
                yield b"2%d00%c\n" % (number % 5, ord("0") + status % len(_STATUSES)) + said

    return starts


_SAYS: Final = {
    "openai_chat": "Chat Completions",
    "openai_responses": "Responses",
    "anthropic_messages": "Messages",
    "gemini": "Gemini",
    "bedrock_converse": "Converse",
    "cohere_chat": "Cohere's chat",
}
ANSWERS: Final = tuple(
    Target(
        name=f"answers_{name}",
        holds=f"an answer, a stream or a refusal of {_SAYS[name]}, told to callers of five formats: cut anywhere it"
        " says the same, it ends in one way, and its tokens are believable",
        run=answering(name),
        starts=_starts(name),
    )
    for name in PROVIDERS
)
