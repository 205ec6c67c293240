"""A log line is one line, says what happened and no secret, whatever callers and providers wrote."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.secrets import Secret
from komeet.telemetry.logs import configure

Form = Literal["text", "json"]
FORMS: tuple[Form, ...] = ("text", "json")

hostile = st.text(st.characters() | st.sampled_from("\r\n\x0b\x0c\x1b\x85\u2028\u2029\ud800\0"), max_size=40)


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    """Leave the logging of the other tests as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(form: Form, message: str, *values: object, error: BaseException | None = None, level: str = "info") -> str:
    """What one message comes to."""
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        configure(level, form)
        logging.getLogger("komeet.test").warning(message, *values, exc_info=error)
        return sys.stderr.getvalue()
    finally:
        sys.stderr = stderr


def raised(message: str) -> BaseException:
    with pytest.raises(ValueError) as caught:
        raise ValueError(message)
    return caught.value


@pytest.mark.parametrize("form", FORMS)
@given(hostile)
def test_a_message_is_one_line_and_drives_no_terminal(form: Form, value: str) -> None:
    line = written(form, "path %s", value)
    assert line.endswith("\n")
    assert line[:-1].isprintable()


@given(hostile, hostile)
def test_json_gives_back_what_was_logged(value: str, why: str) -> None:
    line = json.loads(written("json", "path %s", value, error=raised(why)))
    assert line["message"] == f"path {value}"
    assert (line["level"], line["logger"]) == ("warning", "komeet.test")
    assert why in line["traceback"]


@given(hostile)
def test_a_traceback_is_indented_so_that_it_forges_no_line(why: str) -> None:
    first, *rest = written("text", "failed", error=raised(why)).splitlines()
    assert first.endswith("komeet.test: failed")
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_json_carries_extra_members() -> None:
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        configure("info", "json")
        logging.getLogger("komeet.test").info("done", extra={"call": "req_1"})
        assert json.loads(sys.stderr.getvalue())["call"] == "req_1"
    finally:
        sys.stderr = stderr


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_not_written(form: Form) -> None:
    line = written(form, "provider %s %r %s", Secret("sk-canary"), Secret("sk-canary"), [Secret("sk-canary")])
    assert "sk-canary" not in line
    assert line.count("***") == 3


@pytest.mark.parametrize("form", FORMS)
def test_what_is_below_the_level_is_not_written(form: Form) -> None:
    assert written(form, "noise", level="error") == ""


def test_libraries_speak_up_only_for_warnings() -> None:
    stderr, sys.stderr = sys.stderr, io.StringIO()
    try:
        configure("debug", "text")
        logging.getLogger("uvicorn.error").info("Started server process")
        logging.getLogger("alembic").info("Context impl")
        logging.getLogger("komeet.test").debug("ours")
        assert sys.stderr.getvalue().count("\n") == 1
    finally:
        sys.stderr = stderr
