"""Writes the reference page of the configuration file from its schema: `python -m komeet.config.reference`."""

import sys
from inspect import cleandoc
from typing import Any, cast

import msgspec

from komeet.config.load import schema

_HEAD = """# Configuration

<!-- Written by `make docs` from src/komeet/config/schema.py. -->

One YAML file, named by `--config` or `KOMEET_CONFIG`. Everything in it may be left out; without a file, providers are
found from the environment (`OPENAI_API_KEY`, `OPENROUTER_API_KEY` …) and the embedded model is there.

- `${NAME}` takes the environment variable `NAME`; `${NAME:-default}` has a default.
- `komeet config check` names a mistake by its path: `providers[2].base_url: expected https URL`.
- `komeet config schema` prints the JSON Schema, for editors.
- An option of the command line wins over the environment (`KOMEET_PORT`, `KOMEET_DATA_DIR`), and that over the file.

```yaml
providers:
  - name: openai                    # a name of the registry: address, key variable and prices are known
  - name: groq
    api_key: ${GROQ_API_KEY}
  - name: my-vllm                   # anything that speaks OpenAI's Chat Completions
    base_url: http://127.0.0.1:8000/v1
    models: ["Qwen/*"]
embedded:
  start: at_start
```
"""


_LONG = 8
"""Options of a section above which it is not written twice."""


def page() -> str:
    """Return the page as Markdown."""
    definitions = cast("dict[str, dict[str, Any]]", schema()["$defs"])
    lines = [_HEAD]
    _section("", definitions["Config"], definitions, lines, {}, level=2)
    return "\n".join(lines).rstrip() + "\n"


def _section(
    path: str,
    definition: dict[str, Any],
    definitions: dict[str, dict[str, Any]],
    lines: list[str],
    shown: dict[str, str],
    *,
    level: int,
) -> None:
    """Write one section, and those that are nested in it; `shown` are the titles of sections, and where they stand."""
    properties = cast("dict[str, dict[str, Any]]", definition["properties"])
    before = shown.setdefault(definition["title"], path)
    if before != path and len(properties) > _LONG:
        lines.append(f"{'#' * level} `{path}`\n\nOptions as of `{before}`.\n")
        return
    nested: list[tuple[str, dict[str, Any]]] = []
    lines += [
        f"{'#' * level} {f'`{path}`' if path else 'The file'}\n",
        cleandoc(str(definition.get("description", ""))) + "\n",
        "| option | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, details in properties.items():
        kind, inner = _kind(details, definitions)
        if inner is not None:
            nested.append((f"{path}.{name}".lstrip(".") + ("[]" if kind.startswith("list") else ""), inner))
        meaning = str(details.get("description", ""))
        lines.append(f"| `{name}` | {kind} | {_default(name, details, definition)} | {meaning} |")
    lines.append("")
    for inner_path, inner in nested:
        _section(inner_path, inner, definitions, lines, shown, level=level + 1)


def _kind(details: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> tuple[str, dict[str, Any] | None]:
    """Return the type in words, and the definition of what is nested in it."""
    match details:
        case {"$ref": str(reference)}:
            return "section", definitions[reference.rsplit("/", 1)[1]]
        case {"allOf": [{"$ref": str(reference)}]}:
            return "section", definitions[reference.rsplit("/", 1)[1]]
        case {"anyOf": [*options]}:
            choices = [option for option in cast("list[dict[str, Any]]", options) if option.get("type") != "null"]
            return _kind(choices[0], definitions)
        case {"enum": [*values]}:
            return " or ".join(f"`{value}`" for value in values if value is not None), None
        case {"type": "array"}:
            kind, inner = _kind(cast("dict[str, Any]", details["items"]), definitions)
            return f"list of {kind}s", inner
        case {"type": "object"}:
            return "map of strings", None
        case _:
            words = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "string"}
            text = words[str(details["type"])]
            low = details.get("minimum", details.get("exclusiveMinimum"))
            high = details.get("maximum")
            if low is not None and high is not None:
                text += f" ({'above ' if 'exclusiveMinimum' in details else ''}{_number(low)} to {_number(high)})"
            elif low is not None:
                text += f" (at least {_number(low)})"
            return text, None


def _number(bound: float) -> str:
    """Write a bound to its last digit."""
    return str(int(bound)) if bound == int(bound) else f"{bound:g}"


def _default(name: str, details: dict[str, Any], definition: dict[str, Any]) -> str:
    if name in definition.get("required", ()):
        return "needed"
    default = details.get("default")
    if default is None or isinstance(default, dict):
        return "–"
    return f"`{msgspec.json.encode(default).decode()}`"


if __name__ == "__main__":
    sys.stdout.write(page())
