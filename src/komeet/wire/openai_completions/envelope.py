"""The top level of a legacy Completions request, checked as OpenAI checks it and in its words."""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from komeet.core.errors import WireError
from komeet.wire.format import Envelope
from komeet.wire.json import parse_object
from komeet.wire.members import ARRAY, BOOL, INT, NULL, NUMBER, OBJECT, STRING, missing, read, wrong_type

DEFAULT_LIMIT: Final = 16
"""Most output tokens where the caller sets no limit: the API's own default."""
SAMPLING: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
"""Sampling parameters that the model has a word for."""
UNSUPPORTED: Final[Mapping[str, str]] = {
    "echo": "put the prompt before the answer yourself",
    "suffix": "describe in the prompt what is to be filled in",
    "best_of": "send `n`, and choose among the answers",
    "logprobs": "use `/v1/chat/completions` with `logprobs` and `top_logprobs`",
}
"""Members that no model of today honours, and what to do instead."""

_SAY_NOTHING: Final[Mapping[str, tuple[bytes, ...]]] = {
    "echo": (b"false",),
    "suffix": (b'""',),
    "best_of": (b"1",),
    "logprobs": (b"false",),
}
_MAX_CANDIDATES: Final = 128
_MAX_LIMIT: Final = 2**31 - 1


def parse_envelope(body: bytes) -> Envelope:
    """Read the top level of a request; members that are null count as absent, unknown ones are kept.

    Raises:
        WireError: 400; the body is not one JSON object (see `wire.json`), a member that the gateway reads is missing or
            has the wrong type, or it asks for what only the models of old could do; `param` is its path.
    """
    fields = parse_object(body)
    get = fields.get
    model = read(get("model"), STRING, "model", "a string")
    if model is None:
        raise missing("model")
    if not model:
        raise WireError("Invalid 'model': empty string. Name a model.", param="model", code="invalid_value")
    read_prompt(get("prompt"))
    _refuse(fields)
    for name in SAMPLING:
        read(get(name), NUMBER, name, "a finite number")
    options = read(get("stream_options"), OBJECT, "stream_options", "an object") or {}
    usage = read(options.get("include_usage"), BOOL, "stream_options.include_usage", "a boolean")
    return Envelope(
        fields=fields,
        size=len(body),
        model=model,
        stream=read(get("stream"), BOOL, "stream", "a boolean") or False,
        include_usage=usage or False,
        candidates=_positive(get("n"), "n", _MAX_CANDIDATES) or 1,
        output_limit=_positive(get("max_tokens"), "max_tokens", _MAX_LIMIT) or DEFAULT_LIMIT,
        sampling=tuple([name for name in SAMPLING if get(name, NULL) != NULL]),
    )


def read_prompt(raw: Raw | None) -> str:
    """Return the prompt: a string, or the one string of an array.

    Raises:
        WireError: 400; it is missing, tokens, or more than one.
    """
    if raw is None or raw == NULL:
        raise missing("prompt")
    if bytes(raw).startswith(b'"'):
        return read(raw, STRING, "prompt", "a string") or ""
    prompts = read(raw, ARRAY, "prompt", "a string") or []
    if any(not bytes(prompt).startswith(b'"') for prompt in prompts):
        raise WireError(
            "Unsupported value: 'prompt' as an array of tokens. Send it as text: a token means another text to every"
            " model.",
            param="prompt",
            code="unsupported_value",
        )
    if len(prompts) != 1:
        raise WireError(
            f"Unsupported value: 'prompt' with {len(prompts)} prompts. Send one prompt, and a request for each.",
            param="prompt",
            code="unsupported_value",
        )
    return read(prompts[0], STRING, "prompt[0]", "a string") or ""


def _refuse(fields: Mapping[str, Raw]) -> None:
    for name, instead in UNSUPPORTED.items():
        raw = fields.get(name, NULL)
        if raw != NULL and bytes(raw) not in _SAY_NOTHING[name]:
            raise WireError(
                f"Unsupported parameter: '{name}'. Leave it out and {instead}.",
                param=name,
                code="unsupported_parameter",
            )


def _positive(raw: Raw | None, path: str, most: int) -> int | None:
    value = read(raw, INT, path, "an integer")
    if value is None or 1 <= value <= most:
        return value
    if raw is not None and len(bytes(raw)) > 20:
        raise wrong_type(path, f"an integer from 1 to {most}", raw)
    bound, which = (">= 1", "below_min") if value < 1 else (f"<= {most}", "above_max")
    raise WireError(
        f"Invalid '{path}': expected a value {bound}, but got {value} instead.",
        param=path,
        code=f"integer_{which}_value",
    )
