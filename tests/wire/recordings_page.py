"""Writes `docs/recordings.md`: which recorded calls of real providers the tests hold, and which they do not."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from tests.wire.bedrock_converse.test_recordings import NOT_REPEATED
from tests.wire.dialects.rows import FAILED, OWN_TIERS, UNREPORTED, UNTYPED
from tests.wire.matrix.test_recordings import REFUSALS
from tests.wire.openai_chat import test_recordings as chat
from tests.wire.openai_responses import test_recordings as responses
from tests.wire.recordings import Recording

FORMATS: Final[Mapping[str, str]] = {
    "/chat/completions": "Chat Completions",
    "/responses": "Responses",
    "/messages": "Messages",
    ":generateContent": "Gemini",
    ":streamGenerateContent": "Gemini",
    "/converse": "Converse",
    "/converse-stream": "Converse",
    "/v2/chat": "Cohere's chat",
    "/embeddings": "embeddings",
}
COUNTS: Final[Mapping[tuple[str, str], tuple[int, int, int]]] = {
    ("anthropic", "Chat Completions"): (1, 0, 0),
    ("anthropic", "Messages"): (224, 133, 9),
    ("azure", "Chat Completions"): (3, 17, 0),
    ("azure", "Responses"): (1, 2, 0),
    ("bedrock", "Converse"): (75, 15, 2),
    ("cerebras", "Chat Completions"): (1, 0, 0),
    ("cloudflare", "Chat Completions"): (3, 6, 0),
    ("cohere", "Cohere's chat"): (5, 0, 0),
    ("deepseek", "Chat Completions"): (1, 13, 0),
    ("deepseek", "Responses"): (7, 2, 1),
    ("google", "Chat Completions"): (2, 0, 0),
    ("google", "Gemini"): (158, 73, 3),
    ("groq", "Chat Completions"): (14, 0, 3),
    ("huggingface", "Chat Completions"): (10, 10, 0),
    ("local", "Chat Completions"): (2, 1, 0),
    ("local", "Gemini"): (1, 0, 0),
    ("local", "Messages"): (1, 1, 0),
    ("local", "Responses"): (1, 1, 0),
    ("mistral", "Chat Completions"): (12, 7, 0),
    ("openai", "Chat Completions"): (142, 102, 8),
    ("openai", "Responses"): (264, 122, 10),
    ("openai", "embeddings"): (9, 0, 1),
    ("openrouter", "Chat Completions"): (25, 18, 0),
    ("openrouter", "Responses"): (2, 1, 0),
    ("zai", "Chat Completions"): (5, 0, 0),
}
"""By file of recordings and format: whole answers, streams, refusals."""
ELSEWHERE: Final = 162
"""Recorded calls of other APIs."""

HEAD: Final = """# Recordings

1,692 calls of real providers, recorded by the tests of public projects, are the truth about the wire. Of those,
{held} are of a wire format that Komeet speaks, and the tests hold every one of them (with `KOMEET_RECORDINGS`; without
it they are skipped). Made by `make docs`, and counted again by the tests.

What is checked of a format that callers speak: each request read and written again is equal, by the neutral model and
around it; each answer, whole and as a stream split anywhere, has the provider's own tokens; forwarded bytes are the
provider's; the stream of an answer folds to the answer; a refusal is told as what it is. Of Converse and Cohere's chat,
which only providers speak: the answers likewise, and each request said again from the neutral model is equal.

| recordings | format | whole answers | streams | refusals |
|---|---|---|---|---|"""

FOOT: Final = """
## Between formats

1,386 requests of the four formats that callers speak are led to the other three: of {crossings:,} crossings {same:,}
say the same, {refused} are refused by the path of what the other format has no words for:

{reasons}

The answers of all six formats say the same in each of the four, whole and streamed, with the provider's own tokens.

## What is not looked at

{others} calls of other APIs: Bedrock's InvokeModel (64), files and stores of vectors, batches, conversations,
compaction, lists of models, counting of tokens, and tools of the recording projects.
"""


def format_of(recording: Recording) -> str:
    """The format of a call; empty: none that is spoken here."""
    path = recording.path.rstrip("/")
    known = next((name for end, name in FORMATS.items() if path.endswith(end)), "")
    return known if recording.method == "POST" else ""


def counted(recordings: tuple[Recording, ...]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Count the calls as `COUNTS` has them."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for each in recordings:
        spoken = format_of(each)
        if spoken:
            kind = "refused" if each.status >= 400 else "stream" if bytes(each.response)[:1] == b'"' else "whole"
            found.setdefault((each.name.partition(":")[0], spoken), Counter())[kind] += 1
    return {key: (kinds["whole"], kinds["stream"], kinds["refused"]) for key, kinds in found.items()}


def page() -> str:
    """Return the page."""
    held = sum(sum(counts) for counts in COUNTS.values())
    lines = [HEAD.replace("{held}", f"{held:,}")]
    lines += [
        f"| {file} | {name} | {' | '.join(map(str, counts))} |" for (file, name), counts in sorted(COUNTS.items())
    ]
    lines += ["", "## What is excepted from a check, with the reason", ""]
    excepted = {
        **chat.UNREPORTED,
        **chat.UNFINISHED,
        **chat.REWORDED,
        **FAILED,
        **UNREPORTED,
        **UNTYPED,
        **OWN_TIERS,
        **responses.INTERLEAVED,
        **responses.REWORDED,
        **{name: f"not said again: {why}" for name, why in NOT_REPEATED.items()},
    }
    lines += [f"- `{name}`: {why}" for name, why in sorted(excepted.items(), key=_by_number)]
    crossings, refused = 3 * 1386, sum(REFUSALS.values())
    reasons = "\n".join(f"- {count}: {why}" for why, count in REFUSALS.items())
    lines.append(
        FOOT.format(crossings=crossings, same=crossings - refused, refused=refused, reasons=reasons, others=ELSEWHERE)
    )
    return "\n".join(lines)


def _by_number(named: tuple[str, str]) -> tuple[str, int]:
    file, _, number = named[0].partition(":")
    return file, int(number or 0)


if __name__ == "__main__":
    print(page(), end="")
