"""From the neutral model to a Gemini request."""

from typing import Final

import msgspec

from komeet.canonical.request import Request
from komeet.catalog.profile import Profile
from komeet.core.errors import WireError
from komeet.wire.format import Edited
from komeet.wire.gemini.config_in import CONFIG
from komeet.wire.gemini.config_out import render_config
from komeet.wire.gemini.members import foreign, own
from komeet.wire.gemini.rendering import Rendering
from komeet.wire.gemini.tools_out import render_tools
from komeet.wire.gemini.turns_out import render_turns

Json = dict[str, object]

_NO_WORD: Final = "Gemini has no such parameter"
_TIERS: Final = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}


def render_request(request: Request, profile: Profile) -> Edited:
    """Return the body that says `request` to a provider of this format, and what it could not say.

    The model, and whether the answer is streamed, stand in the address.

    Args:
        request: the call; its model is what the provider calls it.
        profile: what the model takes.

    Raises:
        Unrepresentable: 422; a content part that the format cannot carry; `param` is its path.
        WireError: 400; more answers than the model gives, or nothing is said at all.
    """
    _refuse(request, profile)
    rendering = Rendering(request, profile)
    system, contents = render_turns(rendering)
    tools, tool_config = render_tools(rendering)
    fields: Json = {
        "systemInstruction": system,
        "contents": contents,
        "tools": tools or None,
        "toolConfig": tool_config or None,
        CONFIG: render_config(rendering) or None,
        "serviceTier": _tier(rendering),
    }
    _lose_knobs(rendering)
    told: Json = {name: value for name, value in fields.items() if value is not None}
    told.update({name: value for name, value in own(request.extras).items() if name not in told})
    rendering.losses.extend(foreign(request.extras, ""))
    return Edited(body=msgspec.json.encode(told), losses=tuple(rendering.losses), key="x-goog-api-key")


def _refuse(request: Request, profile: Profile) -> None:
    most, asked = profile.candidates, request.candidates or 1
    if most is not None and asked > most:
        raise WireError(
            f"{request.model} gives {most} answer to a call, not {asked}.", param="n", code="unsupported_value"
        )


def _tier(rendering: Rendering) -> str | None:
    tier = rendering.request.service_tier
    if tier in (None, "auto"):
        return None
    if tier not in _TIERS:
        rendering.lose("service_tier", f"Gemini has no tier {tier!r}")
    return _TIERS.get(tier or "")


def _lose_knobs(rendering: Rendering) -> None:
    request = rendering.request
    said = {
        "verbosity": request.verbosity,
        "prompt_cache_key": request.prompt_cache_key,
        "user": request.user,
        "metadata": request.metadata,
    }
    rendering.lose_set(said, _NO_WORD)
    if request.cache is not None:
        rendering.lose(request.cache.name or "cache", "Gemini caches prompts without being told where")
