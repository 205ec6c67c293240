"""Calls about pictures and sound, as callers make them."""

import json
from typing import Any

from komeet.catalog.profile import Profile
from komeet.wire.media.format import MediaFormat
from komeet.wire.media_way import MediaWay
from komeet.wire.ways import way_between

BOUNDARY = b"b0"
FORM = {b"content-type": b"multipart/form-data; boundary=b0"}


def part(name: str, content: bytes | str, filename: str = "") -> bytes:
    """One field of a form."""
    more = f'; filename="{filename}"' if filename else ""
    data = content if isinstance(content, bytes) else content.encode()
    return f'--b0\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + b"--b0--\r\n"


def asked(format_: MediaFormat, body: object, profile: Profile = Profile()) -> MediaWay:  # noqa: B008 - frozen
    """The way of a call, as far as the request; `body` is JSON, or the bytes of a form."""
    filled = isinstance(body, bytes)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    envelope = format_.parse_envelope(data, FORM if filled else {b"content-type": b"application/json"})
    way = way_between(format_, format_, envelope, id="1", created=1, pass_through=False)
    assert isinstance(way, MediaWay)
    way.request(model="m", profile=profile, output_limit=None, ask_usage=True)
    return way


def sent(way: MediaWay) -> Any:
    """What a provider gets."""
    return way.request(model="m", profile=Profile(), output_limit=None, ask_usage=True)
