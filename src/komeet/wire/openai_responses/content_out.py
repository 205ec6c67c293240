"""From parts to the content of a message, or the output of a tool."""

from collections.abc import Sequence
from typing import Final

from komeet.canonical.loss import Loss
from komeet.canonical.part import (
    Audio,
    CacheMark,
    Citation,
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
from komeet.core.errors import Unrepresentable
from komeet.wire.openai_responses.content import BREAKPOINT
from komeet.wire.openai_responses.members import CONTENT, ORIGIN, OWN, foreign, place

Json = dict[str, object]

_TTLS: Final = {"30m": "30m", "12h": "12h", "1h": "30m"}
"""What a cache mark of another format comes nearest to."""
_NAMES: Final = {"application/pdf": "file.pdf", "text/plain": "file.txt", "text/markdown": "file.md"}


class Content:
    """Writes the content of a request's messages.

    Args:
        marks: whether the model takes marks for its prompt cache.
        losses: where that goes which cannot be said.
    """

    __slots__ = ("_losses", "_marks")

    def __init__(self, losses: list[Loss], *, marks: bool) -> None:
        self._losses = losses
        self._marks = marks

    def plain(self, parts: Sequence[Part]) -> str | None:
        """Return the text, where a plain string says it all: there are providers that take nothing else."""
        match parts:
            case [Text(text=text, citations=(), cache=None, extras=extras)] if not extras:
                return text
            case _:
                return None

    def spoken(self, parts: Sequence[Part], path: str, end: int) -> str | None:
        """Return what the assistant said as one string, the only form in which a message without an id may say it.

        None where there is more to it than text; `end` is where the parts end in their turn.
        """
        texts = [part for part in parts if isinstance(part, Text) and ORIGIN not in part.extras]
        if not parts or len(texts) < len(parts) or any(annotations(text) for text in texts):
            return None
        for index, text in enumerate(texts, end - len(texts)):
            self._losses.extend(foreign(text.extras, f"{path}.content[{index}]"))
            self.mark(None if self._marks else text.cache, f"{path}.content[{index}]")
        return "".join([text.text for text in texts])

    def parts(self, part: Part, path: str, *, assistant: bool) -> list[object]:
        """Return the pieces that say `part`; most often one.

        Raises:
            Unrepresentable: 422, a part that the format cannot carry.
        """
        match part:
            case Text(text=text) if assistant:
                told: Json = {"type": "output_text", "text": text, "annotations": annotations(part)}
            case Refusal(text=text) if assistant:
                told = {"type": "refusal", "refusal": text}
            case Text(text=text) | Refusal(text=text):
                told = {"type": "input_text", "text": text}
            case Image():
                told = {"type": "input_image", **_image(part, path)}
            case File():
                return self._file(part, path)
            case Audio():
                told = _audio(part, path)
            case Opaque(origin=origin, value=value):
                if origin != CONTENT:
                    raise cannot(path, f"a part that only the format {origin} knows")
                return [value]
            case Reasoning() | ToolCall() | ToolResult() | ServerTool():
                raise cannot(path, f"a {type(part).__name__} in this place")
        return [{**told, **self._rest(part, path)}]

    def mark(self, mark: CacheMark | None, path: str) -> Json:
        """Return the member that says a cache mark, if the model takes it."""
        if mark is None:
            return {}
        if mark.origin == ORIGIN:
            return {BREAKPOINT: mark.value}
        if not self._marks:
            self._losses.append(
                Loss(f"{path}.{mark.name or 'cache_control'}", "the model takes no marks for its prompt cache")
            )
            return {}
        ttl = _TTLS.get(mark.ttl or "")
        return {BREAKPOINT: {"mode": "explicit", **({"ttl": ttl} if ttl else {})}}

    def _rest(self, part: Text | Refusal | Image | Audio | File, path: str) -> Json:
        self._losses.extend(foreign(part.extras, path))
        return {**self.mark(part.cache, path), **part.extras.get(ORIGIN, {})}

    def _file(self, file: File, path: str) -> list[object]:
        match file.source:
            case Inline(media_type="", data=data):
                told: Json = {"file_data": data}
            case Inline(media_type=media_type, data=data):
                told = {"file_data": f"data:{media_type};base64,{data}"}
            case Url(url=url):
                told = {"file_url": url}
            case FileId(id=name):
                if OWN not in file.extras:
                    raise cannot(path, "a file by the id that another format gave it")
                told = {"file_id": name}
        name = file.filename or file.title
        if not name and isinstance(file.source, Inline) and file.source.media_type:
            name = _NAMES.get(file.source.media_type, "file")
        if name:
            told["filename"] = name
        piece: Json = {"type": "input_file", **told, **self._rest(file, path)}
        return [{"type": "input_text", "text": file.context}, piece] if file.context else [piece]


def annotations(text: Text) -> list[object]:
    """Return the sources of a text, as far as the format has a word for them."""
    told = [_annotation(each, text.text) for each in text.citations]
    return [each for each in told if each is not None]


def annotation(each: Citation, end: int) -> object | None:
    """Return one source; `end`: where the text that it is about ends, unless it says so."""
    if each.origin == ORIGIN:
        return each.value
    if not each.url:
        return None
    return {
        "type": "url_citation",
        "url": each.url,
        "title": each.title,
        "start_index": each.start or 0,
        "end_index": end if each.end is None else each.end,
    }


def _annotation(each: Citation, text: str) -> object | None:
    return annotation(each, len(text))


def cannot(path: str, what: str) -> Unrepresentable:
    """Return the error for a part that the format cannot carry."""
    return Unrepresentable(f"{path} is {what}, which Responses cannot carry; leave it out.", param=path)


def _image(image: Image, path: str) -> Json:
    said = image.detail or (None if OWN in image.extras else "auto")
    detail = {} if said is None else {"detail": said}
    match image.source:
        case Inline(media_type=media_type, data=data):
            return {"image_url": f"data:{media_type or 'image/png'};base64,{data}", **detail}
        case Url(url=url):
            return {"image_url": url, **detail}
        case FileId(id=name):
            if OWN not in image.extras:
                raise cannot(path, "an image by the id that another format gave it")
            return {"file_id": name, **detail}


def _audio(audio: Audio, path: str) -> Json:
    match audio.source:
        case Inline(media_type=media_type, data=data):
            inside = {"data": data, "format": media_type.removeprefix("audio/")}
            return {"type": "input_audio", "input_audio": {**inside, **audio.extras.get(place("input_audio"), {})}}
        case Url() | FileId():
            raise cannot(path, "audio that is not in the request")
