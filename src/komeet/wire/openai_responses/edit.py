"""The identity path: the caller's own request, with the few edits that a model or the gateway needs.

The body is always written anew from the members that were read: the provider cannot see another request than the one
that was checked and priced. What is not edited keeps its bytes and its place.
"""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.catalog.profile import Profile
from komeet.core.errors import WireError
from komeet.wire.format import Edited, Envelope
from komeet.wire.json import encode_object
from komeet.wire.members import NULL, STRINGS, read
from komeet.wire.openai_responses.envelope import SAMPLING
from komeet.wire.openai_responses.members import ENCRYPTED
from komeet.wire.openai_responses.reasoning import reasons

_FALSE: Final = Raw(b"false")
_encoder = msgspec.json.Encoder()


def edit(envelope: Envelope, *, model: str, profile: Profile, output_limit: int | None) -> Edited:
    """Return the request for a provider of this format.

    Args:
        envelope: the caller's request.
        model: what the provider calls the model.
        profile: what the model takes.
        output_limit: tokens; set only where the caller set no limit.

    Raises:
        WireError: it has what the model cannot honour.

    Sampling parameters that the model does not take are dropped: with a Loss, unless they say what is the default
    anyway. Where the caller did not say whether the answer is to be stored, it is not, and reasoning comes sealed.
    """
    for name in profile.refuses:
        if envelope.fields.get(name, NULL) != NULL:
            raise WireError(f"{envelope.model} does not take `{name}`.", param=name, code="unsupported_parameter")
    fields = dict(envelope.fields)
    fields["model"] = Raw(_encoder.encode(model))
    if envelope.output_limit is None and output_limit is not None:
        fields["max_output_tokens"] = Raw(str(output_limit).encode())
    losses: list[Loss] = []
    if envelope.sampling:
        _drop_sampling(fields, envelope, profile, losses)
    if fields.get("store", NULL) == NULL:
        fields["store"] = _FALSE
        if reasons(profile, envelope.effort):
            _include_reasoning(fields)
    return Edited(body=encode_object(fields), losses=tuple(losses))


def _drop_sampling(fields: dict[str, Raw], envelope: Envelope, profile: Profile, losses: list[Loss]) -> None:
    reason = profile.refuses_sampling(envelope.effort, envelope.model)
    if reason is None:
        return
    losses.extend(
        Loss(name, reason) for name in envelope.sampling if msgspec.json.decode(fields.pop(name)) != SAMPLING[name]
    )


def _include_reasoning(fields: dict[str, Raw]) -> None:
    names = read(fields.get("include"), STRINGS, "include", "an array of strings") or []
    if ENCRYPTED not in names:
        fields["include"] = Raw(_encoder.encode([*names, ENCRYPTED]))
