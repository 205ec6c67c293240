"""Sources of an answer's texts."""

from msgspec import Raw

from komeet.canonical.part import Citation
from komeet.wire.cohere_chat.members import ORIGIN, Members
from komeet.wire.json import encode_object
from komeet.wire.members import INT, OBJECT, OBJECTS


def parse_citation(found: dict[str, Raw]) -> tuple[int | None, Citation]:
    """Return the content block that a citation is in, if it says so, and the citation."""
    members = Members(found)
    sources = [_about(source) for source in members.fitting("sources", OBJECTS) or []]
    told = [source for source in sources if source]
    said = Members(told[0] if told else {})
    citation = Citation(
        origin=ORIGIN,
        value=Raw(encode_object(found)),
        url=said.fitting_text("url"),
        title=said.fitting_text("title"),
        quote=said.fitting_text("snippet") or said.fitting_text("text"),
        start=members.fitting("start", INT),
        end=members.fitting("end", INT),
    )
    return members.fitting("content_index", INT), citation


def _about(source: dict[str, Raw]) -> dict[str, Raw]:
    members = Members(source)
    return members.fitting("document", OBJECT) or members.fitting("tool_output", OBJECT) or {}
