"""What Komeet writes about itself: one line an event, to standard error, for people or for machines."""

import json
import logging
import sys
from typing import Literal

_RECORD = frozenset(vars(logging.makeLogRecord({})))


class _Json(logging.Formatter):
    """One JSON object a line, in ASCII; nothing in a message can forge a second one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: str(value) for name, value in vars(record).items() if name not in _RECORD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Text(logging.Formatter):
    """One line a message, whatever is in it; tracebacks follow indented. Nothing in either drives a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        at, level = self.formatTime(record, "%Y-%m-%d %H:%M:%S"), record.levelname.lower()
        lines = [f"{at} {level:7} {record.name}: {_escaped(record.getMessage())}"]
        if record.exc_info:
            lines += [f"    {_escaped(line)}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(lines)


def _escaped(text: str) -> str:
    """Write what cannot be printed as it is written in a string: line breaks of any kind, escapes, half characters."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Send every logger of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "asyncio", "httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
