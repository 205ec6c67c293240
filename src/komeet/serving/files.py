"""How many files and connections the system lets a process have open."""

import resource
from contextlib import suppress
from typing import Final

_ENOUGH: Final = 1 << 20
"""More than a process can use; some systems refuse to set the limit to none at all."""


def raise_limit() -> None:
    """Allow this process, and those that it starts, as many open files as may be: by default it is often 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if most == resource.RLIM_INFINITY else min(most, _ENOUGH)
    with suppress(ValueError, OSError):  # not every system lets a process have what it says; then it stays as it was
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
