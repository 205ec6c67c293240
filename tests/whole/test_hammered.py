"""A key is revoked, a budget lowered, under calls without a pause: within a second nothing is accepted any more."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.whole.fleet import Layout, fleet
from tests.whole.gateway import Gateway
from tests.whole.mixed import answer
from tests.whole.processes import Caller, until
from tests.whole.upstream import Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LAYOUTS = pytest.mark.parametrize(
    "layout",
    [
        pytest.param(Layout(nodes=1, workers=4, shared=False), id="four workers, SQLite"),
        pytest.param(Layout(nodes=2, workers=2, shared=True), id="two nodes, PostgreSQL"),
    ],
)
CALL = {"model": "openai/plain-call-hammer", "max_completion_tokens": 10}


@pytest.fixture
def nodes(
    layout: Layout, upstream: Upstream, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[list[Gateway]]:
    upstream.answer = answer
    address = request.getfixturevalue("address") if layout.shared else ""
    with fleet(tmp_path, upstream, layout, address) as running:
        yield running


def last_accepted(nodes: list[Gateway], key: str, command: tuple[str, ...], refusal: int) -> float:
    """Call without a pause, give a command, and return how many seconds after it the last call began that went well."""
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(Caller(node, key, **CALL)) for node in nodes for _ in range(8 // len(nodes))]
        until(lambda: all(len(caller.answers) > 10 for caller in callers))
        done = nodes[-1].command(*command)
        since = time.monotonic()
        assert done.returncode == 0, done.stderr
        until(lambda: all(caller.answers[-1][1] == refusal for caller in callers))
        time.sleep(0.5)  # and it stays so
    assert {status for caller in callers for _, status, _ in caller.answers} == {200, refusal}
    return max(caller.last(200) for caller in callers) - since


@LAYOUTS
def test_within_a_second_of_a_revocation_or_a_lower_budget_nothing_is_accepted(
    nodes: list[Gateway], upstream: Upstream
) -> None:
    first = nodes[0]
    rich = first.create_key("rich", "--budget", "100")
    lowered = last_accepted(nodes, rich, ("key", "budget", "rich", "0.000001"), 402)
    assert lowered < 1
    assert first.command("key", "budget", "rich", "100").returncode == 0
    until(lambda: all(node.chat(rich, **CALL).status == 200 for node in nodes))
    revoked = last_accepted(nodes, rich, ("key", "revoke", "rich"), 401)
    assert revoked < 1
    print(f"last accepted: {lowered:.2f} s after the budget was lowered, {revoked:.2f} s after the key was revoked")
    until(lambda: first.total().calls == nodes[-1].total().calls == len(upstream.received))
    assert first.audit() == []
    assert not any("out of reach" in node.errors() for node in nodes)
