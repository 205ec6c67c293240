"""Writes `docs/translation.md`: what is carried on which pair of formats, as the tests find it."""

from typing import Final

from tests.wire.matrix.cases import CALLERS, CHAPTERS, CHAT, MESSAGES, RESPONSES, TARGETS, Case
from tests.wire.matrix.gemini_cases import GEMINI
from tests.wire.matrix.outcome import outcome

NAMES: Final = {
    CHAT: "Chat",
    RESPONSES: "Responses",
    MESSAGES: "Messages",
    GEMINI: "Gemini",
    "bedrock_converse": "Converse",
    "cohere_chat": "Cohere",
}
TITLES: Final = {
    CHAT: "OpenAI's Chat Completions",
    RESPONSES: "OpenAI's Responses",
    MESSAGES: "Anthropic's Messages",
    GEMINI: "Google's Gemini",
}
HEAD: Final = """# Translation

A caller speaks OpenAI's Chat Completions, OpenAI's Responses, Anthropic's Messages or Google's Gemini; the model behind
it speaks any of them, Amazon Bedrock's Converse or Cohere's own chat. Where both speak the same format, bytes go
through as they came. Where they do not, the call goes through a neutral model, and what becomes of each thing that a
request can ask for stands below: made from the tests by `make docs`, and compared with it by the tests.

- **yes**: carried, in the words of the provider's format.
- **adapted**: said in another way, or left out; `x-komeet-loss` names it, and `translation.losses: refuse` makes such a
  call a 422 instead. Only knobs are ever left out, never content.
- **422**, **400**: refused, with the path: the provider's format has nothing like it.

What a caller's format cannot say has no line in its table.

Documents and images by URL are fetched and sent along where `media.fetch` allows it, instead of being refused.

These are the formats. A model may take less (see `komeet doctor`): what a profile says that it does not take is adapted
in the same way. How providers depart from the format that they speak is on [a page of its own](dialects.md).
"""


def page() -> str:
    """Return the page."""
    lines = [HEAD]
    for caller in CALLERS:
        lines += [
            f"## Callers of {TITLES[caller]}",
            "",
            "| | " + " | ".join(f"→ {NAMES[target]}" for target in TARGETS) + " |",
            "|---|" + "---|" * len(TARGETS),
        ]
        for chapter, cases in CHAPTERS.items():
            lines.append(f"| **{chapter}** |" + " |" * len(TARGETS))
            for case in [each for each in cases if caller in each.said]:
                cells = " | ".join(_cell(case, caller, target) for target in TARGETS)
                lines.append(f"| {case.title} | {cells} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _cell(case: Case, caller: str, target: str) -> str:
    found = outcome(case, caller, target)
    if found.refused:
        return "400" if found.refused == "n" else "422"
    return "adapted" if found.losses else "yes"


if __name__ == "__main__":
    print(page(), end="")
