"""For processes of Komeet that a test starts with this folder on PYTHONPATH: they kill themselves at a named point.

A file of the point's name in the folder that KOMEET_CRASH names arms it; it is removed first, so that it happens once.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _die(point: str) -> None:
    armed = Path(os.environ["KOMEET_CRASH"]) / point
    if armed.exists():
        armed.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _around(owner: Any, name: str, before: Callable[..., str], after: Callable[..., str]) -> None:
    """Die before or after a function, at the point that these return, if it is armed."""
    inner = getattr(owner, name)

    def outer(*args: Any, **kwargs: Any) -> Any:
        _die(before(*args))
        result = inner(*args, **kwargs)
        _die(after(*args))
        return result

    setattr(owner, name, outer)


def _worker() -> None:
    from komeet.ledger.port import Outcome  # noqa: PLC0415 - only where a test asks for it
    from komeet.store import ledger_writer  # noqa: PLC0415
    from komeet.store.in_hand import InHand  # noqa: PLC0415

    def ends(records: Any) -> bool:
        return any(isinstance(record, Outcome) for record in records)

    _around(InHand, "hold", lambda *_: "before-reserve", lambda *_: "after-reserve")
    _around(InHand, "end", lambda *_: "before-settle", lambda *_: "after-settle")
    _around(
        ledger_writer,
        "work",
        lambda _, todo, *__: "before-drain" if ends(todo.records) else "-",
        lambda _, todo, *__: "before-commit" if ends(todo.records) else "-",
    )
    _around(
        InHand,
        "finish",
        lambda _, turn, *__: "after-commit" if ends(one.record for one in turn.kept) else "-",
        lambda *_: "-",
    )


def _server() -> None:
    from komeet.store import database  # noqa: PLC0415

    inner = database.recover

    def recover(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, step=lambda step: _die(f"recovery-{step}"), **kwargs)

    setattr(database, "recover", recover)  # noqa: B010 - one name for another


if os.environ.get("KOMEET_CRASH"):
    if "komeet.serving.worker" in sys.orig_argv:
        _worker()
    elif "serve" in sys.orig_argv:
        _server()
