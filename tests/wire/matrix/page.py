"""Writes `docs/translation.md`: what is carried on which pair of formats, as the tests find it."""

from typing import Final

from tests.wire.matrix.cases import BOTH_ROLES, CHAPTERS, CHAT, MESSAGES, RESPONSES, Case
from tests.wire.matrix.outcome import outcome

NAMES: Final = {CHAT: "Chat", RESPONSES: "Responses", MESSAGES: "Messages"}
HEAD: Final = """# Translation

A caller speaks OpenAI's Chat Completions, OpenAI's Responses or Anthropic's Messages; the model behind it speaks any
of them. Where both speak the same format, bytes go through as they came. Where they do not, the call goes through a
neutral model, and what becomes of each thing that a request can ask for stands below: made from the tests by `make
docs`, and compared with it by the tests.

- **yes**: carried, in the words of the provider's format.
- **adapted**: said in another way, or left out; `x-komeet-loss` names it, and `translation.losses: refuse` makes such a
  call a 422 instead. Only knobs are ever left out, never content.
- **422**, **400**: refused, with the path: the provider's format has nothing like it.
- **–**: the caller's format cannot say it.

A PDF by URL is fetched and sent along where `media.fetch` allows it, instead of being refused.

These are the formats. A model may take less (see `komeet doctor`): what a profile says that it does not take is adapted
in the same way. Chat → Messages reads: the caller speaks Chat, the provider Messages.
"""


def page() -> str:
    """Return the page."""
    pairs = [(caller, target) for caller in BOTH_ROLES for target in BOTH_ROLES]
    lines = [HEAD]
    for chapter, cases in CHAPTERS.items():
        lines.append(f"## {chapter}\n")
        lines.append("| | " + " | ".join(f"{NAMES[caller]} → {NAMES[target]}" for caller, target in pairs) + " |")
        lines.append("|---|" + "---|" * len(pairs))
        for case in cases:
            cells = [_cell(case, caller, target) for caller, target in pairs]
            lines.append(f"| {case.title} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _cell(case: Case, caller: str, target: str) -> str:
    if caller not in case.said:
        return "–"
    found = outcome(case, caller, target)
    if found.refused:
        return "400" if found.refused == "n" else "422"
    return "adapted" if found.losses else "yes"


if __name__ == "__main__":
    print(page(), end="")
