"""What Komeet writes about itself: one line an event, to standard error, for people or for machines."""

import json
import logging
import sys
from typing import Literal

_RECORD = frozenset(vars(logging.makeLogRecord({})))


class _Json(logging.Formatter):
    """One JSON object a line; line breaks in messages cannot forge a second one."""

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
        return json.dumps(line, ensure_ascii=False)


class _Text(logging.Formatter):
    """One line a message, whatever is in it; tracebacks follow indented."""

    def format(self, record: logging.LogRecord) -> str:
        at, level = self.formatTime(record, "%H:%M:%S"), record.levelname.lower()
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{at} {level:7} {record.name}: {message}"
        if record.exc_info:
            line += "\n    " + self.formatException(record.exc_info).replace("\n", "\n    ")
        return line


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Send every logger of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "asyncio", "httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
