"""Real traffic through the neutral model to the other formats and back: what was said is said."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
import pytest
from msgspec import Struct
from tests.wire.matrix.outcome import ADDRESSES, target_of
from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.canonical.event import Event
from komeet.canonical.fold import fold
from komeet.canonical.part import File, Part, Refusal, Text, ToolCall, ToolResult
from komeet.canonical.request import Request
from komeet.canonical.response import Candidate, Response, StopReason
from komeet.canonical.turn import Role, Turn
from komeet.canonical.unfold import unfold
from komeet.catalog.profile import Profile
from komeet.core.errors import UpstreamError, WireError
from komeet.wire.format import NOWHERE, Asked, Envelope, Where
from komeet.wire.formats import BOTH_ROLES
from komeet.wire.restore import Restorer

PATHS: Final = {
    "/chat/completions": "openai_chat",
    "/responses": "openai_responses",
    "/messages": "anthropic_messages",
    ":generateContent": "gemini",
    ":streamGenerateContent": "gemini",
    "/converse": "bedrock_converse",
    "/converse-stream": "bedrock_converse",
    "/v2/chat": "cohere_chat",
}


def format_of(recording: Recording) -> str:
    """The format that was spoken; empty: none of those."""
    return next((name for end, name in PATHS.items() if recording.path.endswith(end)), "")


ALL: Final = load(lambda each: bool(format_of(each)) and each.method == "POST" and each.status == 200)
ASKED: Final = tuple(each for each in ALL if bytes(each.request) != b"null" and format_of(each) in BOTH_ROLES)


def _others(recording: Recording) -> list[str]:
    return [name for name in BOTH_ROLES if name != format_of(recording)]


def envelope_of(recording: Recording) -> Envelope:
    body: dict[str, Any] = json.loads(bytes(recording.request))
    for name in ("previous_response_id", "conversation", "background", "store"):
        body.pop(name, None)  # what is kept at the provider is not for this gateway
    where = Where("/v1beta/models/m:" + recording.path.rpartition(":")[2])
    return BOTH_ROLES[format_of(recording)].parse_envelope(json.dumps(body).encode(), {}, where)


def _texts(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                yield text
            case ToolResult(parts=inside):
                yield from _texts(inside)
            case _:
                pass


def _squeezed(text: str) -> str:
    return re.sub(
        r"\s+|</?system>", "", text
    )  # how instructions between messages are told where there is no role for them


def _told(turns: Sequence[Turn]) -> list[Any]:
    """What the turns say, in order: who says which text, calls with their arguments, and results."""
    told: list[Any] = []
    for turn in turns:
        who = "assistant" if turn.role is Role.ASSISTANT else "other"
        for part in turn.parts:
            match part:
                case ToolCall(name=name, arguments=arguments, custom=custom):
                    told.append(("call", name, {"input": arguments.decode()} if custom else _value(arguments)))
                case ToolResult():
                    told.append(("result", _squeezed("".join(_texts([part])))))
                case Text(text=text) | Refusal(text=text):
                    told.append((who, _squeezed(text)))
                case _:
                    pass
    merged: list[Any] = []
    for kind, group in groupby(told, key=lambda each: each[0]):
        if kind in ("assistant", "other"):
            text = "".join(each[1] for each in group)
            merged += [(kind, text)] if text else []
        else:
            merged += group
    return merged


def _value(arguments: bytes) -> Any:
    try:
        return json.loads(arguments or b"{}")
    except ValueError:
        return {"_raw": arguments.decode()}


class Refused(Struct):
    """A request that another format has no words for."""

    why: str


REFUSALS: Final = {
    "a part that only its own format knows": 49,
    "a tool that only its own format knows": 15,
    "several answers to one call": 8,
    "something in a result that is no content, to Gemini": 8,
    "a document by its URL, to Chat": 7,
    "a document by the id that another format gave it": 6,
    "sound, to Messages": 4,
    "a file of a type that the format does not take": 2,
    "no message at all": 2,
}
"""Why requests are refused on the way to another format, and how often: of 4,158 crossings."""
_WORDS: Final = (
    ("is a tool that only the format", "a tool that only its own format knows"),
    ("that only the format", "a part that only its own format knows"),
    ("gives one answer to a call", "several answers to one call"),
    ("is a document by its URL", "a document by its URL, to Chat"),
    ("is nothing that a tool may answer", "something in a result that is no content, to Gemini"),
    ("named by the id of another provider's file", "a document by the id that another format gave it"),
    ("at least one content", "no message at all"),
    ("by the id that another format gave it", "a document by the id that another format gave it"),
    ("is a file of type", "a file of a type that the format does not take"),
    ("is audio", "sound, to Messages"),
    ("at least one message", "no message at all"),
)


def _reason(error: WireError) -> str:
    return next((reason for words, reason in _WORDS if words in error.message), error.message)


@needs_recordings
def test_what_is_refused_is_counted_by_its_reason() -> None:
    crossings = [_crossed(recording, target) for recording in ASKED for target in _others(recording)]
    assert len(crossings) == 3 * len(ASKED) == 4158
    assert Counter(each.why for each in crossings if isinstance(each, Refused)) == REFUSALS


def _crossed(recording: Recording, target: str) -> tuple[Request, Request] | Refused:
    wire, other = BOTH_ROLES[format_of(recording)], BOTH_ROLES[target]
    envelope = envelope_of(recording)
    try:
        request = wire.parse_request(envelope)
    except WireError as error:
        return Refused(_reason(error))
    if request.output_limit is None:
        request = msgspec.structs.replace(request, output_limit=1000)
    try:
        edited = other.render_request(request, Profile(), ask_usage=False)
    except WireError as error:
        return Refused(_reason(error))
    return request, other.parse_request(other.parse_envelope(edited.body, {}, ADDRESSES.get(target, NOWHERE)))


@needs_recordings
@each_of(ASKED)
def test_a_request_says_the_same_in_the_other_formats(recording: Recording) -> None:
    for target in _others(recording):
        crossed = _crossed(recording, target)
        if isinstance(crossed, Refused):
            assert crossed.why in REFUSALS
            continue
        request, again = crossed
        asked, said = _told(request.turns), _told(again.turns)
        assert _calls(said) == _calls(asked)
        for kind in ("assistant", "other"):
            before, after = _letters(asked, kind), _letters(said, kind)
            # A document of plain text may be told as text: then there is more, and nothing less.
            assert before <= after if _has_files(request) else before == after


def _has_files(request: Request) -> bool:
    return any(isinstance(part, File | ToolResult) for turn in request.turns for part in turn.parts)


def _calls(told: list[Any]) -> list[str]:
    """Calls and results, sorted: formats put results in other places."""
    return sorted(json.dumps(each, sort_keys=True) for each in told if each[0] in ("call", "result"))


def _letters(told: list[Any], kind: str) -> Counter[str]:
    """All letters of one side: formats put instructions in other places, and nothing may be missing."""
    return Counter("".join(each[1] for each in told if each[0] == kind))


def _stream(recording_format: str, stream: bytes) -> list[Event]:
    wire = target_of(recording_format)
    parser, framing = wire.stream_parser(), wire.framing()
    said = [*framing.feed(stream), *framing.rest()]
    return [event for one in said for event in parser.feed(one)] + list(parser.end())


def _answer(recording: Recording) -> Response | None:
    try:
        if recording.streamed or recording.encoding == "base64":
            return fold(_stream(format_of(recording), recording.body))
        return target_of(format_of(recording)).parse_response(recording.body)
    except UpstreamError:
        return None


def _summary(response: Response) -> Any:
    usage = response.usage
    return [
        [
            {
                "text": "".join(_texts(candidate.parts)),
                "calls": [(p.name, _value(p.arguments)) for p in candidate.parts if isinstance(p, ToolCall)],
                "stop": _stop(candidate),
            }
            for candidate in response.candidates[:1]
        ],
        None if usage is None else (usage.input, usage.output, usage.cache_read),
    ]


def _stop(candidate: Candidate) -> StopReason | None:
    """The reasons that every format tells apart; OpenAI calls it a plain stop where it was made to call a tool."""
    if candidate.stop in (None, StopReason.STOP) and any(isinstance(part, ToolCall) for part in candidate.parts):
        return StopReason.TOOL_CALLS
    match candidate.stop:
        case StopReason.PAUSED | StopReason.OTHER | None:
            return StopReason.STOP
        case StopReason.REFUSED:
            return StopReason.CONTENT_FILTER
        case stop:
            return stop


@needs_recordings
@each_of(ALL)
def test_an_answer_says_the_same_in_the_other_formats(recording: Recording) -> None:
    response = _answer(recording)
    if response is None or response.usage is None or len(response.candidates) != 1:
        pytest.skip("the recording is an error, has no usage, or several candidates")
    for target in _others(recording):
        wire = BOTH_ROLES[target]
        for streaming in (False, True):
            request = Request(model="m", turns=())
            envelope = Envelope(fields={}, size=0, model="m", stream=streaming, include_usage=True)
            asked = Asked(envelope=envelope, request=request, id="1", created=1)
            restorer = Restorer(request)
            events = [told for event in unfold(response) for told in restorer.feed(event)]
            if streaming:
                renderer = wire.stream_renderer(asked)
                sent = b"".join([renderer.feed(event) for event in events]) + renderer.end()
                again = fold(_stream(target, sent))
            else:
                again = wire.parse_response(wire.render_response(fold(events), asked))
            assert _summary(again) == _summary(response)
