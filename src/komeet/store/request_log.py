"""The request log: telemetry in a file of its own. It may lose rows, and says so; it never delays or fails a call."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from threading import Condition, Thread
from typing import Any, Final, final

import msgspec
from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, insert, or_, select

from komeet.canonical.record import CallRecord, Tried
from komeet.core.clock import Clock
from komeet.core.money import Nano
from komeet.ledger.screen import screen_text
from komeet.store.bulk import Bulk
from komeet.store.faults import describe, is_outage
from komeet.store.ledger_rows import names_of, names_text, usage_of
from komeet.store.quiet_log import QuietLog
from komeet.store.tables import USAGE_COLUMNS, requests
from komeet.store.transactions import writer

_LOG = logging.getLogger(__name__)
_COLUMNS = tuple(column.name for column in requests.c if column.name != "id")
_ADD = Bulk(insert(requests), *_COLUMNS)
_BATCH = 1_000
_TRAIL: Final = msgspec.json.Decoder(tuple[Tried, ...])


class Filter(Struct, frozen=True, kw_only=True):
    """Which requests are wanted; what is None does not matter."""

    since: int | None = None
    """Unix milliseconds, inclusive."""
    until: int | None = None
    """Unix milliseconds, exclusive."""
    key_id: str | None = None
    provider: str | None = None
    model: str | None = None
    """As it was asked for or as it was served."""
    request_id: str | None = None
    failed: bool | None = None
    """Whether the caller got an error."""


@final
class RequestLog:
    """Takes a record of every call, and writes them in batches from a thread (see `pipeline.ports.Observer`)."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        most_rows: int = 20_000,
        most_bytes: int = 64 << 20,
        linger: float = 0.05,
    ) -> None:
        """Start the thread; `close` ends it.

        Args:
            engine: of `requests.db`, at the head of its schema.
            clock: says how often to log.
            most_rows: rows in the queue above which rows are dropped.
            most_bytes: the same for the bytes of kept bodies.
            linger: seconds that a row waits for others to share its commit.
        """
        self._engine = engine
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._linger = linger
        self._queue: deque[CallRecord] = deque()
        self._changed = Condition()
        self._bytes = 0
        self._unwritten = 0
        self._dropped = 0
        self._closing = False
        self._connection: Connection | None = None
        self._log = QuietLog(_LOG, clock)
        self._thread = Thread(target=self._run, name="komeet-request-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Rows that were lost since the start."""
        return self._dropped

    def ended(self, record: CallRecord) -> None:
        """Take the record of a call; never blocks, never raises.

        Calls without a known key are not kept: strangers must not be able to fill the disk. The metrics count them.
        """
        if not record.key_id:
            return
        size = _size(record)
        with self._changed:
            if not self._closing and self._unwritten < self._most_rows and self._bytes + size <= self._most_bytes:
                self._queue.append(record)
                self._bytes += size
                self._unwritten += 1
                if len(self._queue) in {1, _BATCH}:
                    self._changed.notify_all()
                return
        self._drop(1, "the queue is full" if not self._closing else "it is closed")

    def flush(self, patience: float = 10.0) -> bool:
        """Wait until all rows taken so far are written or dropped; False if `patience` seconds are not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: self._unwritten == 0, patience)

    def close(self, patience: float = 10.0) -> None:
        """Write what waits, and stop; blocks, for `patience` seconds at most. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(patience)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    break
                # Commits cost more than rows: a few of them gather.
                self._changed.wait_for(lambda: self._closing or len(self._queue) >= _BATCH, self._linger)
                batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            self._write(batch)
            with self._changed:
                self._bytes -= sum(map(_size, batch))
                self._unwritten -= len(batch)
                self._changed.notify_all()
        self._disconnect()

    def _write(self, batch: Sequence[CallRecord]) -> None:
        try:
            if self._connection is None:
                self._connection = writer(self._engine)
            with self._connection.begin():
                _ADD.run(self._connection, [_row(record) for record in batch])
        except Exception as error:  # noqa: BLE001 - the thread's supervisor: no error may end it
            self._disconnect()
            if len(batch) == 1 or is_outage(error):
                self._drop(len(batch), describe(error))
                return
            for record in batch:  # one of them cannot be written; the others can
                self._write([record])

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _drop(self, rows: int, reason: str) -> None:
        with self._changed:
            self._dropped += rows
        self._log.write(logging.WARNING, "request log: %d rows dropped: %s", rows, reason)


def recent_requests(engine: Engine, wanted: Filter | None = None, limit: int = 50) -> list[CallRecord]:
    """Return the latest requests that pass the filter, the newest first; without their bodies.

    Args:
        engine: of `requests.db`.
        wanted: None: all of them.
        limit: the most rows to return.
    """
    chosen = select(*(column for column in requests.c if not column.name.endswith("_body")))
    for condition in _conditions(wanted or Filter()):
        chosen = chosen.where(condition)
    with engine.connect() as connection:
        rows = connection.execute(chosen.order_by(requests.c.at.desc(), requests.c.id.desc()).limit(limit))
        return [_record(row) for row in rows.mappings()]


def find_request(engine: Engine, request_id: str) -> CallRecord | None:
    """Return the request of this id, with its bodies where they were kept."""
    with engine.connect() as connection:
        row = connection.execute(select(requests).where(requests.c.request_id == request_id)).mappings().first()
        return None if row is None else _record(row)


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    table = requests.c
    if wanted.since is not None:
        yield table.at >= wanted.since
    if wanted.until is not None:
        yield table.at < wanted.until
    if wanted.key_id is not None:
        yield table.key_id == wanted.key_id
    if wanted.provider is not None:
        yield table.provider == wanted.provider
    if wanted.model is not None:
        yield or_(table.model_asked == wanted.model, table.model_served == wanted.model)
    if wanted.request_id is not None:
        yield table.request_id == wanted.request_id
    if wanted.failed is not None:
        yield table.error != "" if wanted.failed else table.error == ""


def _size(record: CallRecord) -> int:
    return len(record.request_body or b"") + len(record.response_body or b"")


def _row(record: CallRecord) -> tuple[Any, ...]:
    """In the order of the table's columns, without `id`."""
    return (
        record.request_id,
        record.at,
        screen_text(record.surface),
        record.key_id,
        names_text(record.tags),
        screen_text(record.model_asked),
        screen_text(record.model_served),
        record.provider,
        record.attempt_id,
        record.attempts,
        record.status,
        record.error,
        *structs.astuple(record.usage),
        record.cost,
        record.estimated,
        record.unpriced,
        record.streamed,
        record.latency_us,
        record.first_token_us,
        record.bytes_in,
        record.bytes_out,
        names_text(record.losses),
        screen_text(record.upstream_request_id),
        record.replay_of,
        _trail_text(record.trail),
        record.cache,
        record.saved,
        record.prompt_saved,
        record.request_body,
        record.response_body,
    )


def _trail_text(trail: tuple[Tried, ...]) -> str:
    """Return it as JSON; what providers and callers have said in it is screened."""
    if not trail:
        return ""
    screened = [
        structs.replace(one, model=screen_text(one.model), why=screen_text(one.why), said=screen_text(one.said))
        for one in trail
    ]
    return msgspec.json.encode(screened).decode()


def _trail(text: str) -> tuple[Tried, ...]:
    return _TRAIL.decode(text) if text else ()


def _record(row: RowMapping) -> CallRecord:
    plain = {name: row[name] for name in _COLUMNS if name in row and name not in USAGE_COLUMNS}
    plain |= {
        "trail": _trail(row["trail"]),
        "tags": names_of(row["tags"]),
        "losses": names_of(row["losses"]),
        "cost": Nano(row["cost"]),
        "saved": Nano(row["saved"]),
        "prompt_saved": Nano(row["prompt_saved"]),
    }
    return CallRecord(**plain, usage=usage_of(row))
