"""What a format says that the model has no word for: kept as it was written, by the format that said it."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

Extras = Mapping[str, Mapping[str, Raw]]
"""By origin (a format, or a place in one: `openai_chat`, `openai_chat.message`), then by member name, in order."""

_NULL = b"null"
_objects = msgspec.json.Decoder(dict[str, Raw])


def join(pieces: Sequence[Raw]) -> Raw:
    """Return the JSON value that a stream sent in `pieces`: arrays end to end, objects member by member, else the last.

    A null gives way to anything. Linear in the length of the pieces.
    """
    told = [piece for piece in pieces if bytes(piece) != _NULL]
    if len(told) < 2:
        return told[0] if told else Raw(_NULL)
    texts = [bytes(piece) for piece in told]
    if all(text.startswith(b"[") for text in texts):
        inner = [text[1:-1].strip() for text in texts]
        return Raw(b"[" + b",".join([text for text in inner if text]) + b"]")
    if all(text.startswith(b"{") for text in texts):
        members: dict[str, list[Raw]] = {}
        for piece in told:
            for name, value in _objects.decode(piece).items():
                members.setdefault(name, []).append(value)
        return Raw(msgspec.json.encode({name: join(values) for name, values in members.items()}))
    return told[-1]
