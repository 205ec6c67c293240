"""Reads a Containerfile: its instructions, a stage at a time."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    text: str

    @property
    def array(self) -> list[str]:
        """Its JSON array: the form that no shell reads."""
        return json.loads(self.text[self.text.index("[") :])


@dataclass(frozen=True)
class Stage:
    """What one FROM begins."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list[Instruction])

    def all(self, name: str) -> list[Instruction]:
        """Its instructions of a name, in their order."""
        return [instruction for instruction in self.instructions if instruction.name == name]

    def one(self, name: str) -> Instruction:
        """Its only instruction of a name."""
        (found,) = self.all(name)
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What its ENV set."""
        return dict(pair for each in self.all("ENV") for pair in re.findall(r"(\w+)=(\S+)", each.text))


@dataclass(frozen=True)
class Containerfile:
    """A whole file."""

    arguments: dict[str, str]
    """The defaults of what may be said at the build, before the first stage."""
    stages: list[Stage]

    @property
    def instructions(self) -> list[Instruction]:
        """Those of all stages."""
        return [instruction for stage in self.stages for instruction in stage.instructions]


def read(path: Path) -> Containerfile:
    """Parse a file; variables in FROM are put in."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, text = line.partition(" ")
        assert name.isupper(), line
        if name == "FROM":
            base, _, alias = text.partition(" AS ")
            stages.append(Stage(re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], base), alias))
        elif stages:
            stages[-1].instructions.append(Instruction(name, text))
        else:
            assert name == "ARG", line
            argument, _, default = text.partition("=")
            arguments[argument] = default
    return Containerfile(arguments, stages)
