"""No module holds state: what changes belongs to an object that somebody made and hands on.

A container at module level is a constant: written in capitals, not empty, and never changed by its module.
"""

import ast
from collections.abc import Iterator, Mapping

import pytest

CONTAINERS = frozenset(
    {"dict", "list", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "ChainMap"}
    | {"WeakValueDictionary", "WeakKeyDictionary", "WeakSet", "count", "cycle", "local", "Lock", "RLock", "Queue"}
)
CHANGES = frozenset(
    {"append", "extend", "insert", "pop", "popitem", "remove", "clear", "sort", "reverse", "add", "discard", "update"}
    | {"setdefault", "appendleft", "popleft", "extendleft", "subtract", "rotate"}
)


def _mutable(node: ast.expr | None) -> bool:
    match node:
        case ast.Dict() | ast.List() | ast.Set() | ast.DictComp() | ast.ListComp() | ast.SetComp():
            return True
        case ast.Call():
            return ast.unparse(node.func).rsplit(".", 1)[-1] in CONTAINERS
        case _:
            return False


def _empty(node: ast.expr | None) -> bool:
    match node:
        case ast.Dict(keys=inside) | ast.List(elts=inside) | ast.Set(elts=inside):
            return not inside
        case ast.Call(args=args, keywords=keywords):
            return not args and not keywords
        case _:
            return False


def _assigned(tree: ast.Module) -> Iterator[tuple[str, int, ast.expr]]:
    """Yield the mutable containers of a module: name, line, value."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=targets, value=value):
                names = targets
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                names = [target]
            case _:
                continue
        for name in names:
            if isinstance(name, ast.Name) and _mutable(value):
                yield name.id, node.lineno, value


def _changed(tree: ast.Module, names: set[str]) -> Iterator[tuple[int, str]]:
    """Yield where a module changes one of its own containers, or rebinds a global."""
    for node in ast.walk(tree):
        match node:
            case ast.Global(names=rebound):
                yield node.lineno, f"global {', '.join(rebound)}"
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()) if name in names:
                yield node.lineno, f"{ast.unparse(node)} is set or deleted"
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=how)) if name in names and how in CHANGES:
                yield node.lineno, f"{name}.{how}()"
            case ast.AugAssign(target=ast.Name(id=name)) if name in names:
                yield node.lineno, f"{name} is changed in place"
            case _:
                pass


def _found(tree: ast.Module) -> list[str]:
    names: set[str] = set()
    found: list[str] = []
    for name, line, value in _assigned(tree):
        names.add(name)
        if name.startswith("__") and name.endswith("__"):
            continue
        if name != name.upper() or _empty(value):
            found.append(f"{line}: {name} is state, or looks like it: a constant is in capitals and not empty")
    return found + [f"{line}: {what}" for line, what in _changed(tree, names)]


def test_no_module_holds_state(product: Mapping[str, ast.Module]) -> None:
    found = [f"{path}:{each}" for path, tree in product.items() for each in _found(tree)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        "_cache = {'a': 1}",
        "registry: dict[str, int] = dict(a=1)",
        "CACHE: dict[str, int] = {}",
        "SEEN = set()",
        "_lock = threading.Lock()",
        "_ids = itertools.count(1)",
        "NAMES = {'a': 1}\ndef add(n):\n    NAMES[n] = 2",
        "NAMES = {'a': 1}\ndef drop(n):\n    del NAMES[n]",
        "NAMES = ['a']\ndef add(n):\n    NAMES.append(n)",
        "NAMES = ['a']\nNAMES += ['b']",
        "_n = 0\ndef step():\n    global _n\n    _n += 1",
    ],
)
def test_state_is_seen(code: str) -> None:
    assert _found(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "_UNITS = {'m': 60}",
        "UNITS: Final[Mapping[str, int]] = {'m': 60}",
        "__all__ = ['a']",
        "_NAMES = frozenset({'a'})",
        "_decoder = msgspec.json.Decoder(dict)",
        "PAIRS = ('a', 'b')",
        "def f():\n    found = {}\n    found['a'] = 1\n    return found",
    ],
)
def test_constants_are_left_alone(code: str) -> None:
    assert not _found(ast.parse(code))
