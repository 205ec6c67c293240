import pytest
from hypothesis import given
from hypothesis import strategies as st

from komeet.core.http import Origin
from komeet.providers.address import at_host, parse_base_url


@pytest.mark.parametrize(
    ("url", "origin", "prefix"),
    [
        ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443), "/v1"),
        ("https://api.openai.com/v1/", Origin("https", "api.openai.com", 443), "/v1"),
        ("https://api.perplexity.ai", Origin("https", "api.perplexity.ai", 443), ""),
        ("HTTP://LOCALHOST:11434/v1", Origin("http", "localhost", 11434), "/v1"),
        ("http://127.0.0.1:1/a/b-c", Origin("http", "127.0.0.1", 1), "/a/b-c"),
        ("http://[::1]:8000/v1", Origin("http", "::1", 8000), "/v1"),
        ("https://my_host.internal/v1", Origin("https", "my_host.internal", 443), "/v1"),
    ],
)
def test_base_urls(url: str, origin: Origin, prefix: str) -> None:
    assert parse_base_url(url) == (origin, prefix)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com/v1",
        "ftp://api.openai.com",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "https://host/v1#part",
        "https://host/v1?",
        "https://host/../admin",
        "https://host/a//b",
        "https://host/v1\r\nx: y",
        "https://ho st/v1",
        "https://host\\@evil/v1",
        "https://host:0x50/v1",
        "https://host:99999/v1",
        "https://bücher.example/v1",
        "https://-host/v1",
    ],
)
def test_what_is_not_a_base_url_is_refused_without_repeating_secrets(url: str) -> None:
    with pytest.raises(ValueError, match=r"base URL|URL") as refused:
        parse_base_url(url)
    assert "secret" not in str(refused.value)


@given(st.text(max_size=60))
def test_garbage_is_refused_or_read_as_something_sendable(text: str) -> None:
    for url in (text, "https://" + text, "http://host/" + text):
        try:
            origin, prefix = parse_base_url(url)
        except ValueError:
            continue
        assert origin.scheme in {"http", "https"}
        assert 0 < origin.port < 65_536
        assert (origin.host + prefix).isascii()
        assert "@" not in origin.host  # in a path it means nothing
        assert not set(origin.host + prefix) & set(" \r\n\t?#\\")
        assert prefix == "" or (prefix.startswith("/") and not prefix.endswith("/"))


@pytest.mark.parametrize(
    ("host", "moved"),
    [
        ("box", "http://box:11434/v1"),
        ("box:1", "http://box:1/v1"),
        ("0.0.0.0", "http://0.0.0.0:11434/v1"),
        ("http://box", "http://box:11434/v1"),
        ("https://box", "https://box:443/v1"),
        ("https://box:8443/api/", "https://box:8443/api"),
        ("[::1]:5", "http://[::1]:5/v1"),
        ("http://box:80", "http://box:80/v1"),
    ],
)
def test_a_host_replaces_what_it_says_and_leaves_the_rest(host: str, moved: str) -> None:
    assert at_host("http://127.0.0.1:11434/v1", host) == moved
    assert parse_base_url(moved)[0].port > 0
