"""The identity path: the caller's own request, with the few edits that a model or the gateway needs.

The body is always written anew from the members that were read: the provider cannot see another request than the one
that was checked and priced. What is not edited keeps its bytes and its place.
"""

from typing import Final

import msgspec
from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.catalog.dialect import Dialect
from komeet.catalog.profile import Profile
from komeet.core.errors import WireError
from komeet.wire.format import Edited, Envelope
from komeet.wire.json import encode_object
from komeet.wire.members import NULL, OBJECT
from komeet.wire.openai_chat.envelope import LIMITS, SAMPLING
from komeet.wire.openai_chat.in_dialect import Json, edited_messages, in_dialect

_TRUE = Raw(b"true")
_USAGE_ASKED = Raw(b'{"include_usage":true}')
_PLAIN: Final = Dialect()
_encoder = msgspec.json.Encoder()


def edit(envelope: Envelope, *, model: str, profile: Profile, output_limit: int | None, ask_usage: bool) -> Edited:
    """Return the request for a provider of this format.

    Args:
        envelope: the caller's request.
        model: what the provider calls the model.
        profile: what the model takes.
        output_limit: tokens; set only where the caller set no limit.
        ask_usage: whether the stream is asked to report usage; False takes the caller's own wish out, too.

    Raises:
        WireError: it has what the model cannot honour.

    The limit goes by the name that the profile says. Sampling parameters that the model does not take are dropped: with
    a Loss, unless they say what is the default anyway.
    """
    _refuse(envelope, profile)
    fields = _set_limit(envelope, profile, output_limit)
    fields["model"] = Raw(_encoder.encode(model))
    losses: list[Loss] = []
    if profile.accepts:
        _drop_unknown(fields, profile, losses)
    if envelope.fields.keys() & SAMPLING.keys():
        _drop_sampling(fields, envelope, profile, losses)
    if envelope.stream:
        _set_usage(fields, envelope, losses, ask=ask_usage)
    if profile.dialect == _PLAIN:
        return Edited(body=encode_object(fields), losses=tuple(losses))
    fields["messages"] = edited_messages(fields["messages"], profile.dialect)
    told: Json = {**fields}
    return Edited(body=_encoder.encode(in_dialect(told, profile.dialect, losses)), losses=tuple(losses))


def _refuse(envelope: Envelope, profile: Profile) -> None:
    for name in profile.refuses:
        if envelope.fields.get(name, NULL) != NULL:
            raise WireError(f"{envelope.model} does not take `{name}`.", param=name, code="unsupported_parameter")
    if profile.candidates is not None and envelope.candidates > profile.candidates:
        raise WireError(
            f"{envelope.model} gives {profile.candidates} answer to a call, not {envelope.candidates}.",
            param="n",
            code="unsupported_value",
        )


def _drop_unknown(fields: dict[str, Raw], profile: Profile, losses: list[Loss]) -> None:
    unknown = [name for name in fields if name not in profile.accepts]
    losses.extend(Loss(name, "the model does not take it") for name in unknown if fields[name] != NULL)
    for name in unknown:
        del fields[name]


def _set_limit(envelope: Envelope, profile: Profile, output_limit: int | None) -> dict[str, Raw]:
    fields = dict(envelope.fields)
    named = [name for name in LIMITS if name in fields]
    told = [name for name in named if fields[name] != NULL]
    wanted = profile.limit_field
    if not told:
        if output_limit is None:
            return fields
        for name in named:
            del fields[name]
        fields[wanted or LIMITS[-1]] = _number(output_limit)
        return fields
    if len(told) > 1:
        assert envelope.output_limit is not None
        fields.update(dict.fromkeys(told, _number(envelope.output_limit)))
    if wanted is None or named == [wanted]:
        return fields
    value = fields[told[0]]
    renamed: dict[str, Raw] = {}
    for name, raw in fields.items():
        if name not in LIMITS:
            renamed[name] = raw
        elif wanted not in renamed:
            renamed[wanted] = value
    return renamed


def _number(value: int) -> Raw:
    return Raw(str(value).encode())


def _drop_sampling(fields: dict[str, Raw], envelope: Envelope, profile: Profile, losses: list[Loss]) -> None:
    reason = profile.refuses_sampling(envelope.effort, envelope.model)
    if reason is None:
        return
    for name, default in SAMPLING.items():
        raw = fields.pop(name, NULL)
        if raw != NULL and msgspec.json.decode(raw) != default:
            losses.append(Loss(name, reason))


def _set_usage(fields: dict[str, Raw], envelope: Envelope, losses: list[Loss], *, ask: bool) -> None:
    raw = fields.get("stream_options")
    if raw is None or raw == NULL:
        if ask:
            fields["stream_options"] = _USAGE_ASKED
        return
    members = OBJECT.decode(raw) or {}
    if ask:
        members["include_usage"] = _TRUE
    else:
        members.pop("include_usage", None)
        if envelope.include_usage:
            losses.append(Loss("stream_options.include_usage", "it is not sent to this provider"))
    if members:
        fields["stream_options"] = Raw(encode_object(members))
    else:
        del fields["stream_options"]
