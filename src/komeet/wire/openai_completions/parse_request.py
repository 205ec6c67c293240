"""From a legacy Completions request to the neutral model."""

from komeet.canonical.part import Text
from komeet.canonical.request import Request, Sampling
from komeet.canonical.turn import Role, Turn
from komeet.wire.format import Envelope
from komeet.wire.members import BOOL, INT, NULL, NUMBER, STRING, STRINGS, merged
from komeet.wire.openai_completions.envelope import UNSUPPORTED, read_prompt
from komeet.wire.openai_completions.members import Members


def parse_request(envelope: Envelope) -> Request:
    """Return the request: the prompt as the one turn of a user.

    Raises:
        WireError: 400, with the path of what is of the wrong type.
    """
    fields = envelope.fields
    members = Members(fields)
    for name in ("model", "prompt", "max_tokens", "n", "stream", *UNSUPPORTED):
        members.raw(name)
    options = members.within("stream_options") or Members({})
    return Request(
        model=envelope.model,
        turns=(Turn(role=Role.USER, parts=(Text(text=read_prompt(fields.get("prompt"))),)),),
        sampling=Sampling(
            temperature=members.take("temperature", NUMBER, "a number"),
            top_p=members.take("top_p", NUMBER, "a number"),
            presence_penalty=members.take("presence_penalty", NUMBER, "a number"),
            frequency_penalty=members.take("frequency_penalty", NUMBER, "a number"),
            seed=members.take("seed", INT, "an integer"),
        ),
        output_limit=envelope.output_limit,
        stop=_stop(members),
        candidates=envelope.candidates if fields.get("n", NULL) != NULL else None,
        stream=envelope.stream if fields.get("stream", NULL) != NULL else None,
        include_usage=options.take("include_usage", BOOL, "a boolean"),
        user=members.text("user"),
        extras=merged(members.left(), options.left("stream_options")),
    )


def _stop(members: Members) -> tuple[str, ...]:
    one = members.fitting("stop", STRING)
    if one is not None:
        return (one,)
    return tuple(members.take("stop", STRINGS, "a string or an array of strings") or ())
