"""Organisations, and the projects and users in them: made, listed, archived, from any process.

Servers see a change within their next poll, as with keys.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NoReturn

from msgspec import Struct
from sqlalchemy import Connection, Engine, RowMapping, Table, insert, select, update

from komeet.core.clock import Clock
from komeet.core.ids import new_id
from komeet.ledger.accounts import Kind
from komeet.store.errors import StoreError
from komeet.store.keys import Owner
from komeet.store.ledger_rows import bump
from komeet.store.tables import accounts, organisations, projects, users
from komeet.store.transactions import writing


class Group(StrEnum):
    """What keys can belong to."""

    ORGANISATION = "organisation"
    PROJECT = "project"
    USER = "user"


class Member(Struct, frozen=True, kw_only=True):
    """An organisation, or a project or a user in one."""

    group: Group
    id: str
    name: str
    organisation: str
    """The id of the organisation; of one, its own."""
    organisation_name: str
    account: int
    created_at: int
    """Unix milliseconds."""
    archived_at: int | None


def _table(group: Group) -> Table:
    match group:
        case Group.ORGANISATION:
            return organisations
        case Group.PROJECT:
            return projects
        case Group.USER:
            return users


def _prefix(group: Group) -> str:
    match group:
        case Group.ORGANISATION:
            return "org_"
        case Group.PROJECT:
            return "prj_"
        case Group.USER:
            return "usr_"


def create(engine: Engine, clock: Clock, group: Group, name: str, organisation: str | None = None) -> Member:
    """Make an organisation, or a project or user in one, with an account of its own.

    Args:
        engine: of the ledger.
        clock: says when it was made.
        group: what it is.
        name: no other of its group has it in the organisation, archived or not.
        organisation: the id or name of the one that it is in; needed unless it is one.

    Raises:
        StoreError: the name is taken, or there is no such organisation, or it is archived.
    """
    table = _table(group)
    with writing(engine) as connection:
        bump(connection, "keys")  # whoever else changes people waits until this transaction ends
        same = select(table.c.id, table.c.archived_at).where(table.c.name == name)
        row: dict[str, Any] = {"id": new_id(_prefix(group), clock), "name": name, "created_at": clock.unix_ms()}
        within = ""
        if group is not Group.ORGANISATION:
            parent = find(connection, Group.ORGANISATION, organisation or "")
            _require_live(parent)
            row["organisation_id"] = parent.id
            same = same.where(table.c.organisation_id == parent.id)
            within = f" in {parent.name!r}"
        taken = connection.execute(same).first()
        if taken is not None:
            archived = " (archived: `restore` brings it back)" if taken.archived_at is not None else ""
            raise StoreError(f"There is {_an(group)} called {name!r}{within} already{archived}: {taken.id}.")
        added = connection.execute(insert(accounts).values(kind=Kind(group.value).value, name=name))
        assert added.inserted_primary_key is not None
        connection.execute(insert(table).values(row | {"account_id": added.inserted_primary_key[0]}))
        return find(connection, group, row["id"])


def members(engine: Engine, group: Group) -> list[Member]:
    """Return all of a group, archived ones too, by organisation and name."""
    with engine.connect() as connection:
        return _members(connection, group)


def archive(
    engine: Engine, clock: Clock, group: Group, which: str, organisation: str | None = None, *, restore: bool = False
) -> Member:
    """Refuse the calls of all keys that belong to it from now on, or `restore` it; again, it changes nothing.

    Args:
        engine: of the ledger.
        clock: says when it was archived.
        group: what it is.
        which: its id or its name.
        organisation: the id or name of the one that it is in, where names alone do not tell.
        restore: bring it back instead.

    Raises:
        StoreError: none is known by it, or more than one.
    """
    table = _table(group)
    with writing(engine) as connection:
        bump(connection, "keys")
        found = find(connection, group, which, organisation)
        if restore or found.archived_at is None:
            at = None if restore else clock.unix_ms()
            connection.execute(update(table).where(table.c.id == found.id).values(archived_at=at))
        return find(connection, group, found.id)


def find(connection: Connection, group: Group, which: str, organisation: str | None = None) -> Member:
    """Return the one that is meant by an id or a name.

    Args:
        connection: of the ledger.
        group: what it is.
        which: its id or its name.
        organisation: the id or name of the one that it is in; None: any.

    Raises:
        StoreError: none is known by it, or more than one.
    """
    known = _members(connection, group)
    if organisation is not None and group is not Group.ORGANISATION:
        parent = find(connection, Group.ORGANISATION, organisation)
        known = [one for one in known if one.organisation == parent.id]
    for named in ([one for one in known if one.id == which], [one for one in known if one.name == which]):
        if len(named) > 1:
            _ambiguous(group, which, named)
        if named:
            return named[0]
    command = "org" if group is Group.ORGANISATION else group.value
    where = "" if organisation is None or group is Group.ORGANISATION else f" in {organisation!r}"
    raise StoreError(
        f"No {group} has the id or the name {which!r}{where}; `komeet {command} list` shows them, and"
        f" `komeet {command} create` makes one."
    )


def find_owner(
    connection: Connection, organisation: str | None = None, project: str | None = None, user: str | None = None
) -> Owner:
    """Return what a key is to belong to, from ids or names; a project or a user gives its organisation.

    Raises:
        StoreError: one is not known or archived, or they are not of one organisation.
    """
    named: list[Member] = []
    for group, which in ((Group.PROJECT, project), (Group.USER, user)):
        if which is not None:
            named.append(_within(connection, group, which, organisation))
    if organisation is not None:
        named.append(find(connection, Group.ORGANISATION, organisation))
    for one in named:
        _require_live(one)
        if one.organisation != named[0].organisation:
            raise StoreError(
                f"The {named[0].group} {named[0].name!r} is in the organisation {named[0].organisation_name!r}, and the"
                f" {one.group} {one.name!r} in {one.organisation_name!r}: a key belongs to one organisation."
            )
    of = {one.group: one.id for one in named}
    parent = named[0].organisation if named else None
    if parent is not None:
        _require_live(find(connection, Group.ORGANISATION, parent))
    return Owner(organisation=parent, project=of.get(Group.PROJECT), user=of.get(Group.USER))


def owner_of(engine: Engine, organisation: str | None, project: str | None, user: str | None) -> Owner:
    """Return the same as `find_owner`, read in a transaction of its own."""
    with engine.connect() as connection, connection.begin():
        return find_owner(connection, organisation, project, user)


def _within(connection: Connection, group: Group, which: str, organisation: str | None) -> Member:
    """One of this organisation if it has one of that name; or one of another, so that the contradiction is said."""
    try:
        return find(connection, group, which, organisation)
    except StoreError:
        if organisation is None:
            raise
        find(connection, Group.ORGANISATION, organisation)
        return find(connection, group, which)


def _members(connection: Connection, group: Group) -> list[Member]:
    table = _table(group)
    if group is Group.ORGANISATION:
        chosen = select(table).order_by(table.c.name)
    else:
        chosen = (
            select(table, organisations.c.name.label("organisation_name"))
            .join(organisations, organisations.c.id == table.c.organisation_id)
            .order_by(organisations.c.name, table.c.name)
        )
    return [_member(group, row) for row in connection.execute(chosen).mappings()]


def _member(group: Group, row: RowMapping) -> Member:
    itself = group is Group.ORGANISATION
    return Member(
        group=group,
        id=row["id"],
        name=row["name"],
        organisation=row["id"] if itself else row["organisation_id"],
        organisation_name=row["name"] if itself else row["organisation_name"],
        account=row["account_id"],
        created_at=row["created_at"],
        archived_at=row["archived_at"],
    )


def _require_live(member: Member) -> None:
    if member.archived_at is not None:
        command = "org" if member.group is Group.ORGANISATION else member.group.value
        raise StoreError(
            f"The {member.group} {member.name!r} is archived; `komeet {command} restore {member.id}` brings it back."
        )


def _ambiguous(group: Group, which: str, named: Sequence[Member]) -> NoReturn:
    ids = ", ".join(f"{one.id} (in {one.organisation_name!r})" for one in named)
    raise StoreError(f"More than one {group} is called {which!r}: {ids}. Name one by its id, or say --org.")


def _an(group: Group) -> str:
    return f"an {group}" if group is Group.ORGANISATION else f"a {group}"
