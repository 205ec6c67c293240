"""The top level of a Chat Completions request, checked as OpenAI checks it and in its words."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from komeet.core.errors import WireError
from komeet.wire import seal
from komeet.wire.format import Envelope
from komeet.wire.json import parse_object
from komeet.wire.members import BOOL, INT, NULL, NUMBER, OBJECT, STRING, missing, read, wrong_type

LIMITS: Final = ("max_completion_tokens", "max_tokens")
"""The names of the output limit: the current one, and the one before it."""

SAMPLING: Final[Mapping[str, object]] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
}
"""Sampling parameters, and the values that change nothing."""

_NUMBERS: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_MAX_CANDIDATES: Final = 128
_MAX_LIMIT: Final = 2**31 - 1

_SEAL_MARK: Final = seal.MARK.encode()
_FILLED_ARRAY = re.compile(rb"\[\s*+[^\]]")


def parse_envelope(body: bytes) -> Envelope:
    """Read the top level of a request; members that are null count as absent, unknown ones are kept.

    Raises:
        WireError: 400; the body is not one JSON object (see `wire.json`), or a member that the gateway reads is missing
            or has the wrong type; `param` is its path.
    """
    fields = parse_object(body)
    get = fields.get
    model = read(get("model"), STRING, "model", "a string")
    if model is None:
        raise missing("model")
    if not model:
        raise WireError("Invalid 'model': empty string. Name a model.", param="model", code="invalid_value")
    _check_messages(get("messages"))
    return Envelope(
        fields=fields,
        size=len(body),
        model=model,
        stream=read(get("stream"), BOOL, "stream", "a boolean") or False,
        include_usage=_include_usage(get("stream_options")),
        candidates=_positive(get("n"), "n", _MAX_CANDIDATES) or 1,
        output_limit=_output_limit(fields),
        effort=read(get("reasoning_effort"), STRING, "reasoning_effort", "a string"),
        service_tier=read(get("service_tier"), STRING, "service_tier", "a string"),
        alternatives="models" in fields,
        sampling=() if fields.keys().isdisjoint(SAMPLING) else _sampling(fields),
        sealed=_SEAL_MARK in body,
    )


def _check_messages(raw: Raw | None) -> None:
    if raw is None or raw == NULL:
        raise missing("messages")
    if _FILLED_ARRAY.match(raw):
        return
    if not bytes(raw).startswith(b"["):
        raise wrong_type("messages", "an array of objects", raw)
    raise WireError(
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        param="messages",
        code="empty_array",
    )


def _include_usage(raw: Raw | None) -> bool:
    if raw is None:
        return False
    options = read(raw, OBJECT, "stream_options", "an object")
    if options is None:
        return False
    path = "stream_options.include_usage"
    return read(options.get("include_usage"), BOOL, path, "a boolean") or False


def _output_limit(fields: dict[str, Raw]) -> int | None:
    """Where both names are used, the smaller value counts: it is what `edit` sends."""
    limits = [_positive(fields[name], name, _MAX_LIMIT) for name in LIMITS if name in fields]
    return min([limit for limit in limits if limit is not None], default=None)


def _sampling(fields: dict[str, Raw]) -> tuple[str, ...]:
    for name in _NUMBERS:
        read(fields.get(name), NUMBER, name, "a finite number")
    return tuple([name for name in SAMPLING if fields.get(name, NULL) != NULL])


def _positive(raw: Raw | None, path: str, most: int) -> int | None:
    value = read(raw, INT, path, "an integer")
    if value is None or 1 <= value <= most:
        return value
    bound, which = (">= 1", "below_min") if value < 1 else (f"<= {most}", "above_max")
    side = "below minimum" if value < 1 else "above maximum"
    raise WireError(
        f"Invalid '{path}': integer {side} value. Expected a value {bound}, but got {_shown(value)} instead.",
        param=path,
        code=f"integer_{which}_value",
    )


def _shown(value: int) -> str:
    return str(value) if abs(value) < 10**20 else "one of more than 20 digits"
