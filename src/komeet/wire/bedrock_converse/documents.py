"""Media as Bedrock takes it: by format, not by media type, and documents with a name of few kinds of characters."""

import re
from typing import Final

PICTURES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
DOCUMENTS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_AS_TEXT: Final = ("text/", "application/json", "application/xml", "application/yaml")
"""Other types that are text: a model reads them as one."""
SOUNDS: Final = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/opus": "opus",
    "audio/ogg": "ogg",
    "audio/mp4": "mp4",
    "audio/webm": "webm",
    "audio/pcm": "pcm",
    "audio/pcm16": "pcm",
}
FILMS: Final = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/mpeg": "mpeg",
    "video/x-flv": "flv",
    "video/x-ms-wmv": "wmv",
    "video/x-matroska": "mkv",
    "video/3gpp": "three_gp",
}
_STARTS: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}
"""How base64 begins of what can be told by its first bytes."""

_MOST: Final = 200
_NOT_TAKEN: Final = re.compile(r"[^a-zA-Z0-9\s()\[\]-]+")
_SPACES: Final = re.compile(r"\s+")


def guessed(media_type: str, data: str) -> str:
    """Return the media type, without parameters; by how the base64 begins where none is told."""
    told = media_type.partition(";")[0].strip().lower()
    return told or next((kind for start, kind in _STARTS.items() if data.startswith(start)), "")


def document_format(media_type: str) -> str | None:
    """Return the format of a document; None where Bedrock has none for it."""
    return DOCUMENTS.get(media_type) or ("txt" if media_type.startswith(_AS_TEXT) else None)


class Names:
    """The names of one request's documents: each is there once, and of characters that Bedrock takes."""

    __slots__ = ("wanted",)

    def __init__(self) -> None:
        self.wanted: dict[str, str] = {}
        """By name: what the caller calls the document."""

    def give(self, wanted: str, format_: str) -> tuple[str, bool]:
        """Return the name of the next document, and whether it says all that `wanted` does.

        Args:
            wanted: what the caller calls it; empty: nothing.
            format_: its format, which its name need not repeat.
        """
        bare = wanted.removesuffix(f".{format_}")
        plain = _SPACES.sub(" ", _NOT_TAKEN.sub("-", bare)).strip()[:_MOST].strip("- ")
        name = plain or f"Document {len(self.wanted) + 1}"
        count = 1
        while name in self.wanted:
            count += 1
            name = f"{(plain or 'Document')[: _MOST - 8]} ({count})"
        self.wanted[name] = wanted or name
        return name, not wanted or plain == bare
