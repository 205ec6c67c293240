"""An environment in which an imported configuration can be read: each variable has something that fits."""

from collections.abc import Mapping

from komeet.lab.imports.found import Imported


def environment_of(found: Imported) -> dict[str, str]:
    """Return something for each variable that the configuration names."""
    return {each.name: _fitting(each.name) for each in found.variables}


def with_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the same on a machine that has AWS's own variables."""
    aws = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    return {**aws, **environment}


def _fitting(name: str) -> str:
    if name.endswith(("_BASE", "_URL")):
        return "https://gateway.example.com/v1"
    return "eu-west-1" if "REGION" in name else "key-of-a-test"
