"""Where Google Cloud is asked: its addresses name a project and a location."""

import re
from typing import Final

PROJECT_MARK: Final = "{project}"
LOCATION_MARK: Final = "{location}"
"""What stands for them in a base URL; the host's own mark is that of the location with what it is joined to."""
_HOST_MARK: Final = "{location}-aiplatform.googleapis.com"
GLOBAL: Final = "global"
"""The location of no region in particular."""

_MULTI_REGIONS: Final = frozenset({"us", "eu"})
_LOCATION: Final = re.compile(r"[a-z]{2,16}(-[a-z]{2,20}[0-9]{0,2})?")
_PROJECT: Final = re.compile(r"([a-z][a-z0-9.-]{0,60}:)?[a-z0-9][a-z0-9-]{4,62}[a-z0-9]|[0-9]{6,20}")


def in_project(base_url: str, project: str, location: str) -> str:
    """Return the base URL of a service for a project in a location.

    Locations have hosts of their own, as Google's client library knows them: that of a region, those of `us` and `eu`,
    and that of `global`.

    Raises:
        ValueError: one of them is no such name, since both become a part of an address.
    """
    project, location = checked_project(project), checked_location(location)
    if location == GLOBAL:
        host = "aiplatform.googleapis.com"
    elif location in _MULTI_REGIONS:
        host = f"aiplatform.{location}.rep.googleapis.com"
    else:
        host = f"{location}-aiplatform.googleapis.com"
    return base_url.replace(_HOST_MARK, host).replace(PROJECT_MARK, project).replace(LOCATION_MARK, location)


def checked_project(project: str) -> str:
    """Return `project`; raises ValueError where it is no project's id or number."""
    if not _PROJECT.fullmatch(project):
        raise ValueError(f"{project!r} is not the id of a project of Google Cloud, such as my-project-123")
    return project


def checked_location(location: str) -> str:
    """Return `location`; raises ValueError where it is none."""
    if not _LOCATION.fullmatch(location):
        raise ValueError(f"{location!r} is not a location of Google Cloud, such as global or europe-west4")
    return location
