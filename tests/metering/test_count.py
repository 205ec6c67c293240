import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.canonical.usage import Usage
from komeet.metering.count import TokenCounter

COUNTER = TokenCounter()


def test_counts_are_those_of_openais_encodings() -> None:
    assert COUNTER.count("hello world") == 2
    assert COUNTER.count("hello world, how are you?", "cl100k_base") == 7
    assert COUNTER.count("") == 0
    assert COUNTER.count("1234567", "o200k_base") == 3


def test_special_tokens_that_are_written_out_are_text() -> None:
    assert COUNTER.count("<|endoftext|>") > 1


@given(st.text(max_size=200))
def test_a_token_is_never_shorter_than_a_byte(text: str) -> None:
    assert COUNTER.count(text) <= len(text.encode("utf-8", "surrogatepass"))


def test_half_a_character_is_counted_as_something() -> None:
    assert COUNTER.count("a\ud800b") >= 1


def test_an_estimate_counts_both_sides_and_the_chat_format() -> None:
    assert COUNTER.estimate("hello world", "hello") == Usage(input=2 + 6, output=1)
    assert COUNTER.estimate("hello world", "hello", messages=3) == Usage(input=2 + 12, output=1)
    assert COUNTER.estimate("hello world", "", messages=0) == Usage(input=2)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(KeyError, match="no-such"):
        COUNTER.load("no-such")


def test_nothing_is_loaded_before_the_first_count() -> None:
    program = """
import sys
from komeet.metering.count import TokenCounter
counter = TokenCounter()
assert "toktok" not in sys.modules
assert counter.count("hello") == 1 and "toktok" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
