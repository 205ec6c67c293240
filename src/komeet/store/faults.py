"""What went wrong with a database, in words for a log: what the driver says, never the statement or its values."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_MISSING = ("3D000", "42501", "42P01")
"""A database, a right or a table that is not there, as PostgreSQL says it: what was asked is not at fault."""

_CONFLICTS = ("40001", "40P01")


def describe(error: BaseException) -> str:
    """Return one line about the error; without parameters, which may be anybody's data."""
    if isinstance(error, PoolTimeout):
        return "all connections to the database are in use"
    if isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {_said(error.orig)}"
    return type(error).__name__


def is_outage(error: BaseException) -> bool:
    """Whether the database is at fault (full, locked, gone, slow, broken) rather than what was asked of it."""
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error, ProgrammingError):
        return getattr(error.orig, "sqlstate", None) in _MISSING
    return isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | DataError)


def is_conflict(error: BaseException) -> bool:
    """Whether a transaction only lost against another one (a deadlock): the same again, at once, may well succeed."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _CONFLICTS


def _said(error: BaseException | None) -> str:
    """What the driver says, in one line. PostgreSQL adds the values of a row that it refuses: those are left out."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return " ".join(str(primary or error).split())
