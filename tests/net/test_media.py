"""Files that callers name by URL: from public addresses only, each redirect checked, within bounds."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from tests.whole.upstream import Received, Step, Upstream, whole

from komeet.core.clock import SystemClock
from komeet.core.errors import WireError
from komeet.net.media import PublicMedia, is_public

PRIVATE: Sequence[str] = (
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_not_admitted(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_admitted(address: str) -> None:
    assert is_public(address)


def fetch(
    url: str, *, limit: int = 1000, seconds: float = 5, admits: Callable[[str], bool] = lambda _: True
) -> tuple[str, bytes]:
    media = PublicMedia(SystemClock(), limit=limit, seconds=seconds, admits=admits, ports=None)
    return asyncio.run(media.fetch(url))


def test_a_file_is_fetched_with_nothing_of_ours() -> None:
    with Upstream(answer=lambda _: whole(b"%PDF", content_type="application/pdf; v=1")) as upstream:
        found = fetch(f"http://127.0.0.1:{upstream.port}/a.pdf?x=1")
        assert found == ("application/pdf", b"%PDF")
        (request,) = upstream.received
        assert (request.method, request.target) == ("GET", "/a.pdf?x=1")
        assert set(request.headers) == {"host", "accept", "accept-encoding", "user-agent"}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/a",
        "http://localhost:{port}/a",
        "http://[::1]:{port}/a",
        "http://2130706433:{port}/a",
        "http://0x7f.1:{port}/a",
        "http://127.1:{port}/a",
        "http://127.0.0.1.:{port}/a",
    ],
)
def test_this_machine_is_not_connected_to_however_it_is_written(url: str) -> None:
    with Upstream() as upstream:
        with pytest.raises(WireError) as refused:
            fetch(url.format(port=upstream.port), admits=is_public)
        assert upstream.received == []
        assert str(upstream.port) in refused.value.message


def test_each_redirect_is_checked() -> None:
    def answer(request: Received) -> Sequence[Step]:
        there = f"Location: http://127.0.0.1:{upstream.port}/second\r\n"
        return whole(b"", 302, there) if request.target == "/first" else whole(b"secret")

    seen: list[str] = []

    def once(address: str) -> bool:
        seen.append(address)
        return len(seen) < 2

    with Upstream(answer=answer) as upstream:
        url = f"http://127.0.0.1:{upstream.port}/first"
        assert fetch(url) == ("application/json", b"secret")
        with pytest.raises(WireError):
            asyncio.run(_twice(url, once))
        assert [request.target for request in upstream.received] == ["/first", "/second", "/first"]


def _elsewhere(_: str, there: str) -> str:
    return there.replace("127.0.0.1", "localhost")


async def _twice(url: str, admits: Callable[[str], bool]) -> None:
    """The connection is kept within one fetch, so the second address is another name of the same machine."""
    media = PublicMedia(SystemClock(), limit=100, seconds=5, admits=admits, ports=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("komeet.net.media.urljoin", _elsewhere)
        await media.fetch(url)


def test_redirects_come_to_an_end() -> None:
    with Upstream(answer=lambda _: whole(b"", 302, "Location: /again\r\n")) as upstream:
        with pytest.raises(WireError, match="too many times"):
            fetch(f"http://127.0.0.1:{upstream.port}/")
        assert len(upstream.received) == 4


def test_a_redirect_to_what_is_no_address_is_the_callers_mistake() -> None:
    with (
        Upstream(answer=lambda _: whole(b"", 302, "Location: http://[::1\r\n")) as upstream,
        pytest.raises(WireError, match="leads on to what is not a URL"),
    ):
        fetch(f"http://127.0.0.1:{upstream.port}/")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com/a", "plain http"),
        ("file:///etc/passwd", "plain http"),
        ("http://user:word@example.com/a", "plain http"),
        ("http://example.com\\@127.0.0.1/", "plain http"),
        ("http:///a", "plain http"),
        ("http://exa mple.com/", "plain http"),
        ("http://example.com:99999/", "not a URL"),
    ],
)
def test_what_is_no_plain_web_address_is_refused(url: str, why: str) -> None:
    with pytest.raises(WireError, match=why):
        fetch(url)


def test_ports_of_other_services_are_refused() -> None:
    media = PublicMedia(SystemClock(), limit=100, seconds=1)
    with pytest.raises(WireError, match="443 and 80"):
        asyncio.run(media.fetch("http://example.com:22/"))


def test_size_time_and_status_are_bounded_and_the_query_is_not_shown() -> None:
    with Upstream(answer=lambda _: whole(b"x" * 2000)) as upstream:
        with pytest.raises(WireError) as large:
            fetch(f"http://127.0.0.1:{upstream.port}/a?signature=secret")
        assert "secret" not in large.value.message
    with Upstream(answer=lambda _: whole(b"no", 404)) as upstream, pytest.raises(WireError, match="404"):
        fetch(f"http://127.0.0.1:{upstream.port}/a")
    with Upstream(answer=lambda _: []) as upstream, pytest.raises(WireError):
        fetch(f"http://127.0.0.1:{upstream.port}/a", seconds=0.2)
