"""The top level of a Responses request, checked as OpenAI checks it and in its words. Nothing is kept between calls."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from komeet.core.errors import WireError
from komeet.wire.format import Envelope
from komeet.wire.json import parse_object
from komeet.wire.members import BOOL, INT, NULL, NUMBER, OBJECT, STRING, missing, read, wrong_type
from komeet.wire.seal import MARK

SAMPLING: Final[Mapping[str, object]] = {"temperature": 1, "top_p": 1, "top_logprobs": 0}
"""Sampling parameters, and the values that change nothing."""

_MAX_LIMIT: Final = 2**31 - 1
_STATELESS: Final = "This gateway keeps no responses: send `store: false` and the whole conversation in `input`."
_SEALED: Final = MARK.encode()


class _Item(msgspec.Struct):
    type: Raw = NULL


_items: Final[Decoder[list[_Item]]] = Decoder(list[_Item])


def parse_envelope(body: bytes) -> Envelope:
    """Read the top level of a request; members that are null count as absent, unknown ones are kept.

    Raises:
        WireError: 400; the body is not one JSON object (see `wire.json`), a member that the gateway reads is missing or
            has the wrong type, or it asks for something that is kept between calls; `param` is its path.
    """
    fields = parse_object(body)
    get = fields.get
    model = read(get("model"), STRING, "model", "a string")
    if model is None:
        raise missing("model")
    if not model:
        raise WireError("Invalid 'model': empty string. Name a model.", param="model", code="invalid_value")
    _check_input(fields)
    _check_stateless(fields)
    reasoning = read(get("reasoning"), OBJECT, "reasoning", "an object") or {}
    for name in SAMPLING:
        read(get(name), NUMBER, name, "a finite number")
    return Envelope(
        fields=fields,
        size=len(body),
        model=model,
        stream=read(get("stream"), BOOL, "stream", "a boolean") or False,
        include_usage=True,
        output_limit=_limit(get("max_output_tokens")),
        effort=read(reasoning.get("effort"), STRING, "reasoning.effort", "a string"),
        service_tier=read(get("service_tier"), STRING, "service_tier", "a string"),
        alternatives="models" in fields,
        sampling=tuple([name for name in SAMPLING if get(name, NULL) != NULL]),
        sealed=_SEALED in body,
    )


def unkept(path: str, what: str) -> WireError:
    """Return the error for a member that would need an earlier response, or a later look at this one."""
    return WireError(f"Unsupported parameter: {what}. {_STATELESS}", param=path, code="unsupported_parameter")


def _check_input(fields: Mapping[str, Raw]) -> None:
    raw = fields.get("input", NULL)
    if raw == NULL:
        if fields.get("prompt", NULL) == NULL:
            raise missing("input")
        return
    if not bytes(raw).startswith((b'"', b"[")):
        raise wrong_type("input", "a string or an array of items", raw)
    if b'"item_reference"' not in bytes(raw):
        return
    try:
        items = _items.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return
    for index, item in enumerate(items):
        if bytes(item.type) == b'"item_reference"':
            raise unkept(f"input[{index}]", "an item reference")


def _check_stateless(fields: Mapping[str, Raw]) -> None:
    for name in ("store", "background"):
        if read(fields.get(name), BOOL, name, "a boolean"):
            raise unkept(name, f"'{name}' is true")
    for name in ("previous_response_id", "conversation"):
        if fields.get(name, NULL) != NULL:
            raise unkept(name, f"'{name}'")


def _limit(raw: Raw | None) -> int | None:
    path = "max_output_tokens"
    value = read(raw, INT, path, "an integer")
    if value is None or 1 <= value <= _MAX_LIMIT:
        return value
    bound, which = (">= 1", "below_min") if value < 1 else (f"<= {_MAX_LIMIT}", "above_max")
    side = "below minimum" if value < 1 else "above maximum"
    shown = str(value) if abs(value) < 10**20 else "one of more than 20 digits"
    raise WireError(
        f"Invalid '{path}': integer {side} value. Expected a value {bound}, but got {shown} instead.",
        param=path,
        code=f"integer_{which}_value",
    )
