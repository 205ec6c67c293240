"""nginx as the upstream that answers at once, and as the proxy that everything is compared with."""

import os
import shutil
import tempfile
from pathlib import Path

from bench.call import ANSWER
from bench.processes import Running

_CONF = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600; client_body_buffer_size 256k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  {rest}
}}
"""
_UPSTREAM = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{answer}'; }}
  }}
"""
_PROXY = """
  map_hash_bucket_size 256;
  map $http_authorization $known {{ default 0; "Bearer {key}" 1; }}
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      if ($known = 0) {{ return 401; }}
      proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Connection ""; proxy_set_header Authorization "Bearer upstream";
      proxy_pass http://provider;
    }}
  }}
"""


def upstream(port: int, folder: Path) -> Running:
    """Start an nginx that answers every request on `port` with the same completion."""
    return _start(_UPSTREAM.format(port=port, answer=ANSWER), port, folder)


def proxy(port: int, to: int, key: str, folder: Path) -> Running:
    """Start an nginx on `port` that checks the key, sets the upstream's and passes the call on to port `to`."""
    return _start(_PROXY.format(port=port, upstream=to, key=key), port, folder)


def found() -> str | None:
    """Return the path of nginx, also where only root's PATH has it."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _start(rest: str, port: int, folder: Path) -> Running:
    own = Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
    conf = own / "conf"
    conf.write_text(_CONF.format(folder=own, rest=rest))
    running = Running([found() or "nginx", "-e", str(own / "error.log"), "-c", str(conf)], own / "out")
    running.listening(port)
    return running
