"""From pictures, sounds and files to parts: their data, or an address that Google itself knows."""

from typing import Final

from komeet.canonical.part import Audio, File, FileId, Image, Inline, Url
from komeet.wire.gemini.members import has_sign, own, place
from komeet.wire.gemini.parts_in import DISPLAYED, MEDIA_TYPE, OWN_FILE
from komeet.wire.gemini.rendering import Rendering, cannot

Json = dict[str, object]

_STARTS: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}
"""How base64 begins of what can be told by its first bytes."""
_TAKEN: Final = ("gs://", "https://")
"""Addresses that Google takes: of its own storage, and of the web (https://ai.google.dev/gemini-api/docs/file-input-methods)."""
_ENDINGS: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".heic": "image/heic",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".html": "text/html",
    ".csv": "text/csv",
    ".json": "application/json",
    ".mp3": "audio/mp3",
    ".wav": "audio/wav",
    ".mp4": "video/mp4",
}
"""What the end of an address tells of the type, which Google wants to be told."""


def media_part(part: Image | Audio | File, path: str) -> Json:
    """Return the part that says a medium.

    Raises:
        Unrepresentable: 422, the format cannot carry it; `param` is its path.
    """
    named = part.filename if isinstance(part, File) else ""
    shown = {"displayName": named} if named and has_sign(part.extras, DISPLAYED) else {}
    match part.source:
        case Inline(media_type=media_type, data=data):
            kind = media_type or _guessed(data)
            if not kind:
                raise cannot(path, "a file whose type is not told")
            return {"inlineData": {"mimeType": kind, "data": data, **shown, **own(part.extras, "inlineData")}}
        case Url(url=url):
            if not has_sign(part.extras, OWN_FILE) and not url.startswith(_TAKEN):
                raise cannot(path, "an address that Gemini does not fetch: it takes https://")
            return {"fileData": {**_typed(part), "fileUri": url, **shown, **own(part.extras, "fileData")}}
        case FileId():
            raise cannot(path, "named by the id of another provider's file")


def lose_details(part: Image | Audio | File, path: str, rendering: Rendering) -> None:
    """Declare what the format does not say of a medium."""
    match part:
        case Image(detail=detail) if detail not in (None, "auto"):
            rendering.lose(f"{path}.detail", "Gemini does not say of each image how closely to look at it")
        case File(filename=filename, title=title, extras=extras):
            for name, value in (("filename", filename), ("title", title)):
                if value and not has_sign(extras, DISPLAYED):
                    rendering.lose(f"{path}.{name}", "Gemini is not told the names of files")
        case _:
            pass


def _typed(part: Image | Audio | File) -> Json:
    kinds = list(part.extras.get(place(MEDIA_TYPE), {}))
    if kinds:
        return {"mimeType": kinds[0]}
    path = part.source.url.partition("?")[0].lower() if isinstance(part.source, Url) else ""
    kind = next((kind for ending, kind in _ENDINGS.items() if path.endswith(ending)), None)
    return {} if kind is None else {"mimeType": kind}


def _guessed(data: str) -> str:
    return next((kind for start, kind in _STARTS.items() if data.startswith(start)), "")
