"""The top level of an OpenAI embeddings request, checked as OpenAI checks it and in its words."""

from typing import ClassVar, Final

from komeet.canonical.embedding import Encoding
from komeet.core.errors import WireError
from komeet.wire.embeddings.inputs import parse_inputs
from komeet.wire.format import Envelope
from komeet.wire.json import parse_object
from komeet.wire.members import INT, STRING, Members, missing, read

ORIGIN: Final = "openai_embeddings"


class RequestMembers(Members):
    """Members of a request."""

    __slots__ = ()

    origin: ClassVar[str] = ORIGIN


def parse_envelope(body: bytes) -> Envelope:
    """Read a request; members that are null count as absent, unknown ones are kept.

    Raises:
        WireError: 400; the body is not one JSON object (see `wire.json`), or a member that the gateway reads is
            missing, has the wrong type, or is empty; `param` is its path.
    """
    fields = parse_object(body)
    model = read(fields.get("model"), STRING, "model", "a string")
    if model is None:
        raise missing("model")
    if not model:
        raise WireError("Invalid 'model': empty string. Name a model.", param="model", code="invalid_value")
    inputs = len(parse_inputs(fields.get("input")))
    dimensions = read(fields.get("dimensions"), INT, "dimensions", "an integer")
    if dimensions is not None and dimensions < 1:
        raise WireError(
            "Invalid 'dimensions': integer below minimum value. Expected a value >= 1.",
            param="dimensions",
            code="integer_below_min_value",
        )
    for name in ("user", "input_type"):
        read(fields.get(name), STRING, name, "a string")
    envelope = Envelope(fields=fields, size=len(body), model=model, inputs=inputs, output_limit=0)
    wanted_encoding(envelope)
    return envelope


def wanted_encoding(envelope: Envelope) -> Encoding:
    """Return how the caller wants its vectors written; raises WireError where it names no way that there is."""
    named = read(envelope.fields.get("encoding_format"), STRING, "encoding_format", "a string")
    match named:
        case None | "float":
            return Encoding.FLOAT
        case "base64":
            return Encoding.BASE64
        case _:
            raise WireError(
                "Invalid value for 'encoding_format'. Supported values are: 'float' and 'base64'.",
                param="encoding_format",
                code="invalid_value",
            )
