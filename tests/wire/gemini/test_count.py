"""Counting the tokens of a Gemini request."""

import json
from typing import Any

import pytest
from tests.wire.gemini.asking import HI, PATH

from komeet.core.errors import WireError
from komeet.wire.format import Where
from komeet.wire.gemini.count import COUNTING


def test_tokens_are_counted_of_contents_or_of_a_whole_request() -> None:
    where = Where("/v1beta/models/m:countTokens")
    alone = COUNTING.parse_envelope(json.dumps({"contents": [HI]}).encode(), {}, where)
    assert alone.model == "m"
    assert json.loads(COUNTING.render_count(alone, "m1").body) == {"contents": [HI]}
    asked: dict[str, Any] = {"model": "models/m", "contents": [HI], "tools": [{"googleSearch": {}}]}
    whole = COUNTING.parse_envelope(json.dumps({"generateContentRequest": asked}).encode(), {}, where)
    told = json.loads(COUNTING.render_count(whole, "m1").body)
    assert told == {"generateContentRequest": {**asked, "model": "models/m1"}}
    assert COUNTING.count_path("a b/m") == "/models/a%20b/m:countTokens"
    assert json.loads(COUNTING.render_counted(3)) == {"totalTokens": 3}


def test_tokens_are_not_counted_of_two_requests_at_once() -> None:
    body = json.dumps({"contents": [HI], "generateContentRequest": {"contents": [HI]}}).encode()
    with pytest.raises(WireError, match="not both"):
        COUNTING.parse_envelope(body, {}, Where(PATH))
