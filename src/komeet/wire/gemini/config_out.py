"""From how the neutral model says it to `generationConfig`; what Gemini has no word for is declared."""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from komeet.canonical.part import Opaque
from komeet.canonical.request import JsonOutput
from komeet.wire.gemini.config_in import CONFIG, JSON, MODALITIES, SCHEMA, TEXT
from komeet.wire.gemini.members import ORIGIN, foreign, has_sign, own
from komeet.wire.gemini.rendering import Rendering
from komeet.wire.gemini.thinking_out import render_thinking
from komeet.wire.members import OBJECT

Json = dict[str, object]

NEUTRAL: Final[Mapping[str, object]] = {"presence_penalty": 0, "frequency_penalty": 0, "temperature": 1}
"""Values of sampling parameters that change nothing."""
_NAMES: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_MOST_STOPS: Final = 5
_INT32: Final = range(-(2**31), 2**31)


def render_config(rendering: Rendering) -> Json:
    """Return the members of `generationConfig`."""
    request = rendering.request
    fields: Json = {
        **_sampling(rendering),
        **_drawn(rendering),
        "candidateCount": request.candidates,
        "maxOutputTokens": request.output_limit,
        "stopSequences": _stop(rendering) or None,
        "thinkingConfig": render_thinking(rendering),
        **_output(rendering),
    }
    told: Json = {name: value for name, value in fields.items() if value is not None}
    if has_sign(request.extras, TEXT):
        told[MODALITIES] = [TEXT]
    return {**told, **own(request.extras, CONFIG)}


def _sampling(rendering: Rendering) -> Json:
    """Return how tokens are drawn, but for what the model refuses."""
    request = rendering.request
    said: dict[str, float | int | None] = {
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "top_k": request.sampling.top_k,
        "presence_penalty": request.sampling.presence_penalty,
        "frequency_penalty": request.sampling.frequency_penalty,
    }
    reason = rendering.profile.refuses_sampling(request.effort, request.model)
    if reason is not None:
        for name, value in said.items():
            if value is not None and value != NEUTRAL.get(name):
                rendering.lose(name, reason)
        return {}
    return {_NAMES[name]: value for name, value in said.items()}


def _drawn(rendering: Rendering) -> Json:
    sampling = rendering.request.sampling
    seed = sampling.seed
    if seed is not None and seed not in _INT32:
        rendering.lose("seed", "Gemini takes 32 bits")
        seed = None
    return {
        "seed": seed,
        "responseLogprobs": sampling.logprobs or None,
        "logprobs": sampling.top_logprobs or None,
    }


def _stop(rendering: Rendering) -> list[str]:
    stop = [text for text in rendering.request.stop if text]
    if len(stop) > _MOST_STOPS:
        rendering.lose(f"stop[{_MOST_STOPS}]", f"Gemini takes {_MOST_STOPS} stop sequences: the first ones are kept")
    return stop[:_MOST_STOPS]


def _output(rendering: Rendering) -> Json:
    output = rendering.request.output
    match output:
        case None:
            return {}
        case Opaque(origin=origin, value=value):
            if origin == ORIGIN:
                return dict(OBJECT.decode(value) or {})
            rendering.lose("response_format", f"only the format {origin} knows it")
            return {}
        case JsonOutput(schema=schema):
            rendering.losses.extend(foreign(output.extras, "response_format"))
            if schema is None:
                return {"responseMimeType": JSON}
            written = "responseSchema" if has_sign(output.extras, SCHEMA) else "responseJsonSchema"
            return {"responseMimeType": JSON, written: Raw(schema)}
