"""What the code must never do: run text as code, build SQL or shell commands from strings, hide failures."""

import ast
from collections.abc import Iterator, Mapping

import pytest

FORBIDDEN_CALLS = frozenset({"eval", "exec", "compile", "__import__", "breakpoint"})
FORBIDDEN_METHODS = frozenset({"os.system", "os.popen", "asyncio.create_subprocess_shell", "subprocess.getoutput"})
FORBIDDEN_MODULES = frozenset({"pickle", "marshal", "shelve", "dill", "cloudpickle"})
SQL_CALLS = frozenset({"text", "execute", "executemany", "executescript", "exec_driver_sql"})
BROAD = frozenset({"Exception", "BaseException"})


def _name(node: ast.expr | None) -> str:
    return ast.unparse(node) if node is not None else ""


def _built(node: ast.expr) -> bool:
    """Whether an expression puts a string together; SQLite's PRAGMA, which takes no parameters, may be."""
    match node:
        case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]) if start.startswith("PRAGMA "):
            return False
        case ast.JoinedStr():
            return any(isinstance(part, ast.FormattedValue) for part in node.values)
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
            return any(isinstance(side, ast.JoinedStr | ast.Constant) or _built(side) for side in (left, right))
        case ast.Call(func=ast.Attribute(attr="format" | "format_map" | "join" | "replace")):
            return True
        case _:
            return False


def _calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    safe = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and "SafeLoader" in _bases(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, last = _name(node.func), _name(node.func).rsplit(".", 1)[-1]
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in FORBIDDEN_CALLS or name in FORBIDDEN_METHODS:
            yield node.lineno, f"{name}()"
        if isinstance(shell := given.get("shell"), ast.expr) and _name(shell) != "False":
            yield node.lineno, f"{name}(shell={_name(shell)})"
        if name == "yaml.load":
            loader = _name(node.args[1] if len(node.args) > 1 else given.get("Loader"))
            if loader.rsplit(".", 1)[-1] not in safe | {"SafeLoader", "CSafeLoader"}:
                yield node.lineno, "yaml.load() without a safe loader"
        if name.rsplit(".", 1)[-1] in {"unsafe_load", "full_load"} and name.startswith("yaml"):
            yield node.lineno, f"{name}()"
        if last in SQL_CALLS and node.args and _built(node.args[0]):
            yield node.lineno, f"SQL put together from strings: {_name(node.args[0])}"


def _bases(node: ast.ClassDef) -> set[str]:
    return {_name(base).rsplit(".", 1)[-1] for base in node.bases}


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=module, level=level):
                modules = [module or ""]
                if level:
                    yield node.lineno, "a relative import"
            case _:
                continue
        yield from ((node.lineno, f"import {each}") for each in modules if each.split(".")[0] in FORBIDDEN_MODULES)


def _silences(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield handlers of every exception that do nothing, and `suppress(Exception)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = {_name(each) for each in (node.type.elts if isinstance(node.type, ast.Tuple) else [node.type])}
            idle = all(isinstance(each, ast.Pass | ast.Continue | ast.Break) or _constant(each) for each in node.body)
            if caught & (BROAD | {""}) and idle:
                yield node.lineno, f"except {_name(node.type)} that hides every failure"
        if isinstance(node, ast.Call) and _name(node.func) in {"suppress", "contextlib.suppress"}:
            yield from ((node.lineno, "suppress() of every failure") for each in node.args if _name(each) in BROAD)


def _constant(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Return(value=None | ast.Constant()):
            return True
        case _:
            return False


def _found(tree: ast.Module) -> list[str]:
    return [f"{line}: {what}" for rule in (_calls, _imports, _silences) for line, what in rule(tree)]


def test_the_product_does_nothing_forbidden(product: Mapping[str, ast.Module]) -> None:
    found = [f"{path}:{each}" for path, tree in product.items() for each in _found(tree)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "exec(body)",
        "import pickle",
        "from marshal import loads",
        "from . import sibling",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=anything)",
        "yaml.load(body)",
        "yaml.load(body, Loader=yaml.Loader)",
        "yaml.load(body, yaml.FullLoader)",
        "yaml.unsafe_load(body)",
        "connection.execute(text(f'select * from keys where id = {key}'))",
        "connection.exec_driver_sql('select ' + column)",
        "cursor.execute('select %s' % column)",
        "cursor.execute('select {}'.format(column))",
        "text(', '.join(names))",
        "try:\n    work()\nexcept Exception:\n    pass",
        "try:\n    work()\nexcept:\n    ...",
        "try:\n    work()\nexcept (ValueError, BaseException):\n    pass",
        "for each in work:\n    try:\n        each()\n    except Exception:\n        continue",
        "def f():\n    try:\n        work()\n    except Exception:\n        return None",
        "with contextlib.suppress(Exception):\n    work()",
    ],
)
def test_a_breach_is_seen(code: str) -> None:
    assert _found(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "connection.execute(select(keys).where(keys.c.id == key))",
        "text('select 1')",
        "connection.exec_driver_sql(f'PRAGMA busy_timeout={milliseconds:d}')",
        "connection.execute(statement)",
        "yaml.load(body, Loader=yaml.SafeLoader)",
        "class Strict(yaml.SafeLoader):\n    pass\nyaml.load(body, Loader=Strict)",
        "subprocess.run(['ls'], shell=False)",
        "try:\n    work()\nexcept Exception:\n    log.exception('work')",
        "try:\n    work()\nexcept KeyError:\n    pass",
        "with contextlib.suppress(ProcessLookupError):\n    work()",
        "import msgspec",
        "re.compile('a')",
    ],
)
def test_what_is_allowed_is_not_seen(code: str) -> None:
    assert not _found(ast.parse(code))
