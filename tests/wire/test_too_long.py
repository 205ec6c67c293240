"""What providers say of a prompt that is too long, and what they say of other mistakes."""

import pytest

from komeet.wire.format import Passed
from komeet.wire.too_long import is_too_long


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        "Input is too long for requested model.",
        "Please reduce the length of the messages or completion.",
        "too many tokens: size limit exceeded by 11326 tokens.",
    ],
)
def test_their_words(message: str) -> None:
    assert is_too_long(Passed(status=400, body=b"", message=message))
    assert not is_too_long(Passed(status=404, body=b"", message=message))


def test_a_code_needs_no_words() -> None:
    assert is_too_long(Passed(status=400, body=b"", code="context_length_exceeded"))


@pytest.mark.parametrize(
    "message",
    ["Invalid value: 'tokens'.", "max_tokens is too large: 200000.", "Unsupported parameter: 'max_tokens'.", ""],
)
def test_other_mistakes_are_not_taken_for_it(message: str) -> None:
    assert not is_too_long(Passed(status=400, body=b"", message=message))
