"""What one request came to, by its id: the ledger's own rows."""

from msgspec import Struct
from sqlalchemy import Engine, select

from komeet.core.money import Nano
from komeet.ledger.port import State
from komeet.store.tables import holds, outcomes


class Receipt(Struct, frozen=True, kw_only=True):
    """The end of one attempt."""

    attempt_id: str
    provider: str
    model: str
    state: State
    cost: Nano
    estimated: bool
    unpriced: bool


def receipts(engine: Engine, request_id: str) -> list[Receipt]:
    """Return the ended attempts of a request, the first one first; none while it is under way."""
    wanted = (
        select(outcomes, holds.c.provider, holds.c.model)
        .join_from(outcomes, holds, holds.c.attempt_id == outcomes.c.attempt_id)
        .where(holds.c.request_id == request_id)
        .order_by(holds.c.attempt_id)
    )
    with engine.connect() as connection:
        return [
            Receipt(
                attempt_id=row["attempt_id"],
                provider=row["provider"],
                model=row["model"],
                state=State(row["state"]),
                cost=row["cost"],
                estimated=row["estimated"],
                unpriced=row["unpriced"],
            )
            for row in connection.execute(wanted).mappings()
        ]
