"""The health page: what it says, that nothing in it is taken for markup, and that nothing but its style is allowed."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec.structs import replace

from komeet.console.page import apology, lasting, page, policy
from komeet.console.status import ConfigStatus, DataStatus, ModelStatus, Status, WorkerStatus

READY = WorkerStatus(pid=11, state="ready", since=1_000_000, calls_running=3, calls_total=1234)
STATUS = Status(
    version="1.2.3",
    python="3.11.7",
    now=1_000_000 + 90_061_000,
    started_at=1_000_000,
    workers_wanted=2,
    workers=[READY, replace(READY, pid=12, state="draining")],
    calls_running=6,
    calls_total=2468,
    models=[ModelStatus(name="smollm2-135m", state="ready", restarts=1)],
    config=ConfigStatus(file="/etc/komeet.yaml", loaded_at=1_000_000, problem=None),
    data=DataStatus(directory="/var/lib/komeet", locked_by=10),
)


class Reader(HTMLParser):
    """Notes the elements, and the text that is read."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self._hidden = False
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._hidden = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


def test_it_says_how_everything_stands() -> None:
    text = Reader(page(STATUS)).text
    for said in ("1.2.3", "1 d 1 h", "1,234", "2,468", "1 of 2", "draining", "smollm2-135m", "/etc/komeet.yaml"):
        assert said in text
    assert "held by process 10, the supervisor" in text
    assert "1970-01-01 00:16:40 UTC" in text


@pytest.mark.parametrize(
    ("change", "health", "words"),
    [
        ({"workers_wanted": 1}, "ok", "everything runs"),
        ({}, "degraded", "something is amiss"),
        ({"workers": []}, "down", "no worker takes connections"),
        ({"workers": [replace(READY, state="starting", since=None)]}, "down", "no worker takes connections"),
    ],
)
def test_its_health(change: dict[str, Any], health: str, words: str) -> None:
    status = replace(STATUS, **change)
    assert status.health == health
    assert words in Reader(page(status)).text


def test_a_configuration_that_was_not_taken_is_said() -> None:
    status = replace(STATUS, workers_wanted=1, config=replace(STATUS.config, problem="server.prt: no such option"))
    assert status.health == "degraded"
    assert "server.prt: no such option" in Reader(page(status)).text


def test_nothing_is_taken_for_markup() -> None:
    evil = "<script>alert(1)</script><img src=x onerror='a'>\"&"
    status = replace(
        STATUS,
        config=replace(STATUS.config, file=evil, problem=evil),
        data=replace(STATUS.data, directory=evil),
        models=[ModelStatus(name=evil, state=evil, restarts=0)],
    )
    for html in (page(status), apology(evil)):
        seen = Reader(html)
        assert evil in seen.text
        assert not seen.elements & {"script", "img", "link", "iframe", "form"}
        assert not [name for name in seen.attributes if name.startswith("on") or name in {"style", "src"}]


def test_the_policy_allows_this_style_and_nothing_else() -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", page(STATUS).decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in policy().decode().split("; "))
    assert rules.pop("style-src") == f"'sha256-{digest}'"
    assert set(rules) == {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert set(rules.values()) == {"'none'"}


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min 0 s"),
        (3_600_000, "1 h 0 min"),
        (864e5 * 400, "400 d 0 h"),
    ],
)
def test_how_long_something_has_lasted(milliseconds: float, said: str) -> None:
    assert lasting(int(milliseconds)) == said
