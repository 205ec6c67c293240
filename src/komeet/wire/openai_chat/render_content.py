"""From parts to the content of a Chat Completions message."""

import re
from base64 import b64decode
from typing import Final

from msgspec import Raw

from komeet.canonical.loss import Loss
from komeet.canonical.part import (
    Audio,
    File,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    ServerTool,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from komeet.catalog.profile import Profile
from komeet.core.errors import Unrepresentable
from komeet.wire.openai_chat.cache import part_mark
from komeet.wire.openai_chat.members import ORIGIN, came_as, foreign, own

Json = dict[str, object]
Piece = Json | Raw

_PDF: Final = "application/pdf"
_PDF_NAME: Final = "document.pdf"
"""OpenAI refuses a file without a name."""
_TEXT_TYPE: Final = re.compile(r"text/|application/(json|xml)")


class Target:
    """For whom a request is written, and what it could not be told."""

    __slots__ = ("losses", "profile")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.losses: list[Loss] = []

    def lose(self, path: str, reason: str) -> None:
        """Declare a loss."""
        self.losses.append(Loss(path, reason))


def content_pieces(part: Part, path: str, target: Target) -> list[Piece]:
    """Return what says a part; a document that the model is told something about takes two.

    Raises:
        Unrepresentable: 422, the format cannot carry it.
    """
    if isinstance(part, Opaque):
        if part.origin != ORIGIN:
            raise cannot(path, f"a part that only the format {part.origin} knows")
        return [part.value]
    target.losses.extend(foreign(part.extras, path))
    *before, last = _pieces(part, path)
    mark = part_mark(part.cache, path, target.profile, target.losses)
    return [*before, {**last, **mark, **own(part.extras)}]


def plain(pieces: list[Piece]) -> object:
    """Return a plain string where that says it all: there are providers that take nothing else."""
    match pieces:
        case []:
            return ""
        case [{"type": "text", "text": str(text), **others}] if not others:
            return text
        case _:
            return pieces


def text_piece(text: str) -> Json:
    """Return a part of plain text."""
    return {"type": "text", "text": text}


def cannot(path: str, what: str) -> Unrepresentable:
    """Return the refusal of a part."""
    return Unrepresentable(f"{path} is {what}, which Chat Completions cannot carry; leave it out.", param=path)


def _pieces(part: Part, path: str) -> list[Json]:
    match part:
        case Text(text=text):
            return [text_piece(text)]
        case Refusal(text=text):
            return [{"type": "refusal", "refusal": text}]
        case Image():
            return [{"type": "image_url", "image_url": _image(part, path)}]
        case Audio(source=Inline(media_type=media_type, data=data), extras=extras):
            inside = {"data": data, "format": media_type.removeprefix("audio/"), **own(extras, "input_audio")}
            return [{"type": "input_audio", "input_audio": inside}]
        case Audio():
            raise cannot(path, "audio that is not in the request")
        case File():
            return _file(part, path)
        case Reasoning() | ToolCall() | ToolResult() | ServerTool() | Opaque():
            raise cannot(path, f"a {type(part).__name__} in this place")


def _image(image: Image, path: str) -> Json:
    match image.source:
        case Inline(media_type=media_type, data=data):
            url = f"data:{media_type};base64,{data}" if media_type else data
        case Url(url=url):
            pass
        case FileId():
            raise cannot(path, "an image by the id of a file")
    detail = {} if image.detail is None else {"detail": image.detail}
    return {"url": url, **detail, **own(image.extras, "image_url")}


def _file(file: File, path: str) -> list[Json]:
    about = [text_piece(file.context)] if file.context else []
    name = file.filename or file.title
    told: Json = {}
    match file.source:
        case Inline(media_type=media_type, data=data):
            text = _text_of(file.source)
            if text is not None:
                return [*about, text_piece(f"{name}\n{text}" if name else text)]
            told["file_data"] = f"data:{media_type};base64,{data}" if media_type else data
            name = name or (_PDF_NAME if media_type == _PDF else "")
        case FileId(id=known):
            if not came_as(file.extras, "file_id", "file"):
                raise cannot(path, "a document by the id that another format gave it")
            told["file_id"], name = known, file.filename
        case Url(url=url):
            if not came_as(file.extras, "file_data", "file"):
                raise cannot(path, "a document by its URL")
            told["file_data"], name = url, file.filename
    if name:
        told["filename"] = name
    return [*about, {"type": "file", "file": {**told, **own(file.extras, "file")}}]


def _text_of(source: Inline) -> str | None:
    """Return the text of a document that is nothing else: a model of this format reads no such files."""
    if not _TEXT_TYPE.match(source.media_type):
        return None
    try:
        return b64decode(source.data, validate=True).decode()
    except ValueError:  # no base64, or no UTF-8
        return None
