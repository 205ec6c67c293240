"""The alarm for calls that nobody knows the price of: they cost money, and no budget and no page shows it."""

import logging
from typing import Final

from komeet.canonical.record import CallRecord
from komeet.core.clock import Clock

_LOG = logging.getLogger("komeet.prices")
_AGAIN: Final = 3600.0
"""Seconds after which the same model is named again."""
_MOST: Final = 1000
"""Models that are kept apart: they are named by callers."""


class UnpricedAlarm:
    """An observer of calls that says which models have no price: each once an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._named: Final[dict[tuple[str, str], float]] = {}

    def ended(self, record: CallRecord) -> None:
        """Take the record of a call; never blocks, never raises."""
        if not record.unpriced:
            return
        pair = (record.provider, record.model_asked)
        now = self._clock.monotonic()
        before = self._named.get(pair)
        if before is not None and now - before < _AGAIN:
            return
        if len(self._named) >= _MOST:
            self._named.clear()
        self._named[pair] = now
        _LOG.warning(
            "unpriced: what %s costs at %s is not known, and the call was made for nothing in the ledger; give it a"
            " price in the configuration (prices:), or refuse such calls (ledger.unpriced: refuse)",
            record.model_asked,
            record.provider,
        )
