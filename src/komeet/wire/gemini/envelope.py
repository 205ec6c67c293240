"""The top level of a Gemini request: what its address says, and the members that the gateway needs to know."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote

from msgspec import Raw

from komeet.core.errors import WireError
from komeet.wire.format import Envelope, Where
from komeet.wire.framing import EVENT_STREAM
from komeet.wire.gemini import signature
from komeet.wire.gemini.config_in import CONFIG, integer, level_of
from komeet.wire.gemini.members import Members, missing, snake, written_name, wrong_type
from komeet.wire.json import parse_object
from komeet.wire.members import NULL

STREAMED: Final = "streamGenerateContent"
ARRAY_STREAM: Final = b"application/json"
"""The media type of a stream that is one JSON array, as it comes without `alt=sse`."""
SAMPLING: Final[Mapping[str, object]] = {
    "temperature": 1,
    "topP": None,
    "topK": None,
    "presencePenalty": 0,
    "frequencyPenalty": 0,
}
"""Sampling parameters in `generationConfig`, and the values that change nothing."""

_MAX_CANDIDATES: Final = 8
_MAX_LIMIT: Final = 2**31 - 1
_TIERS: Final = {"standard": "default", "unspecified": None, "service_tier_unspecified": None}


def address(where: Where) -> tuple[str, str]:
    """Return the model and the verb that a path names: `/v1beta/models/MODEL:VERB`.

    Raises:
        WireError: 400, it names no model.
    """
    named = unquote(where.path).partition("/models/")[2]
    model, _, verb = named.rpartition(":")
    if not model:
        raise WireError("The path names no model: /v1beta/models/MODEL:generateContent.", param="model")
    return model, verb


def parse_envelope(body: bytes, where: Where) -> Envelope:
    """Read the top level of a request; members that are null count as absent, unknown ones are kept.

    Raises:
        WireError: 400; the body is not one JSON object (see `wire.json`), a member that the gateway reads is missing or
            has the wrong type, or stands there by both of its names; `param` is its path.
    """
    model, verb = address(where)
    fields = parse_object(body)
    _check_names(fields, "")
    members = Members(fields)
    _check_contents(members.raw("contents"))
    config = members.within(CONFIG) or Members({}, CONFIG)
    _check_names(config.names, CONFIG)
    limit = integer(config, "maxOutputTokens")
    if limit is not None and not 0 <= limit <= _MAX_LIMIT:
        raise wrong_type(config.path("maxOutputTokens"), f"an integer from 0 to {_MAX_LIMIT}")
    candidates = integer(config, "candidateCount")
    if candidates is not None and not 0 <= candidates <= _MAX_CANDIDATES:
        raise wrong_type(config.path("candidateCount"), f"an integer from 1 to {_MAX_CANDIDATES}")
    tier = members.text("serviceTier")
    thinking = config.within("thinkingConfig")
    streams = verb == STREAMED
    return Envelope(
        fields=fields,
        size=len(body),
        model=model,
        stream=streams,
        include_usage=True,
        candidates=candidates or 1,
        output_limit=limit or None,
        effort=None if thinking is None else level_of(thinking),
        service_tier=None if tier is None else _TIERS.get(tier.lower(), tier.lower()),
        sampling=tuple([name for name in SAMPLING if config.raw(name) is not None]),
        sealed=signature.MARK in body,
        stream_type=ARRAY_STREAM if streams and not _wants_events(where.query) else EVENT_STREAM,
    )


def _check_names(names: Iterable[str], path: str) -> None:
    """Refuse a member that is there by both of its names: the provider might read the other one."""
    written = set(names)
    for name in written:
        if (other := snake(name)) != name and other in written:
            where = f"{path}.{name}" if path else name
            raise WireError(f"Invalid value at '{where}': {other!r} is the same; send one.", param=where)


def _check_contents(raw: Raw | None) -> None:
    if raw is None or not bytes(raw)[1:-1].strip():
        raise missing("contents")


def _wants_events(query: bytes) -> bool:
    """Whether `alt` asks for server-sent events."""
    asked = dict(parse_qsl(query.decode("utf-8", "replace"), max_num_fields=None))
    return (asked.get("alt") or asked.get("$alt") or "").partition(";")[0] == "sse"


def config_name(fields: Mapping[str, Raw]) -> str:
    """Return the name under which a request has its `generationConfig`, or would have it."""
    found = written_name(fields, CONFIG)
    return found if fields.get(found, NULL) != NULL else CONFIG
