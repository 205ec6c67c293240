"""The clients that are run against Komeet, as clients.toml and the lock files say."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]


class Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One client; see the head of clients.toml."""

    name: str
    package: str
    kind: Literal["pip", "npm", "uv.lock"]
    requires: tuple[str, ...]
    script: str
    surfaces: tuple[str, ...]
    ran: str
    embedded: bool = False
    python: str = ""
    group: str = ""
    in_make_test: bool = False
    seconds: int = 300
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its script and its lock file are."""
        return HERE / self.name.replace("-", "_")

    @property
    def lock_file(self) -> Path:
        """What pins all that it is installed with."""
        match self.kind:
            case "pip":
                return self.folder / "requirements.txt"
            case "npm":
                return self.folder / "package-lock.json"
            case "uv.lock":
                return ROOT / "uv.lock"

    def version_of(self, package: str) -> str:
        """The version that the lock file pins."""
        text = self.lock_file.read_text("utf-8")
        match self.kind:
            case "pip":
                found = re.search(rf"^{re.escape(package)}==([^\s;]+)", text, re.MULTILINE)
                assert found, f"{package} is not in {self.lock_file}"
                return found[1]
            case "npm":
                return json.loads(text)["packages"][f"node_modules/{package}"]["version"]
            case "uv.lock":
                major = re.search(r"\d+", self.requires[0])
                assert major
                packages: list[dict[str, Any]] = tomllib.loads(text)["package"]
                versions = [each["version"] for each in packages if each["name"] == package]
                return next(version for version in versions if version.startswith(f"{major[0]}."))

    @property
    def version(self) -> str:
        """The version of its own package."""
        return self.version_of(self.package)


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    client: tuple[Client, ...]


def clients() -> tuple[Client, ...]:
    """Read the manifest."""
    return msgspec.toml.decode((HERE / "clients.toml").read_bytes(), type=_Manifest).client
