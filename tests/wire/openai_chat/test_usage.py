"""Usage in one convention, whatever the provider's is; nonsense is not believed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komeet.canonical.usage import Usage
from komeet.wire.openai_chat.usage import parse_usage


def _usage(**members: object) -> Usage | None:
    return parse_usage(json.dumps(members).encode())


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            Usage(input=10, output=5),
        ),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {
                    "cached_tokens": 40,
                    "cache_write_tokens": 30,
                    "audio_tokens": 7,
                    "image_tokens": 3,
                },
                "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 4, "image_tokens": 2},
            },
            Usage(
                input=100,
                cache_read=40,
                cache_write=30,
                input_audio=7,
                input_image=3,
                output=50,
                reasoning=20,
                output_audio=4,
                output_image=2,
            ),
        ),
        # xAI: reasoning is in the total only
        (
            {
                "prompt_tokens": 10120,
                "completion_tokens": 1499,
                "total_tokens": 14428,
                "prompt_tokens_details": {"cached_tokens": 128},
                "completion_tokens_details": {"reasoning_tokens": 2809},
            },
            Usage(input=10120, cache_read=128, output=4308, reasoning=2809),
        ),
        # Google's endpoint: thoughts are in the total only, without a name
        (
            {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
            Usage(input=35, output=74, reasoning=62),
        ),
        # DeepSeek
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2},
            Usage(input=10, cache_read=8, output=5),
        ),
        # Databricks, contained; and the same from one who leaves cached tokens out of the prompt
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "total_tokens": 105,
                "cache_read_input_tokens": 60,
                "cache_creation_input_tokens": 10,
            },
            Usage(input=100, cache_read=60, cache_write=10, output=5),
        ),
        (
            {
                "prompt_tokens": 30,
                "completion_tokens": 5,
                "total_tokens": 105,
                "cache_read_input_tokens": 60,
                "cache_creation_input_tokens": 10,
            },
            Usage(input=100, cache_read=60, cache_write=10, output=5),
        ),
        # Mistral's and Together's places for cached tokens
        ({"prompt_tokens": 9, "completion_tokens": 1, "num_cached_tokens": 4}, Usage(input=9, cache_read=4, output=1)),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "num_search_queries": 3},
            Usage(input=9, output=1, web_searches=3),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "server_tool_use_details": {"web_search_requests": 2}},
            Usage(input=9, output=1, web_searches=2),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "server_tool_use": {"web_search_requests": 1}},
            Usage(input=9, output=1, web_searches=1),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 4}, Usage(input=9, cache_read=4, output=1)),
        # a part that is greater than its whole (OpenRouter, on record)
        (
            {
                "prompt_tokens": 43,
                "completion_tokens": 10,
                "total_tokens": 53,
                "completion_tokens_details": {"reasoning_tokens": 11},
            },
            Usage(input=43, output=10, reasoning=10),
        ),
        ({"prompt_tokens": 4, "total_tokens": 10}, Usage(input=4, output=6)),
        ({"prompt_tokens": 4, "completion_tokens": 0, "prompt_tokens_details": None}, Usage(input=4)),
    ],
)
def test_dialects(reported: dict[str, object], usage: Usage) -> None:
    assert _usage(**reported) == usage


@pytest.mark.parametrize(
    "raw",
    [
        b"null",
        b"{}",
        b"[]",
        b"12",
        b'{"prompt_tokens":5}',
        b'{"completion_tokens":5}',
        b'{"prompt_tokens":193,"completion_tokens":null,"total_tokens":null}',
        b'{"prompt_tokens":-1,"completion_tokens":5}',
        b'{"prompt_tokens":9,"total_tokens":3}',
        b'{"prompt_tokens":5,"completion_tokens":5,"total_tokens":-4}',
        b'{"prompt_tokens":5,"completion_tokens":1099511627777}',
        b'{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}',
        b'{"prompt_tokens":"5","completion_tokens":5}',
        b'{"prompt_tokens":5.5,"completion_tokens":5}',
        b'{"prompt_tokens":true,"completion_tokens":5}',
        b'{"prompt_tokens":5,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":-5}}',
        b'{"prompt_tokens":5,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":"x"}}',
        b'{"prompt_tokens":5,"completion_tokens":5',
        b"\xff",
    ],
)
def test_nonsense_is_not_believed(raw: bytes) -> None:
    assert parse_usage(raw) is None


COUNT = st.none() | st.integers(-2, 60) | st.sampled_from([1 << 40, (1 << 40) + 1])


@settings(deadline=None, max_examples=300)
@given(
    st.fixed_dictionaries(
        {"prompt_tokens": COUNT, "completion_tokens": COUNT},
        optional={
            "total_tokens": COUNT,
            "prompt_cache_hit_tokens": COUNT,
            "cache_read_input_tokens": COUNT,
            "cache_creation_input_tokens": COUNT,
            "prompt_tokens_details": st.dictionaries(
                st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens"]), COUNT
            ),
            "completion_tokens_details": st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens"]), COUNT),
        },
    )
)
def test_no_part_is_ever_negative_or_greater_than_its_whole(reported: dict[str, object]) -> None:
    usage = _usage(**reported)
    if usage is None:
        return
    assert min(usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning) >= 0
    assert usage.cache_read + usage.cache_write <= usage.input
    assert max(usage.input_audio, usage.input_image) <= usage.input
    assert max(usage.reasoning, usage.output_audio, usage.output_image) <= usage.output
    prompt, completion = reported["prompt_tokens"], reported["completion_tokens"]
    assert isinstance(prompt, int)
    assert usage.input >= prompt
    assert completion is None or (isinstance(completion, int) and usage.output >= completion)
