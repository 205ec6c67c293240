"""Writes `docs/dialects.md`: where providers depart from the formats that they speak, and what is on record of it."""

from typing import Final

from tests.wire.dialects.rows import COUNTS, FAILED, OWN_TIERS, UNREPORTED, UNTYPED

from komeet.catalog.dialect import Dialect
from komeet.providers.registry import load

NAMES: Final = {
    "openai_chat": "Chat",
    "openai_responses": "Responses",
    "anthropic_messages": "Messages",
    "cohere_chat": "Cohere's chat",
}
EFFORTS: Final = {
    "reasoning": "effort as `reasoning: {effort}`",
    "thinking": "effort as `thinking: {type}` beside `reasoning_effort`",
}
REASONING: Final = {
    "reasoning_content": "earlier reasoning as `reasoning_content`",
    "reasoning": "earlier reasoning as `reasoning`",
    "reasoning_details": "earlier reasoning as `reasoning`, with `reasoning_details`",
    "thinking": "earlier reasoning as `thinking` parts of the content",
}
HEAD: Final = """# Dialects

Many providers speak OpenAI's Chat Completions with departures. What they answer is read in all shapes that are known,
whoever answers. What they are sent is put into their own words, as the provider's row in `registry.toml` says
(`[provider.dialect]`); below is what the rows say. Made by `make docs`, and compared with the rows by the tests.

Where answers are *told anew*, a client library of the caller's format may not be able to read what the provider writes
(a content that is no string, a count that is null): such answers go through the neutral model even where both sides
speak the same format. All others go through as they came.

| provider | departs by |
|---|---|"""
RECORDED: Final = """
## What is on record

Recorded traffic of each provider, and that the tests hold with it: every request is read, and written again in the
provider's dialect, the same; every answer is read, whole or in pieces of a stream, with its usage to the token as the
provider reports it; every answer of Chat, as a caller of the same format gets it, has the types of OpenAI's client
library; every refusal is told as what it is.

| provider | requests | whole answers | streams | refusals |
|---|---|---|---|---|"""


def departures(dialect: Dialect) -> list[str]:
    """Return what a dialect says, in words."""
    said: list[str] = []
    if dialect.translated:
        said.append(f"answers in {', '.join([NAMES[name] for name in dialect.translated])} are told anew")
    if not dialect.developer:
        said.append("the role `developer` is `system`")
    if dialect.reasoning is not None:
        said.append(REASONING[dialect.reasoning])
    if dialect.effort in EFFORTS:
        said.append(EFFORTS[dialect.effort])
    if not dialect.schema:
        said.append("a schema is told to the model, and JSON is asked for")
    said += [f"`{name}` is `{other}`" for name, other in dialect.renamed.items()]
    if dialect.call_ids == "nine":
        said.append("ids of calls are nine letters and digits")
    if dialect.lacks:
        said.append(f"left out: {', '.join([f'`{name}`' for name in dialect.lacks])}")
    return said


def page() -> str:
    """Return the page."""
    rows = load()
    lines = [HEAD]
    for name, row in rows.items():
        said = departures(row.dialect)
        if said:
            lines.append(f"| {row.title} (`{name}`) | {'; '.join(said)} |")
    lines.append(RECORDED)
    for name, counts in sorted(COUNTS.items()):
        lines.append(f"| {rows[name].title} | {counts.asked} | {counts.whole} | {counts.streamed} | {counts.refused} |")
    lines.append("\nLeft out, with the reason:\n")
    excluded = [*FAILED.items(), *UNREPORTED.items(), *UNTYPED.items(), *OWN_TIERS.items()]
    lines += [f"- `{name}`: {why}" for name, why in excluded]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
