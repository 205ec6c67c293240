"""Seals that travel through a caller of another format: what one provider sealed comes back to it unchanged.

A caller keeps a reasoning's seal for the next turn in the member that its own format has for one (`signature`,
`encrypted_content`). Where the seal is of another format, that member holds it wrapped, with where it belongs. It is
not secret from the caller, who may have it anyway, and not believed: the provider checks what it sealed.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import msgspec
from msgspec import Raw, Struct

from komeet.canonical.part import Seal

MARK: Final = "komeet-seal-1."
"""What every wrapped seal begins with; a request that holds it never takes the identity path."""


class _Wrapped(Struct, omit_defaults=True):
    origin: str = ""
    name: str = ""
    value: Raw = Raw(b"null")


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Wrapped)


def wrap(seal: Seal | None) -> str:
    """Return `seal` as plain ASCII, for a member of another format; None: there was none, which comes back too."""
    wrapped = _Wrapped() if seal is None else _Wrapped(seal.origin, seal.name, seal.value)
    return MARK + urlsafe_b64encode(_encoder.encode(wrapped)).decode("ascii")


def is_wrapped(text: str) -> bool:
    """Whether `text` is one of ours."""
    return text.startswith(MARK)


def unwrap(text: str) -> Seal | None:
    """Return the seal in `text`; None where it holds none, or was damaged on its way."""
    try:
        wrapped = _decoder.decode(urlsafe_b64decode(text.removeprefix(MARK).encode("ascii")))
    except (ValueError, RecursionError):  # msgspec's DecodeError and base64's are ValueErrors
        return None
    return Seal(origin=wrapped.origin, name=wrapped.name, value=wrapped.value) if wrapped.origin else None
