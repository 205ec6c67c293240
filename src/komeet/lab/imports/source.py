"""Reads the files of other gateways: YAML and JSON, with numbers exactly as they are written."""

import json
from collections.abc import Hashable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final, cast

import yaml

from komeet.lab.imports.found import ImportFailed

_DEEPEST: Final = 40
_MERGE: Final = "tag:yaml.org,2002:merge"
_FLOAT: Final = "tag:yaml.org,2002:float"
_MOMENT: Final = "tag:yaml.org,2002:timestamp"


def read_yaml(text: str) -> object:
    """Return what YAML says: mappings with text for keys, lists, text, numbers as `int` and `Decimal`, and nulls.

    Raises:
        ImportFailed: it is not YAML, a key is given twice, or it is nested without end; with the line.
    """
    try:
        document: object = yaml.load(text, Loader=_Exact)  # noqa: S506 - derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ImportFailed(f"{where}{error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ImportFailed("the file: not YAML") from None
    return _plain(document, 0)


def read_json(text: str) -> object:
    """Return what JSON says, in the same way; raises ImportFailed with the line."""
    try:
        document: object = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise ImportFailed(f"line {error.lineno}: not JSON: {error.msg}") from None
    except (RecursionError, ValueError):
        raise ImportFailed("the file: not JSON") from None
    return _plain(document, 0)


def texts(value: object) -> Iterator[str]:
    """Yield every text in a value of a source."""
    match value:
        case str():
            yield value
        case dict():
            for entry in cast("dict[str, object]", value).values():
                yield from texts(entry)
        case list():
            for entry in cast("list[object]", value):
                yield from texts(entry)
        case _:
            pass


class _Exact(yaml.SafeLoader):
    """Keeps numbers and dates as they are written, and does not let a later key replace an earlier one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = cast("object", self.construct_object(key_node, deep=True))  # pyright: ignore[reportUnknownMemberType]
            if not isinstance(key, Hashable) or key in seen:
                raise yaml.MarkedYAMLError(problem="a key is given twice, or is none", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _decimal(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    assert isinstance(node, yaml.ScalarNode)
    text = cast("str", node.value)
    try:
        return Decimal(text.replace("_", ""))
    except InvalidOperation:
        return Decimal(str(loader.construct_yaml_float(node)))


def _as_written(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    del loader
    return cast("object", node.value)


_Exact.add_constructor(_FLOAT, _decimal)
_Exact.add_constructor(_MOMENT, _as_written)


def _plain(value: object, depth: int) -> object:
    """Return the same with text for every key; raises ImportFailed where it has no end."""
    if depth > _DEEPEST:
        raise ImportFailed("the file: nested too deeply")
    match value:
        case dict():
            items = cast("dict[object, object]", value).items()
            return {str(key): _plain(entry, depth + 1) for key, entry in items}
        case list():
            return [_plain(entry, depth + 1) for entry in cast("list[object]", value)]
        case None | bool() | int() | str() | Decimal():
            return value
        case _:
            return str(value)
