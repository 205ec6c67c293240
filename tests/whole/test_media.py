"""Reranking, pictures and sound end to end: OpenAI's library in front, scripted providers behind."""

import io
import json
from collections.abc import Iterator
from typing import Any, Final

import httpx2
import openai
import pytest
from tests.whole.gateway import Answer, Gateway
from tests.whole.upstream import LAST, Close, Received, Step, Upstream, chunk, stream, whole

from komeet.ledger.port import State

PICTURE: Final = "iVBORw0KGgo="
IMAGE_USAGE: Final = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    "output_tokens": 1000,
    "total_tokens": 1050,
}
SOUND: Final = bytes(range(256)) * 64
RANKED: Final = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
SEGMENTS: Final = "1\n00:00:00,000 --> 00:00:02,000\nhello\n"


def event(**members: Any) -> bytes:
    return f"data: {json.dumps(members)}\n\n".encode()


def answer(request: Received) -> list[Step]:
    """Every provider's answer; a model that is named after a fault has that fault."""
    if b"broken" in request.body:
        return whole({"error": {"message": "no"}}, status=500)
    place = request.target.removeprefix("/v1")
    match place:
        case "/images/generations" | "/images/edits":
            return _pictures(request, place)
        case "/audio/speech":
            return _speech(request)
        case "/audio/transcriptions" | "/audio/translations":
            return _written(request)
        case "/rerank":
            return whole({"model": "served", "results": RANKED, "usage": {"total_tokens": 30}})
        case "/v2/rerank":
            return whole({"id": "r", "results": RANKED, "meta": {"billed_units": {"search_units": 1}}})
        case _:
            return whole({"error": {"message": f"no {request.target}"}}, status=404)


def _pictures(request: Received, place: str) -> list[Step]:
    streamed = b'"stream": true' in request.body or b'"stream":true' in request.body
    if b"silent" in request.body:
        return whole({"created": 1, "data": [{"b64_json": PICTURE}]})
    if streamed:
        kind = "image_edit" if place.endswith("edits") else "image_generation"
        shape = {"created_at": 1, "size": "auto", "quality": "low", "background": "auto", "output_format": "png"}
        pieces = [
            event(type=f"{kind}.partial_image", b64_json=PICTURE, partial_image_index=0, **shape),
            event(type=f"{kind}.completed", b64_json=PICTURE, usage=IMAGE_USAGE, **shape),
        ]
        return stream(*pieces) if b"torn" not in request.body else [*stream(pieces[0])[:-1], Close()]
    return whole({"created": 1, "data": [{"b64_json": PICTURE}], "usage": IMAGE_USAGE})


def _speech(request: Received) -> list[Step]:
    asked = request.json
    if asked.get("stream_format") == "sse":
        usage = {"input_tokens": 14, "output_tokens": 100, "total_tokens": 114}
        return stream(event(type="speech.audio.delta", audio="AA=="), event(type="speech.audio.done", usage=usage))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    if "torn" in asked["input"]:
        return [head, chunk(SOUND), Close()]
    return [head, chunk(SOUND[:5]), chunk(SOUND[5:]), LAST]


def _written(request: Received) -> list[Step]:
    if b"\r\n\r\nsrt\r\n" in request.body:
        return whole(SEGMENTS.encode(), content_type="application/x-subrip")
    if b"\r\n\r\ntrue\r\n" in request.body:
        usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17}
        return stream(
            event(type="transcript.text.delta", delta="hello"),
            event(type="transcript.text.done", text="hello", usage=usage),
        )
    if b"gpt-4o" in request.body:
        usage = {
            "type": "tokens",
            "input_tokens": 100,
            "input_token_details": {"audio_tokens": 90},
            "output_tokens": 10,
        }
        return whole({"text": "hello", "usage": usage | {"total_tokens": 110}})
    return whole({"text": "hello", "usage": {"type": "duration", "seconds": 61.5}})


class Stage:
    """A running Komeet, providers behind it, and a client library in front."""

    def __init__(self, gateway: Gateway, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.client = openai.OpenAI(base_url=gateway.url, api_key=gateway.key, max_retries=0)

    def post(self, path: str, key: str | None = None, **body: Any) -> Answer:
        return self.gateway.request("POST", f"/v1/{path}", json.dumps(body).encode(), key=key)

    @property
    def seen(self) -> Received:
        """What the provider got last."""
        return self.upstream.received[-1]


MEDIA: Final = ["openai_images", "openai_image_edits", "openai_speech", "openai_transcriptions", "openai_translations"]


def config(url: str) -> dict[str, Any]:
    shown = {"api_key": "sk-upstream-canary"}
    box = {"name": "box", "base_url": url, "formats": ["openai_chat", "jina_rerank", *MEDIA]}
    return {
        "providers": [
            {"name": "openai", "base_url": url, **shown},
            {"name": "cohere", "base_url": url.removesuffix("/v1"), **shown},
            box | shown,
            {"name": "chatty", "base_url": url, "formats": ["openai_chat"], **shown},
        ],
        "prices": [
            {"provider": "cohere", "model": "rerank-*", "input": 0, "web_search": 0.002},
            {"provider": "box", "model": "ranker", "input": 0.5},
            {"provider": "box", "model": "painter", "input": 1, "output": 2},
        ],
        "routes": [
            {
                "name": "paint",
                "groups": [{"candidates": [{"model": "openai/broken"}]}, {"candidates": [{"model": "box/painter"}]}],
            },
            {
                "name": "hear",
                "groups": [{"candidates": [{"model": "openai/broken"}]}, {"candidates": [{"model": "box/painter"}]}],
            },
        ],
        "embedded": {"enabled": False},
        "server": {"workers": 1},
    }


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with (
        Upstream(answer) as upstream,
        Gateway(tmp_path_factory.mktemp("media"), config=config(upstream.url)) as gateway,
    ):
        stage = Stage(gateway, upstream)
        with stage.client:
            yield stage


# ---------------------------------------------------------------- pictures


def test_openais_library_gets_pictures(stage: Stage) -> None:
    raw = stage.client.images.with_raw_response.generate(
        model="gpt-image-1-mini", prompt="a cat", n=1, size="1024x1024"
    )
    made = raw.parse()
    assert made.data is not None
    assert made.data[0].b64_json == PICTURE
    assert made.usage is not None
    assert made.usage.output_tokens == 1000
    assert stage.seen.json == {"model": "gpt-image-1-mini", "prompt": "a cat", "n": 1, "size": "1024x1024"}
    assert stage.seen.headers["authorization"] == "Bearer sk-upstream-canary"
    ended = stage.gateway.outcome(raw.headers["x-request-id"])
    assert (ended.state, ended.usage.input_image, ended.estimated, ended.unpriced) == (State.SETTLED, 40, False, False)
    assert ended.cost == 10 * 2_000 + 40 * 2_500 + 1000 * 8_000  # $2, $2.50 and $8 a million
    assert raw.headers["x-komeet-cost"] == "0.00812"


def test_openais_library_gets_a_stream_of_pictures(stage: Stage) -> None:
    made = list(stage.client.images.generate(model="gpt-image-1-mini", prompt="a cat", stream=True, partial_images=1))
    assert [each.type for each in made] == ["image_generation.partial_image", "image_generation.completed"]
    assert stage.gateway.outcomes()[-1][1] is State.SETTLED


def test_openais_library_changes_pictures(stage: Stage) -> None:
    picture = b"\x89PNG\r\n\x1a\n\x00\xff--\r\n"
    files = [("a.png", io.BytesIO(picture)), ("b.png", io.BytesIO(picture))]
    made = stage.client.images.edit(model="openai/gpt-image-1-mini", image=list(files), prompt="a cat")
    assert made.data is not None
    assert made.data[0].b64_json == PICTURE
    body = stage.seen.body
    assert body.count(picture) == 2
    assert b'name="model"\r\n\r\ngpt-image-1-mini\r\n' in body
    assert stage.seen.headers["content-type"].startswith("multipart/form-data; boundary=")


def test_a_picture_without_usage_is_estimated_at_its_largest(stage: Stage) -> None:
    made = stage.post("images/generations", model="gpt-image-1-mini", prompt="silent")
    assert made.headers["x-komeet-usage"] == "estimated"
    ended = stage.gateway.outcome(made.headers["x-request-id"])
    assert (ended.usage.output, ended.estimated) == (6_540, True)


def test_a_key_with_a_budget_is_held_for_the_largest_pictures(stage: Stage) -> None:
    """At $8 a million, 6,540 tokens are 5.3 cents."""
    key = stage.gateway.create_key("painter", "--budget", "0.12")
    assert stage.post("images/generations", key, model="gpt-image-1-mini", prompt="a cat").status == 200
    refused = stage.post("images/generations", key, model="gpt-image-1-mini", prompt="a cat", n=3)
    assert (refused.status, refused.error["code"]) == (402, "budget_exceeded")
    assert stage.gateway.audit() == []


@pytest.mark.parametrize("model", ["gpt-image-2", "gpt-image-1.5", "dall-e-3"])
def test_a_key_with_a_budget_may_not_ask_for_what_has_no_bound(stage: Stage, model: str) -> None:
    key = stage.gateway.create_key(f"painter of {model}", "--budget", "100")
    refused = stage.post("images/generations", key, model=f"openai/{model}", prompt="a cat")
    assert (refused.status, refused.error["code"]) == (403, "not_allowed")


def test_a_picture_fails_over(stage: Stage) -> None:
    made = stage.post("images/generations", model="paint", prompt="a cat")
    assert (made.status, made.headers["x-komeet-provider"]) == (200, "box")
    assert stage.seen.json["model"] == "painter"


def test_a_stream_of_pictures_that_is_torn_ends_in_an_error(stage: Stage) -> None:
    with pytest.raises(openai.APIError, match="closed the connection"):
        list(stage.client.images.generate(model="gpt-image-1-mini", prompt="torn", stream=True))


# ---------------------------------------------------------------- sound


def test_openais_library_gets_speech(stage: Stage) -> None:
    raw = stage.client.audio.speech.with_raw_response.create(model="tts-1", voice="alloy", input="Hello there, you.")
    assert raw.parse().read() == SOUND
    assert raw.headers["content-type"] == "audio/mpeg"
    ended = stage.gateway.outcome(raw.headers["x-request-id"])
    assert (ended.state, ended.usage.input, ended.estimated) == (State.SETTLED, 17, True)
    assert ended.cost == 17 * 15_000  # $15 a million characters


def test_openais_library_gets_speech_as_it_comes(stage: Stage) -> None:
    speech = stage.client.audio.speech
    with speech.with_streaming_response.create(model="gpt-4o-mini-tts", voice="alloy", input="Hello") as made:
        assert b"".join(made.iter_bytes()) == SOUND
    asked = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello", "stream_format": "sse"}
    made = stage.post("audio/speech", **asked)
    assert made.headers["content-type"].startswith("text/event-stream")
    assert b"speech.audio.done" in made.body
    ended = stage.gateway.outcome(made.headers["x-request-id"])
    assert (ended.usage.input, ended.usage.output, ended.estimated) == (14, 100, False)


def test_speech_that_is_torn_is_never_taken_for_whole(stage: Stage) -> None:
    with pytest.raises((openai.APIError, httpx2.RemoteProtocolError)):
        stage.client.audio.speech.create(model="tts-1", voice="alloy", input="torn").read()


def test_a_key_with_a_budget_is_held_for_the_characters(stage: Stage) -> None:
    key = stage.gateway.create_key("reader", "--budget", "0.01")
    assert stage.post("audio/speech", key, model="tts-1", voice="alloy", input="Hello").status == 200
    refused = stage.post("audio/speech", key, model="tts-1", voice="alloy", input="a" * 1000)
    assert (refused.status, refused.error["code"]) == (402, "budget_exceeded")
    refused = stage.post("audio/speech", key, model="gpt-4o-mini-tts", voice="alloy", input="a")
    assert (refused.status, refused.error["code"]) == (403, "not_allowed")


@pytest.mark.parametrize(
    ("model", "nano"),
    [
        ("whisper-1", 6_150_000),  # 61.5 s at $0.006 a minute
        ("gpt-4o-transcribe", 10 * 2_500 + 90 * 6_000 + 10 * 10_000),
    ],
)
def test_openais_library_gets_transcripts(stage: Stage, model: str, nano: int) -> None:
    sound = ("a.wav", io.BytesIO(b"RIFF\x00\xff\r\n--"))
    raw = stage.client.audio.transcriptions.with_raw_response.create(model=f"openai/{model}", file=sound)
    assert raw.parse().text == "hello"
    assert b'name="model"\r\n\r\n%b\r\n' % model.encode() in stage.seen.body
    ended = stage.gateway.outcome(raw.headers["x-request-id"])
    assert (ended.state, ended.cost, ended.estimated, ended.unpriced) == (State.SETTLED, nano, False, False)


def test_openais_library_gets_transcripts_as_they_are_written(stage: Stage) -> None:
    sound = ("a.wav", io.BytesIO(b"RIFF"))
    made = list(stage.client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound, stream=True))
    assert [each.type for each in made] == ["transcript.text.delta", "transcript.text.done"]


def test_openais_library_gets_subtitles_and_translations(stage: Stage) -> None:
    raw = stage.client.audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=("a.wav", io.BytesIO(b"RIFF")), response_format="srt"
    )
    assert raw.text == SEGMENTS
    assert raw.headers["content-type"] == "application/x-subrip"
    assert stage.gateway.outcome(raw.headers["x-request-id"]).usage.audio_ms == 2000
    with pytest.warns(DeprecationWarning):  # of the library: translations are on their way out
        translations: Any = stage.client.audio.translations
        said = translations.create(model="whisper-1", file=("a.wav", io.BytesIO(b"RIFF")))
    assert said.text == "hello"
    assert stage.seen.target == "/v1/audio/translations"


def test_sound_fails_over_with_its_file(stage: Stage) -> None:
    sound = ("a.wav", io.BytesIO(b"RIFF\x00\x01"))
    made = stage.client.audio.transcriptions.with_raw_response.create(model="hear", file=sound)
    assert made.headers["x-komeet-provider"] == "box"
    assert b"RIFF\x00\x01" in stage.seen.body
    assert b"\r\n\r\npainter\r\n" in stage.seen.body


def test_what_is_heard_has_a_bound_only_where_it_is_billed_by_tokens(stage: Stage) -> None:
    client = openai.OpenAI(
        base_url=stage.gateway.url, api_key=stage.gateway.create_key("hearer", "--budget", "1"), max_retries=0
    )
    sound = ("a.wav", io.BytesIO(b"RIFF"))
    with client:
        assert client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound).text == "hello"
        with pytest.raises(openai.PermissionDeniedError):
            client.audio.transcriptions.create(model="whisper-1", file=sound)


# ---------------------------------------------------------------- reranking


ASKED: Final[dict[str, Any]] = {"query": "a cat", "documents": ["a bear", "a cat"]}


@pytest.mark.parametrize(
    ("model", "tokens", "searches", "nano"),
    [("box/ranker", 30, 0, 15_000), ("cohere/rerank-v3.5", 0, 1, 2_000_000)],
)
def test_documents_are_ordered(stage: Stage, model: str, tokens: int, searches: int, nano: int) -> None:
    made = stage.post("rerank", model=model, **ASKED)
    assert made.status == 200, made.body
    assert [(each["index"], each["relevance_score"]) for each in made.json["results"]] == [(1, 0.9), (0, 0.1)]
    ended = stage.gateway.outcome(made.headers["x-request-id"])
    assert (ended.usage.input, ended.usage.web_searches, ended.cost) == (tokens, searches, nano)
    assert (ended.estimated, ended.unpriced) == (False, False)


def test_a_key_with_a_budget_is_held_for_the_searches(stage: Stage) -> None:
    key = stage.gateway.create_key("searcher", "--budget", "0.005")
    assert stage.post("rerank", key, model="cohere/rerank-v3.5", **ASKED).status == 200
    many = {"query": "a", "documents": ["b"] * 201}
    refused = stage.post("rerank", key, model="cohere/rerank-v3.5", **many)
    assert (refused.status, refused.error["code"]) == (402, "budget_exceeded")


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("path", "status", "code", "body"),
    [
        ("rerank", 400, "missing_required_parameter", {"model": "m"}),
        ("rerank", 404, "model_not_found", {"model": "chatty/m", **ASKED}),
        ("images/generations", 400, "missing_required_parameter", {"model": "m"}),
        ("images/generations", 404, "model_not_found", {"model": "chatty/m", "prompt": "a"}),
        ("images/edits", 400, "missing_required_parameter", {"model": "m", "prompt": "a"}),
        ("audio/speech", 404, "model_not_found", {"model": "cohere/m", "input": "a"}),
        ("audio/transcriptions", 400, "invalid_form", {"model": "m"}),
        ("audio/translations", 400, "invalid_form", {"model": "m"}),
    ],
)
def test_refusals_have_openais_shape(stage: Stage, path: str, status: int, code: str, body: dict[str, Any]) -> None:
    refused = stage.post(path, **body)
    assert (refused.status, refused.error["code"]) == (status, code)
    assert set(refused.error) == {"message", "type", "param", "code"}


def test_a_form_that_names_two_models_reaches_nobody(stage: Stage) -> None:
    before = len(stage.upstream.received)
    field = b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n%b\r\n'
    body = field % b"whisper-1" + field % b"gpt-4o-transcribe" + b"--b--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=b"}
    refused = stage.gateway.request("POST", "/v1/audio/transcriptions", body, headers)
    assert (refused.status, refused.error["code"]) == (400, "duplicate_field")
    assert len(stage.upstream.received) == before


def test_a_form_that_is_sent_again_is_answered_again_whatever_its_boundary(stage: Stage) -> None:
    """Libraries make a boundary of their own each time."""

    def ask(boundary: bytes, sound: bytes) -> Answer:
        head = b"--" + boundary + b"\r\ncontent-disposition: form-data; name="
        body = head + b'"model"\r\n\r\nwhisper-1\r\n' + head + b'"file"; filename="a"\r\n\r\n' + sound + b"\r\n"
        headers = {"content-type": f"multipart/form-data; boundary={boundary.decode()}", "idempotency-key": "again"}
        return stage.gateway.request("POST", "/v1/audio/transcriptions", body + b"--" + boundary + b"--\r\n", headers)

    first, second = ask(b"0123456789", b"RIFF"), ask(b"abcdefghijklm", b"RIFF")
    assert (first.status, second.status) == (200, 200)
    assert second.headers["idempotent-replayed"] == "true"
    assert second.body == first.body
    assert ask(b"0123456789", b"RIFFRAFF").error["code"] == "idempotency_key_reused"
