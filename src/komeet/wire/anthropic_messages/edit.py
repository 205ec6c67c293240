"""The identity path: the caller's own request, with the few edits that a model or the gateway needs.

The body is always written anew from the members that were read: the provider cannot see another request than the one
that was checked and priced. What is not edited keeps its bytes and its place.
"""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.catalog.profile import Profile
from komeet.core.http import Headers
from komeet.wire.anthropic_messages.envelope import BETA, FIRST_VERSION, NEW_VERSION, SAMPLING, VERSION
from komeet.wire.format import Edited, Envelope, KeyHeader
from komeet.wire.json import encode_object
from komeet.wire.members import NULL

HEADERS: Final[Headers] = ((VERSION, FIRST_VERSION),)
"""What goes with a request that is ours."""


def edit(envelope: Envelope, *, model: str, profile: Profile, output_limit: int | None) -> Edited:
    """Return the request for a provider of this format.

    Args:
        envelope: the caller's request.
        model: what the provider calls the model.
        profile: what the model takes.
        output_limit: tokens; set only where the caller set no limit.

    Sampling parameters that the model does not take are dropped: with a Loss, unless they say what is the default.
    """
    fields = dict(envelope.fields)
    fields["model"] = Raw(msgspec.json.encode(model))
    if output_limit is not None and fields.get("max_tokens", NULL) == NULL:
        fields["max_tokens"] = Raw(str(output_limit).encode())
    losses: list[Loss] = []
    reason = profile.refuses_sampling(envelope.effort, envelope.model) if envelope.sampling else None
    if reason is not None:
        for name in envelope.sampling:
            raw = fields.pop(name)
            if msgspec.json.decode(raw) != SAMPLING[name]:
                losses.append(Loss(name, reason))
    headers, key = sent_headers(envelope)
    return Edited(body=encode_object(fields), losses=tuple(losses), headers=headers, key=key)


def sent_headers(envelope: Envelope) -> tuple[Headers, KeyHeader]:
    """Return the headers that go with the caller's own request, and how the key is shown with them."""
    told = dict(envelope.headers)
    version = told.get(VERSION, FIRST_VERSION)
    beta = [(BETA, told[BETA])] if BETA in told else []
    return ((VERSION, version), *beta), "bearer" if version == NEW_VERSION else "x-api-key"
