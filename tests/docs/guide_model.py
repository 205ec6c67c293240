"""The provider behind docs/guide.md: a model that knows the questions asked there, and a prompt cache."""

import json
from typing import Any

from tests.clients.model import Asked
from tests.clients.provider import FORMATS
from tests.whole.speech import Scene, Usage
from tests.whole.upstream import Received, Step, whole

COMET = "A comet is a body of ice and dust that grows a tail near the Sun."
SLUGIFY = '''import re
import unicodedata


def slugify(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))


def test_nothing() -> None:
    assert slugify("") == ""


def test_several_spaces() -> None:
    assert slugify("A  Long   Day") == "a-long-day"


def test_accents() -> None:
    assert slugify("Café à la crème") == "cafe-a-la-creme"'''
_SAID: tuple[tuple[str, str], ...] = (
    ("How many A-100", "There are 7 pieces of A-100."),
    ("What is a comet?", COMET),
    ("8051", "No: 8051 = 83 × 97."),
    ("Note the facts", "The line ran without a stop in all of these weeks."),
    ("for the board", "The line ran all year without a stop."),
    ("Summarise this conversation", "Goal: move the office. Days 1 to 18: the desks were counted. Open: the date."),
    ("slugify", SLUGIFY),
    ("Count from 1 to 5", "1\n2\n3\n4\n5\nEND\nThat was all."),
    ("How long may I return", "Within 30 days of delivery [S1]."),
    ("Iceland", "I don't know."),
    ("opened software", "Yes, of course."),
    ("new laptop", "After four years."),
    ("old one", "Yes, for its rest value."),
)
_THOUGHT = {"low": 220, "medium": 800, "high": 2_400, "xhigh": 7_600}
"""Tokens of thinking, by effort."""
_CACHED_FROM = 1_024
_CACHED_STEP = 128


class GuideModel:
    """Answers in four wire formats; what it cannot answer, it keeps, and refuses."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.puzzled: list[str] = []
        self._prompts: list[str] = []

    def answer(self, request: Received) -> list[Step]:
        """Answer one request as its endpoint does."""
        body = request.json
        self.bodies.append(body)
        name = {"completions": "openai_chat", "responses": "openai_responses", "messages": "anthropic_messages"}
        read, write = FORMATS[name[request.target.rpartition("/")[2]]]
        asked = read(body)
        calls, text = _calls(asked), ""
        if not calls:
            text = _form(asked) if asked.schema else _words(asked.wish)
        if not calls and not text:
            self.puzzled.append(asked.wish)
            return whole({"error": {"message": "What?", "type": "bad"}}, 400)
        stopped = min((at for at in (text.find(stop) for stop in asked.stop) if at > 0), default=len(text))
        scene = Scene("", "", calls, text[:stopped], "" if stopped == len(text) else "sequence", model=body["model"])
        thought = _THOUGHT.get(_effort(body), 0)
        usage = self._usage(asked, body, thought + (len(text) + sum(len(call[2]) for call in calls)) // 4)
        if body.get("stream"):
            return write.stream(scene, usage)
        answer = write.whole(scene, usage)
        for name in ("completion_tokens_details", "output_tokens_details"):
            if name.partition("_details")[0] in answer["usage"] and write is not FORMATS["anthropic_messages"][1]:
                answer["usage"][name] = {"reasoning_tokens": thought}
        return whole(answer)

    def _usage(self, asked: Asked, body: Any, written: int) -> Usage:
        prompt = body["model"] + "\n".join(turn.text for turn in asked.turns)
        alike = max((_alike(prompt, earlier) // 4 for earlier in self._prompts), default=0)
        self._prompts.append(prompt)
        cached = alike // _CACHED_STEP * _CACHED_STEP if alike >= _CACHED_FROM else 0
        return len(prompt) // 4, cached, written


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _effort(body: Any) -> str:
    reasoning: dict[str, str] = body.get("reasoning") or {}
    return str(body.get("reasoning_effort") or reasoning.get("effort") or "")


def _words(wish: str) -> str:
    return next((said for part, said in _SAID if part in wish), "")


def _calls(asked: Asked) -> tuple[tuple[str, str, str], ...]:
    """At first with a mistake, then as the tool told it to."""
    results = [turn.text for turn in asked.since if turn.kind == "result"]
    if not asked.tools or len(results) > 1:
        return ()
    article = "A-100" if results else "A100"
    return ((f"call_{len(results)}", asked.tools[0].name, json.dumps({"article": article})),)


def _form(asked: Asked) -> str:
    """At first with a date in words, then as it was told to."""
    deadline = "2026-12-04" if asked.wish.startswith("Put this right") else "Friday"
    task = {"owner": "Ann", "deadline": deadline, "task": "Send the offer."}
    return json.dumps({"summary": "Ann sends the offer; the new logo is fine.", "tasks": [task]})
