"""The identity path: only what must change is changed, and what is dropped is declared."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komeet.catalog.profile import Profile, Sampling
from komeet.core.errors import WireError
from komeet.wire.format import Edited
from komeet.wire.openai_chat.edit import edit
from komeet.wire.openai_chat.envelope import parse_envelope

PLAIN = Profile()
NEWER = Profile(limit_field="max_completion_tokens")
OLDER = Profile(limit_field="max_tokens")
GPT_5_2 = Profile(limit_field="max_completion_tokens", sampling=Sampling.WITHOUT_REASONING, default_effort="none")


def _edit(
    text: str, profile: Profile = PLAIN, *, model: str = "served", output_limit: int | None = None, ask: bool = False
) -> Edited:
    body = b'{"model":"asked","messages":[1]' + (b"," + text.encode() if text else b"") + b"}"
    return edit(parse_envelope(body), model=model, profile=profile, output_limit=output_limit, ask_usage=ask)


def _rest(text: str, profile: Profile = PLAIN, *, output_limit: int | None = None, ask: bool = False) -> str:
    body = _edit(text, profile, output_limit=output_limit, ask=ask).body.decode()
    start = '{"model":"served","messages":[1]'
    assert body.startswith(start)
    return body.removeprefix(start).removeprefix(",").removesuffix("}")


def test_the_model_is_set_and_the_rest_keeps_its_bytes_and_order() -> None:
    body = b' { "z" : {"b":1.10, "a" : [ ] } , "model":"asked", "messages" : [ {"content":"\\u00e9"} ], "a":1e2 } '
    edited = edit(parse_envelope(body), model='we"ird', profile=PLAIN, output_limit=None, ask_usage=False)
    assert edited.body == (
        b'{"z":{"b":1.10, "a" : [ ] },"model":"we\\"ird","messages":[ {"content":"\\u00e9"} ],"a":1e2}'
    )
    assert edited.losses == ()


def test_the_call_that_this_project_began_with() -> None:
    body = json.dumps(
        {
            "model": "gpt-5.2",
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
            "max_tokens": 300,
            "temperature": 0.0,
        }
    ).encode()
    edited = edit(parse_envelope(body), model="gpt-5.2", profile=GPT_5_2, output_limit=None, ask_usage=False)
    sent = json.loads(edited.body)
    assert list(sent) == ["model", "messages", "max_completion_tokens", "temperature"]
    assert sent["max_completion_tokens"] == 300
    assert sent["temperature"] == 0.0
    assert edited.losses == ()


@pytest.mark.parametrize(
    ("profile", "text", "limit", "expected"),
    [
        (PLAIN, '"max_tokens":5,"x":1', None, '"max_tokens":5,"x":1'),
        (PLAIN, '"max_completion_tokens":5', None, '"max_completion_tokens":5'),
        (PLAIN, '"max_tokens":9,"max_completion_tokens":5', None, '"max_tokens":5,"max_completion_tokens":5'),
        (PLAIN, '"x":1', 7, '"x":1,"max_tokens":7'),
        (PLAIN, '"max_tokens":5', 7, '"max_tokens":5'),
        (PLAIN, '"max_tokens":null,"x":1', 7, '"x":1,"max_tokens":7'),
        (PLAIN, '"max_tokens":null', None, '"max_tokens":null'),
        (NEWER, '"max_tokens":5,"x":1', None, '"max_completion_tokens":5,"x":1'),
        (NEWER, '"max_completion_tokens":5', None, '"max_completion_tokens":5'),
        (NEWER, '"max_tokens":9,"x":1,"max_completion_tokens":5', None, '"max_completion_tokens":5,"x":1'),
        (NEWER, '"max_completion_tokens":9,"x":1,"max_tokens":5', None, '"max_completion_tokens":5,"x":1'),
        (NEWER, '"max_tokens":null,"max_completion_tokens":5', None, '"max_completion_tokens":5'),
        (NEWER, '"max_completion_tokens":null,"max_tokens":5', None, '"max_completion_tokens":5'),
        (NEWER, "", 7, '"max_completion_tokens":7'),
        (OLDER, '"max_completion_tokens":5,"x":1', None, '"max_tokens":5,"x":1'),
        (OLDER, '"max_completion_tokens":null', 7, '"max_tokens":7'),
    ],
)
def test_the_output_limit_goes_by_the_name_that_the_model_takes(
    profile: Profile, text: str, limit: int | None, expected: str
) -> None:
    assert _rest(text, profile, output_limit=limit) == expected


LIMIT = st.none() | st.integers(1, 100)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["max_tokens", "max_completion_tokens", "other"]), LIMIT),
    st.sampled_from([PLAIN, NEWER, OLDER]),
    LIMIT,
)
def test_every_limit_that_is_sent_is_the_one_that_was_reserved_for(
    members: dict[str, int | None], profile: Profile, inserted: int | None
) -> None:
    body = json.dumps({"model": "m", "messages": [1], **members}).encode()
    envelope = parse_envelope(body)
    sent = json.loads(edit(envelope, model="m", profile=profile, output_limit=inserted, ask_usage=False).body)
    limits = {sent[name] for name in ("max_tokens", "max_completion_tokens") if sent.get(name) is not None}
    reserved = envelope.output_limit or inserted
    assert limits == ({reserved} if reserved else set())
    if profile.limit_field and limits:
        assert {name for name in sent if name.startswith("max_")} == {profile.limit_field}


@pytest.mark.parametrize(
    ("sampling", "default", "text", "expected", "lost"),
    [
        (Sampling.ALWAYS, "high", '"temperature":0', '"temperature":0', ()),
        (Sampling.WITHOUT_REASONING, "none", '"temperature":0,"top_p":0.5', '"temperature":0,"top_p":0.5', ()),
        (Sampling.WITHOUT_REASONING, None, '"temperature":0', '"temperature":0', ()),
        (Sampling.WITHOUT_REASONING, "medium", '"temperature":0,"x":1', '"x":1', ("temperature",)),
        (
            Sampling.WITHOUT_REASONING,
            "none",
            '"temperature":0,"reasoning_effort":"high"',
            '"reasoning_effort":"high"',
            ("temperature",),
        ),
        (
            Sampling.WITHOUT_REASONING,
            "medium",
            '"temperature":0,"reasoning_effort":"none"',
            '"temperature":0,"reasoning_effort":"none"',
            (),
        ),
        (Sampling.NEVER, None, '"temperature":1,"top_p":1.0,"presence_penalty":0,"logprobs":false', "", ()),
        (Sampling.NEVER, None, '"temperature":null,"logit_bias":{},"x":1', '"x":1', ()),
        (
            Sampling.NEVER,
            None,
            '"logprobs":true,"top_logprobs":3,"frequency_penalty":1,"seed":1',
            '"seed":1',
            ("frequency_penalty", "logprobs", "top_logprobs"),
        ),
    ],
)
def test_sampling_that_the_model_refuses_is_dropped_and_declared(
    sampling: Sampling, default: str | None, text: str, expected: str, lost: tuple[str, ...]
) -> None:
    profile = Profile(sampling=sampling, default_effort=default)
    assert _rest(text, profile) == expected
    losses = _edit(text, profile).losses
    assert tuple(loss.path for loss in losses) == lost
    assert all("asked" in loss.reason for loss in losses)


@pytest.mark.parametrize(
    ("text", "ask", "expected", "lost"),
    [
        ('"stream":true', True, '"stream":true,"stream_options":{"include_usage":true}', ()),
        ('"stream":true', False, '"stream":true', ()),
        ('"stream":false', True, '"stream":false', ()),
        ("", True, "", ()),
        ('"stream_options":null,"stream":true', True, '"stream_options":{"include_usage":true},"stream":true', ()),
        (
            '"stream":true,"stream_options":{"include_obfuscation":false}',
            True,
            '"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}',
            (),
        ),
        (
            '"stream":true,"stream_options":{"include_usage":false,"x":1}',
            True,
            '"stream":true,"stream_options":{"include_usage":true,"x":1}',
            (),
        ),
        (
            '"stream":true,"stream_options":{"include_usage":true,"include_usage":false}',
            True,
            '"stream":true,"stream_options":{"include_usage":true}',
            (),
        ),
        (
            '"stream":true,"stream_options":{"include_usage":true}',
            False,
            '"stream":true',
            ("stream_options.include_usage",),
        ),
        (
            '"stream":true,"stream_options":{"include_usage":false,"x":1}',
            False,
            '"stream":true,"stream_options":{"x":1}',
            (),
        ),
    ],
)
def test_usage_is_asked_for_on_streams(text: str, ask: bool, expected: str, lost: tuple[str, ...]) -> None:
    assert _rest(text, ask=ask) == expected
    assert tuple(loss.path for loss in _edit(text, ask=ask).losses) == lost


LIMITED = Profile(accepts=("model", "messages"), refuses=("tools",), candidates=1)


def test_a_model_is_sent_only_what_it_takes_and_the_rest_is_declared() -> None:
    envelope = parse_envelope(b'{"model":"m","messages":[{}],"grammar":"((","user":null}')
    edited = edit(envelope, model="m", profile=LIMITED, output_limit=None, ask_usage=False)
    assert edited.body == b'{"model":"m","messages":[{}]}'
    assert [loss.path for loss in edited.losses] == ["grammar"]


@pytest.mark.parametrize(("member", "param"), [(b'"tools":[{}]', "tools"), (b'"n":2', "n")])
def test_what_must_not_be_left_out_is_refused(member: bytes, param: str) -> None:
    envelope = parse_envelope(b'{"model":"m","messages":[{}],' + member + b"}")
    with pytest.raises(WireError) as caught:
        edit(envelope, model="m", profile=LIMITED, output_limit=None, ask_usage=False)
    assert caught.value.param == param
