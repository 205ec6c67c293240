"""Keys: made once, shown once, found and revoked while servers run; gone when nobody can say that they still count."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from tests.store.postgres import BOTH
from tests.store.reach import out_of_reach

from komeet.access.keys import PREFIX, digest
from komeet.core.clock import ManualClock
from komeet.core.errors import Unavailable
from komeet.core.money import Nano
from komeet.store.database import Store
from komeet.store.errors import StoreError
from komeet.store.key_directory import KeyDirectory
from komeet.store.keys import change_budget, create_key, list_keys, revoke_key

DATABASES = BOTH


def test_a_key_is_kept_with_all_that_it_may_do(engine: Engine, clock: ManualClock) -> None:
    key, secret = create_key(
        engine,
        clock,
        name="app",
        budget=Nano(5),
        expires_at=clock.unix_ms() + 1,
        models=["gpt-5*", "openai/*"],
        tags=["a", "b", "a"],
        store_bodies=True,
    )
    assert list_keys(engine) == [key]
    assert secret.reveal().startswith(PREFIX)
    assert key.digest == digest(secret.reveal())
    assert secret.reveal().endswith(key.hint)
    assert (key.name, key.budget, key.expires_at) == ("app", 5, clock.unix_ms() + 1)
    assert (key.models, key.tags, key.store_bodies) == (("gpt-5*", "openai/*"), ("a", "b"), True)


def test_each_key_has_an_account_of_its_own(engine: Engine, clock: ManualClock) -> None:
    made = [create_key(engine, clock, name="app")[0] for _ in range(3)]
    assert len({key.account for key in made}) == 3
    assert [key.budget for key in made] == [None] * 3


def test_a_key_is_revoked_by_what_people_know_of_it(engine: Engine, clock: ManualClock) -> None:
    for number in range(4):
        key, secret = create_key(engine, clock, name=f"app {number}")
        which = (key.id, key.name, key.hint, secret.reveal())[number]
        clock.advance(1)
        revoked = revoke_key(engine, clock, which)
        assert (revoked.id, revoked.revoked_at) == (key.id, clock.unix_ms())
        clock.advance(1)
        assert revoke_key(engine, clock, which) == revoked


def test_a_name_that_several_keys_have_is_not_enough(engine: Engine, clock: ManualClock) -> None:
    first, second = (create_key(engine, clock, name="app")[0] for _ in range(2))
    with pytest.raises(StoreError, match="More than one") as several:
        revoke_key(engine, clock, "app")
    assert first.id in str(several.value)
    assert second.id in str(several.value)
    assert all(key.revoked_at is None for key in list_keys(engine))
    revoke_key(engine, clock, first.id)
    assert revoke_key(engine, clock, "app").id == second.id


def test_an_unknown_key_is_named_but_never_repeated_if_it_is_a_secret(engine: Engine, clock: ManualClock) -> None:
    with pytest.raises(StoreError, match="'nobody'"):
        revoke_key(engine, clock, "nobody")
    with pytest.raises(StoreError) as unknown:
        revoke_key(engine, clock, PREFIX + "s" * 43)
    assert "ssss'" in str(unknown.value)
    assert "sssss" not in str(unknown.value)


def test_a_budget_can_be_changed_and_taken_away(engine: Engine, clock: ManualClock) -> None:
    create_key(engine, clock, name="app", budget=Nano(5))
    assert change_budget(engine, clock, "app", Nano(7)).budget == 7
    assert change_budget(engine, clock, "app", None).budget is None


def test_no_file_has_the_key_in_it(tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = Store.open(tmp_path, clock)
    key, secret = create_key(store.files.ledger, clock, name="app")
    store.keys.refresh()
    assert asyncio.run(store.keys.find(digest(secret.reveal()))) == key
    revoke_key(store.files.ledger, clock, secret.reveal())
    contents = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    store.close()
    contents += [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert any(key.digest in content for content in contents)
    random = secret.reveal().removeprefix(PREFIX)
    for content in [*contents, caplog.text.encode()]:
        assert random.encode() not in content
        assert random[:12].encode() not in content
    assert key.digest.hex() not in caplog.text


def test_a_running_server_sees_what_another_connection_changes(
    engine: Engine, clock: ManualClock, another: Callable[[], Engine]
) -> None:
    other = another()
    directory = KeyDirectory(engine, clock)
    assert directory.refresh()
    key, _ = create_key(other, clock, name="app")
    assert directory.known(key.digest) is None
    assert directory.refresh()
    assert directory.known(key.digest) == key
    changed = change_budget(other, clock, key.id, Nano(9))
    assert directory.refresh()
    assert directory.known(key.digest) == changed
    revoked = revoke_key(other, clock, key.id)
    assert directory.refresh()
    assert directory.known(key.digest) == revoked


def test_the_watch_sees_changes_by_itself(engine: Engine, clock: ManualClock) -> None:
    async def main() -> None:
        directory = KeyDirectory(engine, clock, poll=0.01)
        tasks: list[asyncio.Task[None]] = []

        def spawn(name: str, work: Coroutine[Any, Any, None]) -> None:
            tasks.append(asyncio.create_task(work, name=name))

        await directory.start(spawn)
        key, _ = await asyncio.to_thread(create_key, engine, clock, name="app")
        async with asyncio.timeout(30):
            while directory.known(key.digest) is None:  # noqa: ASYNC110 - it is the directory that changes
                await asyncio.sleep(0.005)
            await directory.stop()
            await asyncio.gather(*tasks)

    asyncio.run(main())


def test_a_key_that_is_newer_than_the_last_look_is_found_in_the_store(engine: Engine, clock: ManualClock) -> None:
    directory = KeyDirectory(engine, clock)
    directory.refresh()
    key, _ = create_key(engine, clock, name="app")

    async def main() -> None:
        found = await asyncio.gather(*(directory.find(key.digest) for _ in range(50)))
        assert found == [key] * 50
        assert await directory.find(digest("sk-km-unknown")) is None
        revoked = revoke_key(engine, clock, key.id)
        assert await directory.find(key.digest) == revoked, "nothing of an earlier search is believed"

    asyncio.run(main())


def test_one_search_serves_all_who_ask_at_the_same_time(engine: Engine, clock: ManualClock) -> None:
    key, _ = create_key(engine, clock, name="app")
    directory = KeyDirectory(engine, clock)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *a: statements.append(str(a[2])))

    async def main() -> None:
        waiting = [asyncio.create_task(directory.find(key.digest)) for _ in range(50)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # the one who began the search leaves
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [key] * 49

    asyncio.run(main())
    assert sum("SELECT" in statement for statement in statements) == 1


def test_a_store_out_of_reach_is_believed_for_the_grace_and_no_longer(
    engine: Engine, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    key, _ = create_key(engine, clock, name="app")
    directory = KeyDirectory(engine, clock, grace=30)
    assert directory.known(key.digest) is None, "nothing is known before the first look"
    assert directory.refresh()
    with out_of_reach(engine):
        clock.advance(29.9)
        assert not directory.refresh()
        assert directory.known(key.digest) == key
        with pytest.raises(Unavailable):
            asyncio.run(directory.find(digest("sk-km-unknown")))
        clock.advance(0.2)
        assert not directory.refresh()
        assert directory.known(key.digest) is None
        with pytest.raises(Unavailable):
            asyncio.run(directory.find(key.digest))
    assert directory.refresh()
    assert directory.known(key.digest) == key
    assert key.digest.hex() not in caplog.text
    assert "out of reach" in caplog.text
