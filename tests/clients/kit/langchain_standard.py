"""LangChain's standard cases for chat models, told as the protocol of `kit` says."""

import base64
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from kit import PNG, tell

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


class _Told:
    """Tells what became of each case; the summary of pytest stays on standard error."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("::")[2]
        expected = getattr(report, "wasxfail", None)
        if report.skipped:
            why: Any = report.longrepr
            tell(name, "skipped", expected or (why[2] if isinstance(why, tuple) else str(why)))
        elif report.failed:
            tell(name, "failed", _message(report))
        elif report.when == "call":
            tell(name, "passed")


def _message(report: pytest.TestReport) -> str:
    lines = [line[1:].strip() for line in str(report.longrepr).splitlines() if line.startswith("E ")]
    return " ".join(lines)[:300]


def _from_here(url: str, **_: object) -> httpx.Response:
    """The suite fetches its picture and its document; no network is needed for that."""
    return httpx.Response(200, content=PDF if url.endswith(".pdf") else base64.b64decode(PNG))


def run(script: str, *more: str) -> None:
    """Run the class of cases in a script."""
    httpx.get = _from_here
    os.dup2(2, 1)
    # One event loop: the client keeps its connections from case to case.
    loops = [f"asyncio_default_{what}_loop_scope=session" for what in ("fixture", "test")]
    settings = [word for setting in ("asyncio_mode=auto", *loops) for word in ("-o", setting)]
    options = [*settings, "-p", "no:cacheprovider", "--benchmark-disable", "-q", "--tb=short"]
    sys.exit(
        pytest.main([*options, *more, "-c", "/dev/null", "--rootdir", str(Path(script).parent), script], [_Told()])
    )
