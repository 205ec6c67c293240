"""The top level of a Messages request, checked as Anthropic checks it and in its words."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from komeet.core.errors import WireError
from komeet.core.http import Headers
from komeet.wire import seal
from komeet.wire.anthropic_messages.members import missing, read, wrong_type
from komeet.wire.format import Envelope
from komeet.wire.json import parse_object
from komeet.wire.members import BOOL, INT, NULL, NUMBER, OBJECT, STRING

VERSION: Final = b"anthropic-version"
BETA: Final = b"anthropic-beta"
FIRST_VERSION: Final = b"2023-06-01"
NEW_VERSION: Final = b"2026-10-21"
"""It knows no sampling parameters, and takes the key as a bearer token."""

SAMPLING: Final[Mapping[str, object]] = {"temperature": 1, "top_p": 1, "top_k": None}
"""Sampling parameters, and the values that change nothing."""

_ALTERNATIVES: Final = frozenset({"fallbacks", "models"})
"""Members that name further models, among which a provider may choose."""
_MAX_LIMIT: Final = 2**31 - 1
_SEAL_MARK: Final = seal.MARK.encode()
_FILLED_ARRAY: Final = re.compile(rb"\[\s*+[^\]]")


def parse_envelope(body: bytes, headers: Mapping[bytes, bytes]) -> Envelope:
    """Read the top level of a request; members that are null count as absent, unknown ones are kept.

    Raises:
        WireError: 400; the body is not one JSON object (see `wire.json`), or a member that the gateway reads is missing
            or has the wrong type; `param` is its path.
    """
    fields = parse_object(body)
    get = fields.get
    model = read(get("model"), STRING, "model", "a valid string")
    if model is None:
        raise missing("model")
    if not model:
        raise WireError("model: String should have at least 1 character", param="model", code="invalid_value")
    _check_messages(get("messages"))
    sampling = tuple([name for name in SAMPLING if fields.get(name, NULL) != NULL])
    if sampling and headers.get(VERSION) == NEW_VERSION:
        raise WireError(
            f"{sampling[0]}: Extra inputs are not permitted", param=sampling[0], code="unsupported_parameter"
        )
    for name in sampling:
        read(fields[name], NUMBER, name, "a valid number")
    return Envelope(
        fields=fields,
        size=len(body),
        model=model,
        stream=read(get("stream"), BOOL, "stream", "a valid boolean") or False,
        include_usage=True,
        output_limit=_output_limit(get("max_tokens")),
        effort=_effort(get("output_config")),
        service_tier=read(get("service_tier"), STRING, "service_tier", "a valid string"),
        alternatives=not _ALTERNATIVES.isdisjoint(fields),
        sampling=sampling,
        headers=_kept(headers),
        sealed=_SEAL_MARK in body,
    )


def _check_messages(raw: Raw | None) -> None:
    if raw is None or raw == NULL:
        raise missing("messages")
    if _FILLED_ARRAY.match(raw):
        return
    if not bytes(raw).startswith(b"["):
        raise wrong_type("messages", "a valid list")
    raise WireError("messages: at least one message is required", param="messages", code="empty_array")


def _output_limit(raw: Raw | None) -> int:
    """Return the limit; 0 asks for nothing but the prompt to be cached."""
    limit = read(raw, INT, "max_tokens", "a valid integer")
    if limit is None:
        raise missing("max_tokens")
    if 0 <= limit <= _MAX_LIMIT:
        return limit
    bound = "greater than or equal to 0" if limit < 0 else f"less than or equal to {_MAX_LIMIT}"
    raise WireError(f"max_tokens: Input should be {bound}", param="max_tokens", code="invalid_value")


def _effort(raw: Raw | None) -> str | None:
    config = read(raw, OBJECT, "output_config", "a valid dictionary")
    return None if config is None else read(config.get("effort"), STRING, "output_config.effort", "a valid string")


def _kept(headers: Mapping[bytes, bytes]) -> Headers:
    return tuple([(name, headers[name]) for name in (VERSION, BETA) if name in headers])
