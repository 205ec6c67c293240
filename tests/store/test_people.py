"""Organisations, projects and users: what belongs where, and what becomes of the keys of what is archived."""

import pytest
from sqlalchemy import Engine
from tests.store.postgres import BOTH

from komeet.core.clock import ManualClock
from komeet.store.errors import StoreError
from komeet.store.keys import Owner, create_key, find_keys, keys_epoch
from komeet.store.people import Group, Member, archive, create, members, owner_of

DATABASES = BOTH


@pytest.fixture
def acme(engine: Engine, clock: ManualClock) -> Member:
    return create(engine, clock, Group.ORGANISATION, "acme")


@pytest.fixture
def other(engine: Engine, clock: ManualClock) -> Member:
    return create(engine, clock, Group.ORGANISATION, "other")


def test_a_project_and_a_user_give_their_organisation(engine: Engine, clock: ManualClock, acme: Member) -> None:
    web = create(engine, clock, Group.PROJECT, "web", "acme")
    ann = create(engine, clock, Group.USER, "ann", acme.id)
    assert owner_of(engine, None, "web", None) == Owner(organisation=acme.id, project=web.id)
    assert owner_of(engine, "acme", web.id, "ann") == Owner(organisation=acme.id, project=web.id, user=ann.id)
    assert owner_of(engine, None, None, None) == Owner()
    key, _ = create_key(engine, clock, name="k", owner=owner_of(engine, None, "web", "ann"))
    assert key.above == (ann.account, web.account, acme.account)
    assert len({key.account, *key.above}) == 4


def test_names_are_one_of_a_kind_in_an_organisation(
    engine: Engine, clock: ManualClock, acme: Member, other: Member
) -> None:
    one = create(engine, clock, Group.PROJECT, "web", "acme")
    with pytest.raises(StoreError, match="'web' in 'acme' already"):
        create(engine, clock, Group.PROJECT, "web", "acme")
    two = create(engine, clock, Group.PROJECT, "web", "other")
    with pytest.raises(StoreError, match="More than one project is called 'web'"):
        owner_of(engine, None, "web", None)
    assert owner_of(engine, "other", "web", None) == Owner(organisation=other.id, project=two.id)
    assert [(m.organisation_name, m.id) for m in members(engine, Group.PROJECT)] == [
        ("acme", one.id),
        ("other", two.id),
    ]
    with pytest.raises(StoreError, match="an organisation called 'acme' already"):
        create(engine, clock, Group.ORGANISATION, acme.name)


def test_contradictions_are_refused(engine: Engine, clock: ManualClock, acme: Member, other: Member) -> None:
    create(engine, clock, Group.PROJECT, "web", "acme")
    create(engine, clock, Group.USER, "bob", "other")
    for organisation, project, user in (("other", "web", None), (None, "web", "bob"), (acme.id, None, "bob")):
        with pytest.raises(StoreError, match="a key belongs to one organisation"):
            owner_of(engine, organisation, project, user)
    with pytest.raises(StoreError, match="No project has the id or the name 'nope'"):
        owner_of(engine, "acme", "nope", None)
    with pytest.raises(StoreError, match="`komeet org create` makes one"):
        owner_of(engine, "nope", None, None)
    with pytest.raises(StoreError, match="No organisation"):
        create(engine, clock, Group.USER, "cid", None)
    del other


@pytest.mark.parametrize("group", list(Group))
def test_what_is_archived_takes_its_keys_with_it_until_it_is_restored(
    group: Group, engine: Engine, clock: ManualClock, acme: Member
) -> None:
    create(engine, clock, Group.PROJECT, "web", "acme")
    create(engine, clock, Group.USER, "ann", "acme")
    create_key(engine, clock, name="k", owner=owner_of(engine, None, "web", "ann"))
    name = {Group.ORGANISATION: "acme", Group.PROJECT: "web", Group.USER: "ann"}[group]
    with engine.connect() as connection:
        before = keys_epoch(connection)
    first = archive(engine, clock, group, name)
    assert first.archived_at == clock.unix_ms()
    with engine.connect() as connection:
        assert keys_epoch(connection) > before
        assert [key.archived for key in find_keys(connection)] == [f"{group} {name!r}"]
    clock.advance(1)
    assert archive(engine, clock, group, name).archived_at == first.archived_at
    with pytest.raises(StoreError, match=rf"The {group} '{name}' is archived; `komeet \w+ restore"):
        owner_of(engine, None, "web", "ann")
    assert archive(engine, clock, group, name, restore=True).archived_at is None
    with engine.connect() as connection:
        assert [key.archived for key in find_keys(connection)] == [""]
    del acme


def test_nothing_is_made_in_what_is_archived(engine: Engine, clock: ManualClock, acme: Member) -> None:
    archive(engine, clock, Group.ORGANISATION, "acme")
    with pytest.raises(StoreError, match="is archived"):
        create(engine, clock, Group.USER, "ann", acme.id)
    with pytest.raises(StoreError, match="archived: `restore` brings it back"):
        create(engine, clock, Group.ORGANISATION, "acme")
