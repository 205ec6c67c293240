"""Writes the health page: HTML without a script, its style inside and named by its digest."""

import base64
import hashlib
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final

from komeet.console.status import ConfigStatus, Status, WorkerStatus

REFRESH: Final = 10
"""Seconds after which a browser asks again."""

_HEALTH: Final = {
    "ok": ("ok", "everything runs"),
    "degraded": ("warn", "calls are answered, and something is amiss"),
    "down": ("bad", "no worker takes connections"),
}
_WORKER: Final = {"starting": "warn", "ready": "ok", "draining": "soft"}
_MODEL: Final = {"ready": "ok", "starting": "warn", "restarting": "bad", "unavailable": "warn"}
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@cache
def style() -> str:
    """Return the style sheet."""
    return files("komeet.console").joinpath("health.css").read_text("utf-8")


@cache
def policy() -> bytes:
    """Return the Content-Security-Policy of the page: this style sheet, and nothing else from anywhere."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ).encode("ascii")


def page(status: Status) -> bytes:
    """Return the page."""
    kind, words = _HEALTH[status.health]
    return _frame(
        "Komeet",
        f"""<header><h1>Komeet</h1><p>{escape(status.version)} · Python {escape(status.python)}</p>
<p class="health {kind}"><span class="mark"></span>{words}</p></header>
<dl class="figures">
{_figure("up for", lasting(status.now - status.started_at))}
{_figure("calls under way", f"{status.calls_running:,}")}
{_figure("calls since the start", f"{status.calls_total:,}")}
{_figure("workers ready", f"{_ready(status)} of {status.workers_wanted}")}
</dl>
{_workers(status)}
{_models(status)}
<section><h2>Configuration and data</h2><dl class="facts">
{_configuration(status.config)}
{_fact("Data directory", escape(status.data.directory))}
{_fact("Its lock", f"held by process {status.data.locked_by}, the supervisor")}
</dl></section>""",
        f"As of {_moment(status.now)}; asked again every {REFRESH} s.",
    ).encode()


def apology(words: str) -> bytes:
    """Return a page that says why there is no other."""
    body = f"""<header><h1>Komeet</h1>
<p class="health bad"><span class="mark"></span>no answer</p></header>
<section>{escape(words)}</section>"""
    return _frame("Komeet: no answer", body, f"Asked again every {REFRESH} s.").encode()


def lasting(milliseconds: int) -> str:
    """Say how long something has lasted, in its two largest units."""
    left = max(0, milliseconds // 1000)
    said: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or said or unit == "s":
            said.append(f"{count} {unit}")
    return " ".join(said[:2])


def _frame(title: str, body: str, foot: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="{REFRESH}"><style>{style()}</style></head>
<body><main>
{body}
<footer>{foot} The same as JSON: <a href="/health">/health</a>.</footer>
</main></body></html>
"""


def _ready(status: Status) -> int:
    return sum(worker.state == "ready" for worker in status.workers)


def _workers(status: Status) -> str:
    rows = "\n".join(_worker(worker, status.now) for worker in status.workers)
    return f"""<section><h2>Workers</h2><table><thead><tr><th>Process</th><th>State</th><th>Ready for</th>
<th class="number">Calls under way</th><th class="number">Calls in all</th></tr></thead>
<tbody>
{rows}
</tbody></table></section>"""


def _worker(worker: WorkerStatus, now: int) -> str:
    since = "–" if worker.since is None else lasting(now - worker.since)
    return (
        f'<tr><td>{worker.pid}</td><td class="{_WORKER[worker.state]}">{worker.state}</td><td>{since}</td>'
        f'<td class="number">{worker.calls_running:,}</td><td class="number">{worker.calls_total:,}</td></tr>'
    )


def _models(status: Status) -> str:
    rows = "\n".join(
        f'<tr><td>{escape(model.name)}</td><td class="{_MODEL.get(model.state, "soft")}">{escape(model.state)}</td>'
        f'<td class="number">{model.restarts:,}</td></tr>'
        for model in status.models
    )
    return f"""<section><h2>Embedded models</h2><table><thead><tr><th>Model</th><th>State</th>
<th class="number">Restarts</th></tr></thead>
<tbody>
{rows}
</tbody></table></section>"""


def _configuration(config: ConfigStatus) -> str:
    file = "none: providers come from the environment" if config.file is None else config.file
    facts = [_fact("Configuration", escape(file)), _fact("Taken", _moment(config.loaded_at))]
    if config.problem is not None:
        facts.append(_fact("What came later", f'<span class="bad">{escape(config.problem)}</span>'))
    return "\n".join(facts)


def _figure(name: str, value: str) -> str:
    return f"<div><dt>{name}</dt><dd>{value}</dd></div>"


def _fact(name: str, value: str) -> str:
    return f"<dt>{name}</dt><dd>{value}</dd>"


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
