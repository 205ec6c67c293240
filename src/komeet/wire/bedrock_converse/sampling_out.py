"""How the next token is drawn, in Bedrock's words: `inferenceConfig`, and what only the model's own words can say."""

from typing import Final

from msgspec.structs import replace

from komeet.canonical.request import Sampling
from komeet.wire.bedrock_converse.members import Json
from komeet.wire.bedrock_converse.rendering import Rendering

_LEAST_TOP_P: Final = 0.95
"""With reasoning, Claude refuses less."""
_PLAIN: Final = {"temperature": 1, "top_p": 1, "top_k": None}
"""What says nothing: it is no loss."""


def render_sampling(rendering: Rendering, *, thinks: bool) -> tuple[Json, Json]:
    """Return `inferenceConfig`, and members of `additionalModelRequestFields`; `thinks`: whether Claude reasons."""
    request = rendering.request
    sampling = _taken(rendering, thinks=thinks)
    temperature, top_p = sampling.temperature, sampling.top_p
    if temperature is not None and temperature > 1:
        rendering.lose("temperature", "Bedrock takes no more than 1: it is asked for 1")
        temperature = 1
    if top_p == 1 and temperature is not None:  # it changes nothing, and there are models that refuse both
        top_p = None
    elif temperature == 1 and top_p is not None:
        temperature = None
    told: Json = {
        "maxTokens": request.output_limit,
        "temperature": temperature,
        "topP": top_p,
        "stopSequences": _stop(rendering) or None,
    }
    return {name: value for name, value in told.items() if value is not None}, _top_k(sampling.top_k, rendering)


def _taken(rendering: Rendering, *, thinks: bool) -> Sampling:
    """Return the parameters that the model takes."""
    request = rendering.request
    sampling = request.sampling
    reason = rendering.profile.refuses_sampling(request.effort, request.model)
    top_p = None
    if reason is None and not thinks:
        return sampling
    if reason is None:
        reason = "the model does not take it while it reasons"
        top_p = sampling.top_p if sampling.top_p is not None and sampling.top_p >= _LEAST_TOP_P else None
    set_ = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    for name, value in set_.items():
        if value is not None and value != _PLAIN[name] and not (name == "top_p" and top_p is not None):
            rendering.lose(name, reason)
    return replace(sampling, temperature=None, top_p=top_p, top_k=None)


def _top_k(top_k: int | None, rendering: Rendering) -> Json:
    if top_k is None:
        return {}
    where = rendering.profile.top_k_member
    if where is None:
        rendering.lose("top_k", f"{rendering.request.model} does not take it")
        return {}
    outer, dot, inner = where.partition(".")
    return {outer: {inner: top_k}} if dot else {outer: top_k}


def _stop(rendering: Rendering) -> list[str]:
    for index, text in enumerate(rendering.request.stop):
        if not text.strip():
            rendering.lose(f"stop[{index}]", "Bedrock's models take no stop sequence of white space only")
    return [text for text in rendering.request.stop if text.strip()]
