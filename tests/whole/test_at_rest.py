"""What lies on the disk, in the database and in a backup: no key, no secret, no prompt unless it is asked for."""

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from tests.whole.gateway import Gateway
from tests.whole.processes import at, until
from tests.whole.upstream import DONE, HELLO, Received, Step, Upstream, delta, event, stream, usage, whole

PROMPT, ANSWER, KEPT = "canary-prompt-7f31", "canary-answer-90ab", "canary-kept-55d2"
PROVIDERS = "sk-upstream-canary"


def echo(request: Received) -> list[Step]:
    """Answer with a word of its own, or with the prompt that is to be kept."""
    (message,) = request.json["messages"]
    said = message["content"] if message["content"] == KEPT else ANSWER
    if request.json.get("stream"):
        return stream(delta(said), delta(finish="stop"), event(choices=[], usage=usage(9, 4)), DONE)
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return whole(HELLO | {"choices": [choice]})


def failing(_: Received) -> list[Step]:
    """Answer as providers do that repeat what they were sent."""
    return whole({"error": {"message": f"bad key {PROVIDERS} for {PROMPT}", "type": "x"}}, status=401)


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything under a folder but the configuration, which is where the provider's secret comes from."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "test.yaml":
            yield path.name, path.read_bytes()


def backup(gateway: Gateway, folder: Path) -> Iterator[tuple[str, bytes]]:
    done = gateway.command("backup", str(folder / "backup.tar.gz"))
    assert done.returncode == 0, done.stderr
    with tarfile.open(folder / "backup.tar.gz") as archive:
        for member in archive:
            found = archive.extractfile(member)
            assert found is not None
            yield f"backup: {member.name}", found.read()


def tables(address: str) -> Iterator[tuple[str, bytes]]:
    """All rows of a PostgreSQL database, as a dump has them."""
    with psycopg.connect(address) as connection:
        names = connection.execute("SELECT relname FROM pg_stat_user_tables").fetchall()
        for (name,) in names:
            with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))) as rows:
                yield name, b"".join(bytes(row) for row in rows)


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_nothing_that_is_kept_has_a_key_a_secret_or_a_prompt(
    database: str, tmp_path: Path, upstream: Upstream, request: pytest.FixtureRequest
) -> None:
    upstream.answer = echo
    address: str = request.getfixturevalue("address") if database == "PostgreSQL" else ""
    more = {"ledger": {"database": address}} if address else {}
    with Gateway(tmp_path / "data", at(upstream) | more) as gateway:
        bounded = gateway.create_key("bounded", "--budget", "5")
        keeping = gateway.create_key("keeping", "--store-bodies")
        keys = [gateway.key, bounded, keeping, "sk-km-" + "canary" * 7 + "x"]
        for key in keys[:2]:
            for more in ({}, {"stream": True}):
                assert gateway.chat(key, messages=[{"role": "user", "content": PROMPT}], **more).status == 200
        assert gateway.chat(keeping, messages=[{"role": "user", "content": KEPT}]).status == 200
        assert gateway.chat(keys[3]).status == 401
        upstream.answer = failing
        refused = gateway.chat(bounded, messages=[{"role": "user", "content": PROMPT}])
        assert refused.status in {401, 502}
        assert gateway.command("key", "revoke", bounded).returncode == 0
        until(lambda: gateway.total().calls == 5)
        until(lambda: having(KEPT, lying(gateway, address)))  # it does find what is there
        everything = list(lying(gateway, address))
        if not address:
            everything += backup(gateway, tmp_path)
            assert {"komeet.db-wal", "backup: komeet.db"} <= {name for name, _ in everything}
    everything += lying(gateway, address)
    for what in (*keys, *(key.removeprefix("sk-km-")[:16] for key in keys), PROVIDERS, PROMPT, ANSWER):
        assert having(what, everything) == [], what


def having(what: str, contents: Iterable[tuple[str, bytes]]) -> list[str]:
    """The names of those that have it, as it is or in hexadecimal."""
    plain = what.encode()
    return [name for name, content in contents if plain in content or plain.hex().encode() in content]


def lying(gateway: Gateway, address: str) -> Iterator[tuple[str, bytes]]:
    """What is there now."""
    yield from files(gateway.data_dir)
    if address:
        yield from tables(address)
