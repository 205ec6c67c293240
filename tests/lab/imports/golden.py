"""What an import of each example says, kept as files: `python -m tests.lab.imports.golden` writes them anew."""

from pathlib import Path

from komeet.catalog.compile import compile_book
from komeet.lab.imports import litellm
from komeet.lab.imports.found import Imported
from komeet.lab.imports.source import read_yaml
from komeet.lab.imports.write import written
from komeet.providers.registry import Row, load

EXAMPLES = Path(__file__).parent / "examples"
GOLDEN = EXAMPLES / "golden"


def examples() -> list[Path]:
    """Return the files."""
    return sorted(EXAMPLES.glob("*.yaml"))


class Owners:
    """Who makes a model, by the price book."""

    def __init__(self) -> None:
        self._book = compile_book()
        self._rows = load()

    def __call__(self, model: str) -> Row | None:
        maker = self._book.owner(model)
        return None if maker is None else next((row for row in self._rows.values() if row.price_id == maker), None)


def imported(path: Path, owners: Owners) -> Imported:
    """Return what an example comes to."""
    return litellm.read(read_yaml(path.read_text("utf-8")), load(), owners)


def report(path: Path, found: Imported) -> str:
    """Return the configuration and every finding, as the golden file has them."""
    lines = [f"# {each.kind}: {each.path}: {each.says}" for each in found.findings]
    return written(found, path.name) + "\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    makers = Owners()
    for example in examples():
        (GOLDEN / example.name).write_text(report(example, imported(example, makers)), "utf-8")
