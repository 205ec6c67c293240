"""What the ledger has of one provider, by hour and model, for a comparison with its report."""

from sqlalchemy import Engine, func, select

from komeet.canonical.usage import Usage
from komeet.ledger.reconcile import Kept
from komeet.store.tables import USAGE_COLUMNS, usage_hours

_COUNTS = ("settled", "orphans", "estimated", "unpriced", "cost")


def kept_between(engine: Engine, provider: str, since: int, until: int) -> list[Kept]:
    """Return the sums of a provider's calls by hour and model.

    Args:
        engine: of the ledger.
        provider: as the ledger calls it.
        since: Unix milliseconds on the hour, inclusive.
        until: the same, exclusive.
    """
    chosen = (
        select(
            usage_hours.c.hour,
            usage_hours.c.model,
            *(func.sum(usage_hours.c[name]).label(name) for name in (*_COUNTS, *USAGE_COLUMNS)),
        )
        .where(usage_hours.c.provider == provider, usage_hours.c.hour >= since, usage_hours.c.hour < until)
        .group_by(usage_hours.c.hour, usage_hours.c.model)
        .order_by(usage_hours.c.hour, usage_hours.c.model)
    )
    with engine.connect() as connection:
        return [
            Kept(
                hour=row["hour"],
                model=row["model"],
                calls=int(row["settled"] + row["orphans"]),
                orphans=int(row["orphans"]),
                estimated=int(row["estimated"]),
                unpriced=int(row["unpriced"]),
                usage=Usage(**{f: int(row[c]) for f, c in zip(Usage.__struct_fields__, USAGE_COLUMNS, strict=True)}),
                cost=int(row["cost"]),
            )
            for row in connection.execute(chosen).mappings()
            if row["settled"] or row["orphans"] or row["cost"]
        ]


def providers_between(engine: Engine, since: int, until: int) -> list[str]:
    """Return the providers that were called in that time."""
    chosen = select(usage_hours.c.provider).where(usage_hours.c.hour >= since, usage_hours.c.hour < until).distinct()
    with engine.connect() as connection:
        return sorted(connection.execute(chosen).scalars())
