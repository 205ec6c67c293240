"""Real traffic of Cohere's chat (KOMEET_RECORDINGS; skipped without it)."""

import json
from typing import Any, Final

from tests.wire.recordings import Recording, each_of, load, needs_recordings

from komeet.catalog.profile import Profile
from komeet.wire.cohere_chat.parse_response import parse_response
from komeet.wire.cohere_chat.render_request import render_request
from komeet.wire.openai_chat.parse_request import parse_request

ALL: Final = load(lambda each: each.path.endswith("/v2/chat") and each.status == 200)


@needs_recordings
def test_every_recording_is_looked_at() -> None:
    assert [each.name for each in ALL] == [f"cohere:{index}" for index in range(5)]


@needs_recordings
@each_of(ALL)
def test_an_answer_is_read_with_what_was_charged(recording: Recording) -> None:
    told: dict[str, Any] = json.loads(recording.body)
    said = parse_response(recording.body)
    assert said.usage is not None
    charged = told["usage"]["billed_units"]
    assert (said.usage.input, said.usage.output) == (charged["input_tokens"], charged["output_tokens"])
    assert said.candidates[0].native_stop == told["finish_reason"]
    assert len(said.candidates[0].parts) == (2 if "tool_plan" in told["message"] else 1)
    assert not said.extras
    assert not said.candidates[0].extras


@needs_recordings
@each_of(ALL)
def test_a_chat_that_asks_the_same_is_sent_as_it_was_recorded(recording: Recording) -> None:
    body: dict[str, Any] = json.loads(bytes(recording.request))
    choice = {"tool_choice": body["tool_choice"].lower()} if "tool_choice" in body else {}
    edited = render_request(parse_request(json.dumps({**body, **choice}).encode()), Profile())
    assert edited.losses == ()
    assert json.loads(edited.body) == body
