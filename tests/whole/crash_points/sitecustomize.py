"""For processes of Komeet that a test starts with this folder on PYTHONPATH: they kill themselves at a named point.

A file of the point's name in the folder that KOMEET_CRASH names arms it; it is removed first, so that it happens once.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def _die(point: str) -> None:
    armed = Path(os.environ["KOMEET_CRASH"]) / point
    if armed.exists():
        armed.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _always(*_: Any) -> bool:
    return True


def _around(owner: object, name: str, before: str, after: str, when: Callable[..., bool] = _always) -> None:
    """Die before or after those calls of a function for which `when` says so, if that point is armed; "": at none."""
    inner = getattr(owner, name)

    def outer(*args: Any, **kwargs: Any) -> Any:
        here = when(*args)
        if here and before:
            _die(before)
        result = inner(*args, **kwargs)
        if here and after:
            _die(after)
        return result

    setattr(owner, name, outer)


def _ends(records: Iterable[object]) -> bool:
    from komeet.ledger.port import Outcome  # noqa: PLC0415 - only where a test asks for it

    return any(isinstance(record, Outcome) for record in records)


def _work_ends(_connection: object, todo: Any, *_: object) -> bool:
    """Whether a transaction has an outcome."""
    return _ends(todo.records)


def _turn_ends(_in_hand: object, turn: Any, *_: object) -> bool:
    """Whether a transaction that is committed had one."""
    return _ends(one.record for one in turn.kept)


def _worker() -> None:
    from komeet.store import ledger_writer  # noqa: PLC0415
    from komeet.store.in_hand import InHand  # noqa: PLC0415

    _around(InHand, "hold", "before-reserve", "after-reserve")
    _around(InHand, "end", "before-settle", "after-settle")
    _around(ledger_writer, "work", "before-drain", "before-commit", _work_ends)
    _around(InHand, "finish", "after-commit", "", _turn_ends)


def _recovery(step: str) -> None:
    _die(f"recovery-{step}")


def _server() -> None:
    from komeet.serving import supervisor  # noqa: PLC0415
    from komeet.store import database  # noqa: PLC0415

    inner = database.recover

    def recover(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, step=_recovery, **kwargs)

    setattr(database, "recover", recover)  # noqa: B010 - one name for another
    setattr(supervisor, "_STEADY", 0.0)  # noqa: B010 - the next worker comes at once, however often one has died


if os.environ.get("KOMEET_CRASH"):
    if "komeet.serving.worker" in sys.orig_argv:
        _worker()
    elif "serve" in sys.orig_argv:
        _server()
