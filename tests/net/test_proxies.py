"""Which proxy the environment names for what, and how little of it shows."""

import pytest

from komeet.core.http import Origin
from komeet.net.proxies import ProxyError, from_environment

API = Origin("https", "api.example.com", 443)


def leads(environment: dict[str, str], origin: Origin = API) -> Origin | None:
    proxy = from_environment(environment).towards(origin)
    return None if proxy is None else proxy.origin


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": "http://other:1"}, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, Origin("http", "proxy.example", 3128)),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, Origin("http", "low", 1)),
        ({"HTTPS_PROXY": "proxy:3128/"}, Origin("http", "proxy", 3128)),
        ({"HTTPS_PROXY": "http://[::1]:3128"}, Origin("http", "::1", 3128)),
        ({"HTTPS_PROXY": "https://proxy"}, Origin("https", "proxy", 443)),
        ({"HTTPS_PROXY": "http://proxy"}, Origin("http", "proxy", 80)),
        ({"ALL_PROXY": "http://all:1"}, Origin("http", "all", 1)),
        ({"ALL_PROXY": "http://all:1", "https_proxy": "http://own:1"}, Origin("http", "own", 1)),
    ],
)
def test_the_proxy_for_an_https_origin(environment: dict[str, str], expected: Origin | None) -> None:
    assert leads(environment) == expected


def test_plain_http_has_a_variable_of_its_own() -> None:
    environment = {"HTTP_PROXY": "http://plain:1", "HTTPS_PROXY": "http://tls:1"}
    assert leads(environment, Origin("http", "box.example", 80)) == Origin("http", "plain", 1)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "direct"),
    [
        ("", "api.example.com", 443, False),
        ("*", "api.example.com", 443, True),
        ("example.com", "api.example.com", 443, True),
        ("example.com", "example.com", 443, True),
        (".example.com", "api.example.com", 443, True),
        ("*.example.com", "api.example.com", 443, True),
        ("EXAMPLE.com", "api.Example.COM.", 443, True),
        ("example.com", "badexample.com", 443, False),
        ("ample.com", "api.example.com", 443, False),
        ("other.org, example.com", "api.example.com", 443, True),
        ("other.org example.com", "api.example.com", 443, True),
        ("example.com:443", "api.example.com", 443, True),
        ("example.com:8443", "api.example.com", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "10.example.com", 443, False),
        ("192.0.2.7", "192.0.2.7", 443, True),
        ("192.0.2.7:80", "192.0.2.7", 443, False),
        ("2001:db8::/32", "2001:db8::1", 443, True),
        ("[2001:db8::1]:443", "2001:db8::1", 443, True),
        ("[2001:db8::1]:80", "2001:db8::1", 443, False),
        (", ,", "api.example.com", 443, False),
        ("", "localhost", 8000, True),
        ("", "127.0.0.1", 8000, True),
        ("", "::1", 8000, True),
    ],
)
def test_what_is_reached_directly(no_proxy: str, host: str, port: int, direct: bool) -> None:
    environment = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": no_proxy}
    assert (leads(environment, Origin("https", host, port)) is None) is direct


def test_a_password_goes_to_the_proxy_and_shows_nowhere() -> None:
    proxies = from_environment({"HTTPS_PROXY": "http://us%40er:p%3Ass%20w%C3%B6rd@proxy:3128"})
    proxy = proxies.towards(API)
    assert proxy is not None
    assert proxy.lines() == b"proxy-authorization: Basic dXNAZXI6cDpzcyB3w7ZyZA==\r\n"
    assert "dXNAZXI" not in repr(proxy)
    assert proxy.origin == Origin("http", "proxy", 3128)


@pytest.mark.parametrize(
    "text",
    [
        "socks5://user:s3cret@proxy:1080",
        "http://user:s3cret@proxy:port",
        "http://user:s3cret@",
        "http://user:s3cret@proxy/path",
        "http://user:s3cret@pro xy",
        "http://user:s3cret@[::1",
    ],
)
def test_what_cannot_be_used_is_said_by_its_variable_and_not_repeated(text: str) -> None:
    with pytest.raises(ProxyError, match=r"^ALL_PROXY: ") as caught:
        from_environment({"ALL_PROXY": text})
    assert "s3cret" not in str(caught.value)
