"""The identity path: the caller's own request, with the few edits that a model or the gateway needs.

The body is always written anew from the members that were read, `generationConfig` too: the provider cannot see another
request than the one that was checked and priced. What is not edited keeps its bytes and its place.
"""

import msgspec
from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.catalog.profile import Profile
from komeet.core.errors import WireError
from komeet.wire.format import Edited, Envelope
from komeet.wire.gemini.envelope import SAMPLING, config_name
from komeet.wire.gemini.members import read, written_name
from komeet.wire.json import encode_object
from komeet.wire.members import OBJECT


def edit(envelope: Envelope, *, profile: Profile, output_limit: int | None) -> Edited:
    """Return the request for a provider of this format; the model stands in the address.

    Args:
        envelope: the caller's request.
        profile: what the model takes.
        output_limit: tokens; set only where the caller set no limit.

    Sampling parameters that the model does not take are dropped: with a Loss, unless they say what is the default.

    Raises:
        WireError: 400; more answers than the model gives.
    """
    if profile.candidates is not None and envelope.candidates > profile.candidates:
        raise WireError(
            f"{envelope.model} gives {profile.candidates} answer to a call, not {envelope.candidates}.",
            param="generationConfig.candidateCount",
            code="unsupported_value",
        )
    fields = {name: value for name, value in envelope.fields.items() if name != "model"}
    named = config_name(fields)
    config = read(fields.get(named), OBJECT, named, "an object")
    losses: list[Loss] = []
    reason = profile.refuses_sampling(envelope.effort, envelope.model) if envelope.sampling else None
    told = dict(config or {})
    if reason is not None:
        for name in envelope.sampling:
            raw = told.pop(written_name(told, name))
            if msgspec.json.decode(raw) != SAMPLING[name]:
                losses.append(Loss(f"{named}.{name}", reason))
    if output_limit is not None and envelope.output_limit is None:
        told[written_name(told, "maxOutputTokens")] = Raw(str(output_limit).encode())
    if told or config is not None:
        fields[named] = Raw(encode_object(told))
    return Edited(body=encode_object(fields), losses=tuple(losses), key="x-goog-api-key")
