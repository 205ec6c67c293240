"""`komeet health`: what a container's health check and a deployment's script run."""

import http.client
import json
import os
import ssl
from typing import Annotated, Any, cast

import typer

from komeet.cli.options import ConfigFile, Port, new_program
from komeet.cli.output import console, escape, fail
from komeet.config.load import ConfigError, load, parse

_SECONDS = 4.0
_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared

program = new_program()


@program.command()
def health(
    config: ConfigFile = None,
    port: Port = None,
    ready: Annotated[
        bool, typer.Option("--ready", help="Whether calls can be served, rather than only answered.")
    ] = False,
) -> None:
    """Say whether the server here answers; status 1 if not.

    For health checks: it opens no database, and needs no key.
    """
    try:
        server = (parse("", {}) if config is None else load(config, os.environ)).server
    except ConfigError as error:
        fail(str(error))
    host = "127.0.0.1" if server.host in _EVERYWHERE else server.host
    place = f"{host} port {server.port if port is None else port}"
    try:
        status, said = _ask(host, server.port if port is None else port, server.tls is not None, ready)
    except (OSError, http.client.HTTPException, ValueError) as error:
        fail(f"{place}: no Komeet answers ({type(error).__name__})")
    if status != 200:
        fail(f"{place}: status {status}: {said}")
    console().print(escape(f"{place}: {said}"))


def _ask(host: str, port: int, tls: bool, ready: bool) -> tuple[int, str]:
    connection: http.client.HTTPConnection
    if tls:
        # Its name is not this address, nothing secret is sent, and nothing that comes back is believed but "up".
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/readyz" if ready else "/healthz")
        answer = connection.getresponse()
        said = cast("dict[str, Any]", json.loads(answer.read(4096)))
        missing = ", ".join(f"{name}: {why}" for name, why in dict(said.get("missing") or {}).items())
        return answer.status, f"{said['status']}{f' ({missing})' if missing else ''}"
    except (KeyError, AttributeError, TypeError):
        raise ValueError from None
    finally:
        connection.close()
