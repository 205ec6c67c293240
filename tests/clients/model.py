"""A model that does as it is told: it calls the tools it is pointed at, fills schemas, says what it was shown."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.whole.speech import Scene, Usage

SEAL: Final = "U0VBTC0x"
REASONING: Final = "The user wants an answer."
_ORDER: Final = re.compile(r"Use the tool (\S+) with (\{.*?\})(?=\s|$)", re.DOTALL)
_REPEAT: Final = re.compile(r"Repeat: (.*)", re.DOTALL)
_QUOTED: Final = re.compile(r"'([^'\n]{2,})'|\"([^\"\n]{2,})\"")
_NAMES: Final = re.compile(r"(?<=\s)[A-Z]\w+(?: [A-Z]\w+)*")
_FEW_TOOLS: Final = 4
"""With more tools than this, a word of a tool's name in a sentence is no wish to call it."""
_FORMATS: Final = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@dataclass(frozen=True)
class Tool:
    """A function that may be called."""

    name: str
    schema: Any


@dataclass(frozen=True)
class Turn:
    """`user`, `assistant`, `call` (text: its name) or `result`."""

    kind: str
    text: str
    media: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A request, whatever format it came in."""

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    choice: str = "auto"
    """`auto`, `none`, `any`, or a tool's name."""
    schema: Any = None
    """What the answer's text shall satisfy."""
    json_mode: bool = False
    stop: tuple[str, ...] = ()
    limit: int | None = None
    reasons: bool = False

    @property
    def wish(self) -> str:
        """What the user said last."""
        return next((turn.text for turn in reversed(self.turns) if turn.kind == "user"), "")

    @property
    def since(self) -> list[Turn]:
        """What happened since."""
        at = max((n for n, turn in enumerate(self.turns) if turn.kind == "user"), default=-1)
        return list(self.turns[at + 1 :])


def decide(asked: Asked) -> tuple[Scene, Usage]:
    """Say something, or call."""
    calls = tuple(
        (f"call_{len(asked.turns)}_{number}", name, json.dumps(arguments, ensure_ascii=False))
        for number, (name, arguments) in enumerate(_calls(asked))
    )
    text, stop = ("", "") if calls else _cut(_text(asked), asked)
    scene = Scene(REASONING if asked.reasons else "", SEAL if asked.reasons else "", calls, text, stop)
    told = sum(len(turn.text) + 8 for turn in asked.turns) // 4 + 1
    return scene, (told, 0, 5 + (len(text) + sum(len(call[2]) for call in calls)) // 4)


def _calls(asked: Asked) -> Iterator[tuple[str, Any]]:
    by_name = {tool.name: tool for tool in asked.tools}
    done = {turn.text for turn in asked.since if turn.kind == "call"}
    answered = any(turn.kind == "result" for turn in asked.since)
    if not by_name or asked.choice == "none":
        return
    if asked.choice in by_name:
        wanted = [by_name[asked.choice]]
    elif asked.choice == "any":
        left = [tool for tool in asked.tools if tool.name not in done] or list(asked.tools)
        wanted = _mentioned(asked.wish, left) or left[:1]
    elif answered:
        return
    else:
        orders = [(name, arguments) for name, arguments in _ORDER.findall(asked.wish) if name in by_name]
        if orders:
            yield from ((name, json.loads(arguments)) for name, arguments in orders)
            return
        wanted = _mentioned(asked.wish, asked.tools if len(asked.tools) <= _FEW_TOOLS else ())
    for tool in wanted:
        yield tool.name, _Filler(asked.wish, tool.schema).fill()


def _mentioned(wish: str, tools: Any) -> list[Tool]:
    exact = [tool for tool in tools if tool.name in wish]
    if exact:
        return exact
    words = set(re.findall(r"[a-z]{4,}", wish.lower()))
    return [tool for tool in tools if words & set(re.split(r"[^a-z]+", tool.name.lower()))]


def _text(asked: Asked) -> str:
    if asked.schema is not None:
        return json.dumps(_Filler(asked.wish, asked.schema).fill(), ensure_ascii=False)
    if asked.json_mode or "nothing other than json" in asked.wish.lower():
        shown = _shown_schema(asked.turns)
        if shown is not None:
            return json.dumps(_Filler(asked.wish, shown).fill(), ensure_ascii=False)
        return json.dumps({key: f"a {key}" for key in _quoted(asked.wish)} or {"answer": "text"})
    results = [turn.text for turn in asked.since if turn.kind == "result"]
    repeat = _REPEAT.search(asked.wish)
    if results:
        said = f"The tool said: {' / '.join(results)}"
    elif repeat:
        said = repeat[1].strip()
    else:
        said = f"You said: {asked.wish[:200].strip()}"
    media = [kind for turn in asked.turns for kind in turn.media]
    return said + (f" I was shown: {', '.join(media)}." if media else "")


def _shown_schema(turns: tuple[Turn, ...]) -> Any:
    """A schema that stands in the words of a prompt."""
    for turn in turns:
        at = turn.text.find("{")
        while at >= 0:
            with contextlib.suppress(ValueError):
                found = json.JSONDecoder().raw_decode(turn.text, at)[0]
                if "properties" in found:
                    return found
            at = turn.text.find("{", at + 1)
    return None


def _cut(text: str, asked: Asked) -> tuple[str, str]:
    if asked.limit is not None and len(text) > 4 * asked.limit:
        return text[: 4 * asked.limit], "length"
    at = min((place for place in (text.find(stop) for stop in asked.stop) if place > 0), default=None)
    return (text, "") if at is None else (text[:at], "sequence")


def _quoted(text: str) -> list[str]:
    return [single or double for single, double in _QUOTED.findall(text)]


class _Filler:
    """Makes the least that satisfies a schema, of the numbers and names that the user said."""

    def __init__(self, wish: str, schema: Any) -> None:
        self._root = schema
        self._numbers = iter([int(number) for number in re.findall(r"\d+", wish)])
        self._strings = iter(_quoted(wish) or _NAMES.findall(wish))

    def fill(self) -> Any:
        return self._of(self._root or {"type": "object"})

    def _of(self, schema: Any) -> Any:
        if "$ref" in schema:
            found = self._root
            for name in schema["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            return self._of(found)
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return self._of(next(one for one in schema[several] if one.get("type") != "null"))
        if "allOf" in schema:
            return self._of(schema["allOf"][0])
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type", "object" if "properties" in schema else "string")
        return self._typed(kind if isinstance(kind, str) else next(one for one in kind if one != "null"), schema)

    def _typed(self, kind: str, schema: Any) -> Any:
        match kind.lower():
            case "object":
                known = schema.get("properties", {})
                required = schema.get("required") or known
                names = [
                    *(name for name in known if name in required),
                    *(name for name in required if name not in known),
                ]
                return {name: self._of(known.get(name, {})) for name in names}
            case "array":
                return [self._of(schema.get("items", {})) for _ in range(max(1, schema.get("minItems", 1)))]
            case "integer" | "number":
                return next(self._numbers, schema.get("minimum", 1))
            case "boolean":
                return True
            case "null":
                return None
            case _:
                plain = _FORMATS.get(schema.get("format", "")) or next(self._strings, "text")
                return plain.ljust(schema.get("minLength", 0), "x")
