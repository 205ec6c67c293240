"""An environment for each client, of its own: made once for each state of its lock file, outside the repository."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.clients.manifest import HERE, ROOT, Client

UV: Final = str(ROOT / ".ci" / "uv")
_DONE: Final = ".complete"


def cache() -> Path:
    """Where environments are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "komeet" / "clients"


def environment(client: Client) -> Path:
    """Return the client's environment, made where it is missing."""
    if client.kind == "uv.lock" and client.group == "dev":
        return Path(sys.prefix)
    digest = hashlib.sha256(client.lock_file.read_bytes() + client.python.encode()).hexdigest()[:12]
    folder = cache() / f"{client.name}-{digest}"
    if not (folder / _DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        match client.kind:
            case "pip":
                _run(UV, "venv", "--quiet", "--python", client.python or sys.executable, str(folder / "venv"))
                pins = str(client.lock_file)
                python = str(folder / "venv" / "bin" / "python")
                _run(UV, "pip", "sync", "--quiet", "--require-hashes", "--python", python, pins)
            case "npm":
                for name in ("package.json", "package-lock.json"):
                    shutil.copy(client.folder / name, folder)
                _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
            case "uv.lock":
                where = {"UV_PROJECT_ENVIRONMENT": str(folder / "venv")}
                _run(UV, "sync", "--quiet", "--frozen", "--only-group", client.group, "--no-default-groups", env=where)
        (folder / _DONE).touch()
    return folder / "venv" if client.kind != "npm" else folder


def command(client: Client, folder: Path) -> list[str]:
    """How its script is started."""
    script = client.folder / client.script if (client.folder / client.script).exists() else HERE / client.script
    if client.kind != "npm":
        return [str(folder / "bin" / "python"), str(script)]
    if script.suffix == ".py":
        return [sys.executable, str(script)]
    # A module of Node's finds packages beside itself, and nowhere else.
    shutil.copy(HERE / "kit" / "kit.mjs", folder)
    return ["node", shutil.copy(script, folder)]


def lock(client: Client) -> None:
    """Write the client's lock file anew, as of today."""
    client.folder.mkdir(exist_ok=True)
    if client.kind == "pip":
        wanted = "\n".join(client.requires)
        options = ("--quiet", "--universal", "--generate-hashes", "--no-header", "--python-version", "3.11")
        output = ("--no-annotate", "--upgrade", "-o", str(client.lock_file))
        _run(UV, "pip", "compile", "-", *options, *output, said=wanted)
    elif client.kind == "npm":
        wanted = dict(each.rsplit("@", 1) for each in client.requires)
        package = {"name": f"komeet-client-{client.name}", "private": True, "type": "module", "dependencies": wanted}
        (client.folder / "package.json").write_text(json.dumps(package, indent=2) + "\n")
        client.lock_file.unlink(missing_ok=True)
        _run("npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", cwd=client.folder)


def _run(*argv: str, cwd: Path = ROOT, said: str = "", env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        argv,
        cwd=cwd,
        input=said,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
