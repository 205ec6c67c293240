"""What went wrong with a database, in words for a log: what the driver says, never the statement or its values."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError


def describe(error: BaseException) -> str:
    """Return one line about the error; without parameters, which may be anybody's data."""
    if isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {error.orig}"
    return type(error).__name__


def is_outage(error: BaseException) -> bool:
    """Whether the database is at fault (full, locked, gone, broken) rather than what was asked of it."""
    return isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | DataError | ProgrammingError)
