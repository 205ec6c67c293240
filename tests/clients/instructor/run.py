"""Instructor: typed objects in the modes that each surface has."""

from typing import Any

import anthropic
import instructor
import openai
from kit import Cases, given
from pydantic import BaseModel

GIVEN = given()
CASES = Cases()
MODES: dict[str, tuple[str, ...]] = {
    "openai_chat": ("TOOLS", "JSON", "JSON_SCHEMA", "TOOLS_STRICT"),
    "openai_responses": ("RESPONSES_TOOLS",),
    "anthropic_messages": ("ANTHROPIC_TOOLS", "ANTHROPIC_JSON"),
}


class Mayor(BaseModel):
    """Who governs it."""

    name: str


class City(BaseModel):
    """A place."""

    name: str
    inhabitants: int
    mayor: Mayor | None = None
    districts: list[str]


WISH = "Nothing other than JSON of: 'Paris' has 2000000 people"


def _client(mode: str, asynchronous: bool = False) -> Any:
    chosen = instructor.Mode[mode]
    if GIVEN.surface == "anthropic_messages":
        kind: Any = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
        return instructor.from_anthropic(kind(base_url=GIVEN.url, api_key=GIVEN.key, max_retries=0), mode=chosen)
    kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    return instructor.from_openai(kind(base_url=f"{GIVEN.url}/v1", api_key=GIVEN.key, max_retries=0), mode=chosen)


def _asked(response_model: Any) -> dict[str, Any]:
    asked = {"response_model": response_model, "model": GIVEN.model, "max_retries": 0}
    message = [{"role": "user", "content": WISH}]
    if GIVEN.surface == "openai_responses":
        return {**asked, "input": message}
    return {**asked, "messages": message, "max_tokens": 1000}


def _right(city: City) -> None:
    assert city.name == "Paris", city
    assert city.inhabitants == 2000000, city
    assert city.districts, city


def _calls(client: Any) -> Any:
    return client.responses if GIVEN.surface == "openai_responses" else client.chat.completions


def _cases(mode: str) -> None:
    def whole() -> None:
        _right(_calls(_client(mode)).create(**_asked(City)))

    async def asynchronous() -> None:
        _right(await _calls(_client(mode, asynchronous=True)).create(**_asked(City)))

    def partial() -> None:
        _right(list(_calls(_client(mode)).create_partial(**_asked(City)))[-1])

    def listed() -> None:
        found = list(_calls(_client(mode)).create_iterable(**_asked(Mayor)))
        assert found[0].name, found

    for case in (whole, asynchronous, partial, listed):
        case.__name__ = f"{mode.lower()}: {case.__name__}"
        CASES.scripted(case)


for each in MODES[GIVEN.surface]:
    _cases(each)
CASES.run()
