"""What callers send, in each of their formats: read, measured, and written for a provider of another format."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tests.fuzz.target import Target, bounded, check_error, check_headers, check_refusal, events, parted, read_json
from tests.wire.matrix.cases import CHAPTERS, base
from tests.wire.matrix.outcome import target_of

from komeet.catalog.dialect import Dialect
from komeet.catalog.profile import Profile, Sampling, Structured, ThinkingStyle
from komeet.core.errors import Blame, KomeetError, WireError
from komeet.wire.format import NOWHERE, Caller, Edited, Envelope, Passing, Where
from komeet.wire.format import Target as Provider
from komeet.wire.formats import BOTH_ROLES
from komeet.wire.openai_completions.format import FORMAT as COMPLETIONS
from komeet.wire.way import Way

CALLERS: Final[Mapping[str, Caller]] = {**BOTH_ROLES, COMPLETIONS.name: COMPLETIONS}
PROVIDERS: Final = (
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "gemini",
    "bedrock_converse",
    "cohere_chat",
)
PROFILES: Final = (
    Profile(),
    Profile(
        limit_field="max_completion_tokens",
        sampling=Sampling.WITHOUT_REASONING,
        default_effort="medium",
        efforts=("low", "medium", "high"),
        output_limit=1000,
        cache_breakpoints=True,
        takes_reasoning=False,
    ),
    Profile(
        thinking=ThinkingStyle.BUDGET,
        structured=Structured.TOOL,
        cache_points=("tools", "system", "messages"),
        cache_hour=True,
        output_limit=4096,
        top_k_member="top_k",
        effort_member="reasoningConfig.maxReasoningEffort",
        instructions_anywhere=True,
    ),
    Profile(
        thinking=ThinkingStyle.NONE,
        sampling=Sampling.NEVER,
        accepts=("model", "messages", "max_tokens", "tools", "stream"),
        refuses=("logprobs",),
        candidates=1,
        context_window=8192,
    ),
    Profile(
        dialect=Dialect(
            developer=False,
            reasoning="reasoning_details",
            effort="reasoning",
            schema=False,
            renamed={"seed": "random_seed"},
            lacks=("user", "metadata"),
            call_ids="nine",
        )
    ),
    Profile(dialect=Dialect(reasoning="thinking", effort="thinking", translated=("openai_chat",))),
)
_HEADERS: Final[tuple[Mapping[bytes, bytes], ...]] = (
    {},
    {b"anthropic-beta": b"a, b,c-1", b"anthropic-version": b"2023-06-01", b"openai-beta": b"x"},
)


def asking(caller: Caller) -> Callable[[bytes], None]:
    """Return what reads a request of `caller`, and writes it for a provider."""

    def run(data: bytes) -> None:
        options, body = parted(data)
        where = NOWHERE
        if caller.name == "gemini":
            line, _, body = body.partition(b"\n")
            path, _, query = line.partition(b"?")
            where = Where(path.decode("latin-1"), query)
        target = target_of(options.choose(0, PROVIDERS))
        profile = options.choose(1, PROFILES)
        flags = options.number(2, 16)
        headers = options.choose(3, _HEADERS)
        try:
            envelope = caller.parse_envelope(body, headers, where)
            _check_envelope(envelope)
            way = Way(caller, target, envelope, id="1", created=1, pass_through=bool(flags & 1), strict=bool(flags & 2))
            extent = caller.measure(envelope)
            text = caller.prompt_text(envelope)
            way.urls()
            limit = 1000 if flags & 4 and envelope.output_limit is None else None
            edited = way.request(model="n", profile=profile, output_limit=limit, ask_usage=bool(flags & 8))
        except WireError as error:
            _check_wire_error(caller, error)
            return
        assert extent.bytes >= 0
        assert extent.candidates >= 1
        assert extent.output_limit is None or extent.output_limit >= 0
        text.encode()
        bounded(text.encode(), data)
        _check_request(target, edited, data)
        assert way.least_output >= 1
        target.path(envelope.model, stream=envelope.stream).encode("ascii")

    return run


def _check_envelope(envelope: Envelope) -> None:
    assert envelope.model
    envelope.model.encode()
    assert envelope.candidates >= 1
    assert envelope.output_limit is None or 0 <= envelope.output_limit < 1 << 63
    check_headers(envelope.headers)
    if envelope.service_tier is not None:
        envelope.service_tier.encode()


def _check_wire_error(caller: Caller, error: WireError) -> None:
    check_error(error, Blame.CLIENT)
    status, headers, body = caller.render_error(error)
    assert status in (400, 422)
    check_refusal(status, headers, body)
    check_stream_error(caller, error)


def check_stream_error(caller: Caller, error: KomeetError) -> None:
    """Hold the last event of a stream to its form."""
    told = caller.render_stream_error(error)
    for _, said in events(told):
        if said != b"[DONE]":
            read_json(said)


def _check_request(target: Provider, edited: Edited, data: bytes) -> None:
    """Hold what a provider gets to its form: JSON, an object, of a bounded size."""
    told = read_json(edited.body)
    assert told is None or isinstance(told, dict), edited.body
    check_headers(edited.headers)
    bounded(edited.body, data)
    assert all(loss.reason for loss in edited.losses)
    passing: Passing | None = target.passing
    assert passing is None or passing is not target or target.name in BOTH_ROLES


def _cases(caller: str) -> Iterator[dict[str, Any]]:
    yield base(caller)
    for cases in CHAPTERS.values():
        for case in cases:
            if caller in case.said:
                yield base(caller) | case.said[caller]


def _starts(caller: str) -> Callable[[], Iterator[bytes]]:
    def starts() -> Iterator[bytes]:
        for number, case in enumerate(_cases(caller)):
            body = json.dumps(case, separators=(",", ":")).encode()
            head = b"%d%d%d%d\n" % (number % 6, number // 6 % 6, number % 8, number % 2)
            verb = (b"generateContent", b"streamGenerateContent?alt=sse", b"streamGenerateContent")[number % 3]
            place = b"/v1beta/models/m:" + verb + b"\n" if caller == "gemini" else b""
            yield head + place + body

    return starts


def _completions_starts() -> Iterator[bytes]:
    for number, more in enumerate(
        (
            {"prompt": "Hi"},
            {"prompt": ["a", "b"]},
            {"prompt": [1, 2, 3]},
            {"prompt": [[1, 2], [3]], "n": 2, "best_of": 2},
            {"prompt": "Hi", "stream": True, "stream_options": {"include_usage": True}, "stop": ["x"], "echo": True},
            {"prompt": "Hi", "suffix": "x", "logprobs": 1, "max_tokens": 5, "temperature": 0.5, "seed": 1, "user": "u"},
        )
    ):
        yield b"%d%d0\n" % (number, number) + json.dumps({"model": "m", **more}).encode()


def _target(caller: Caller, starts: Callable[[], Iterator[bytes]], says: str) -> Target:
    return Target(
        name=f"asks_{caller.name}",
        holds=f"a request of {says}: 400 or 422 with a path, or JSON that a provider of any of six formats takes",
        run=asking(caller),
        starts=starts,
    )


_SAYS: Final = {
    "openai_chat": "Chat Completions",
    "openai_responses": "Responses",
    "anthropic_messages": "Messages",
    "gemini": "Gemini",
}
ASKS: Final = (
    *[_target(BOTH_ROLES[name], _starts(name), says) for name, says in _SAYS.items()],
    _target(COMPLETIONS, _completions_starts, "Completions"),
)
