"""Sources of an answer's texts, as the annotations of its message."""

from collections.abc import Iterable

from komeet.canonical.part import Citation


def annotations(citations: Iterable[Citation], offset: int, length: int) -> list[dict[str, object]]:
    """Return the annotations that say the citations of one text; those without a URL are left out.

    Args:
        citations: of the text.
        offset: where the text begins in the content of its message, in characters.
        length: of the text.
    """
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": citation.url,
                "title": citation.title,
                "start_index": offset + (citation.start or 0),
                "end_index": offset + (length if citation.end is None else citation.end),
            },
        }
        for citation in citations
        if citation.url
    ]
