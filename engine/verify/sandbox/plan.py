"""From a problem's tests to what the judge asks and how it decides. Pure; cached, because samples share their tests.

Three plans: `Batch` (every test is `f(literals) == literal`: calls are sent, values compared), `Remote` (test code runs in
the judge, the candidate's names are proxies; calls with literal arguments are sent ahead), `Printed` (standard input).
A name in a test means the candidate's only if the reference defines it: a candidate that defines `set` or `sorted`
is not seen by the tests.
"""

from __future__ import annotations

import ast
import builtins
import functools
import json
import re
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.verify.sandbox import codec
from engine.verify.sandbox.verdict import SandboxBroken, Tests

WireCall = list[Any]
"""`[name, arguments, keyword arguments]`, encoded."""


@dataclass(frozen=True)
class Batch:
    calls: list[WireCall]
    holds: list[Callable[[Any], bool]]
    """One decision per call."""
    with_typing: bool = False
    """The names of `typing` are there before the candidate runs."""


@dataclass(frozen=True)
class Remote:
    calls: list[WireCall]
    """Sent ahead; a proxy called with these very arguments takes the answer."""
    names: frozenset[str]
    before: tuple[types.CodeType, ...]
    """Trusted code that the tests lean on: imports, helpers."""
    after: tuple[types.CodeType, ...]
    """Set-up code that uses the candidate's names."""
    steps: tuple[types.CodeType, ...]
    """One per test."""
    entry_point: str


@dataclass(frozen=True)
class Printed:
    cases: tuple[tuple[str, str], ...]


Plan = Batch | Remote | Printed


@functools.lru_cache(maxsize=2048)
def plan(tests: Tests) -> Plan:
    """How to judge these tests; SandboxBroken if they make no tests."""
    if tests.stdin:
        return Printed(tests.stdin)
    if tests.calls:
        return _from_json(tests)
    try:
        return _from_check(tests) if tests.check else _from_asserts(tests)
    except SyntaxError as error:
        raise SandboxBroken(f"the tests are no Python: {error}. Is the data file damaged?") from None


def _from_json(tests: Tests) -> Batch:
    calls, holds = [], []
    for arguments, expected in tests.calls:
        calls.append([tests.entry_point, [codec.encode(a) for a in json.loads(arguments)], {}])
        holds.append(functools.partial(equal_as_json, json.loads(expected)))
    return Batch(calls, holds, with_typing=True)


def equal_as_json(expected: Any, got: Any) -> bool:
    """APPS: tuples count as lists, and an expected value may be wrapped in a list of one."""
    plain = as_json(got)
    return bool(plain == expected or (isinstance(expected, list) and len(expected) == 1 and plain == expected[0]))


def as_json(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [as_json(v) for v in value]
    if isinstance(value, dict):
        return {k if isinstance(k, str) else str(k): as_json(v) for k, v in value.items()}
    return value


def _from_asserts(tests: Tests) -> Plan:
    if not tests.asserts:
        raise SandboxBroken("a problem without tests can't be judged; leave it out of the data")
    nodes = _parse("\n".join(tests.asserts)).body
    names = _allowed(tests, nodes)
    if not tests.setup:
        checks = [_simple_check(node, names) for node in nodes]
        if all(checks):
            return Batch([c.call for c in checks if c], [c.holds for c in checks if c])
    return _remote(tests, nodes, names)


@dataclass(frozen=True)
class _Check:
    call: WireCall
    holds: Callable[[Any], bool]


def _simple_check(node: ast.stmt, names: frozenset[str]) -> _Check | None:
    """`assert f(…) == literal`, `assert f(…)`, `assert not f(…)`; None for anything else."""
    if not isinstance(node, ast.Assert):
        return None
    test = node.test
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        return _equality(test.left, test.comparators[0], names) or _equality(test.comparators[0], test.left, names)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        call = _literal_call(test.operand, names)
        return _Check(call, _is_false) if call else None
    call = _literal_call(test, names)
    return _Check(call, _is_true) if call else None


def _equality(call_node: ast.expr, value_node: ast.expr, names: frozenset[str]) -> _Check | None:
    call = _literal_call(call_node, names)
    if call is None:
        return None
    try:
        expected = ast.literal_eval(value_node)
    except ValueError:
        return None
    return _Check(call, functools.partial(equal, expected))


def equal(expected: Any, got: Any) -> bool:
    """Python's `==` over plain values."""
    try:
        return bool(got == expected)
    except (RecursionError, TypeError, OverflowError):
        return False


def _is_true(got: Any) -> bool:
    return bool(got)


def _is_false(got: Any) -> bool:
    return not got


def _literal_call(node: ast.expr, names: frozenset[str]) -> WireCall | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names):
        return None
    try:
        args = [codec.encode(ast.literal_eval(a)) for a in node.args]
        kwargs = {k.arg: codec.encode(ast.literal_eval(k.value)) for k in node.keywords if k.arg}
    except (ValueError, TypeError, codec.WireError):
        return None
    return [node.func.id, args, kwargs] if len(kwargs) == len(node.keywords) else None


def _allowed(tests: Tests, nodes: list[ast.stmt]) -> frozenset[str]:
    """Names that the reference defines and the tests use; without a reference, the called names that Python lacks."""
    if tests.reference:
        used = _WORD.findall("\n".join((*tests.asserts, tests.setup)))
        return frozenset(defined_names(tests.reference).intersection(used))
    if tests.entry_point:
        return frozenset({tests.entry_point})
    calls = [n.func for node in nodes for n in ast.walk(node) if isinstance(n, ast.Call)]
    return frozenset(f.id for f in calls if isinstance(f, ast.Name) and not hasattr(builtins, f.id))


_WORD = re.compile(r"[^\W\d]\w*")
_DEFINED = re.compile(r"^(?:(?:async\s+)?def\s+|class\s+)(\w+)|^(\w+)\s*=(?!=)", re.MULTILINE)


def defined_names(code: str) -> set[str]:
    """Functions, classes and assigned names at the top of a program. By its text: parsing it would cost more than running it."""
    return {function or assigned for function, assigned in _DEFINED.findall(code)}


def _parse(text: str) -> ast.Module:
    """The tree; what Python warns about in the data sets' texts (an unknown escape, say) is not our news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _remote(tests: Tests, nodes: list[ast.stmt], names: frozenset[str]) -> Remote:
    ahead = [] if tests.setup else _calls_ahead(nodes, names)
    before = [*tests.imports, *_imports_used(tests, nodes)]
    return Remote(
        calls=ahead,
        names=names,
        before=tuple(compile(line, "<imports>", "exec", dont_inherit=True) for line in before),
        after=(compile(tests.setup, "<setup>", "exec", dont_inherit=True),) if tests.setup else (),
        steps=tuple(_compiled([node]) for node in nodes),
        entry_point="",
    )


def _from_check(tests: Tests) -> Remote:
    tree = _parse(tests.check)
    names = frozenset({tests.entry_point, "candidate"})
    ahead = [[tests.entry_point, *call[1:]] for call in _calls_ahead(tree.body, names)]
    prelude = (compile(tests.prelude, "<prompt>", "exec", dont_inherit=True),) if tests.prelude else ()
    return Remote(ahead, frozenset({tests.entry_point}), prelude, (), (_compiled(tree.body),), tests.entry_point)


def _compiled(nodes: list[ast.stmt]) -> types.CodeType:
    return compile(ast.Module(nodes, type_ignores=[]), "<tests>", "exec", dont_inherit=True)


def _calls_ahead(nodes: list[ast.stmt], names: frozenset[str]) -> list[WireCall]:
    """Calls whose arguments are literals, in the order of the text; those inside loops and handlers are left for later."""
    found = []
    for node in nodes:
        if isinstance(node, (ast.Assert, ast.Expr, ast.Assign)):
            calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
            calls.sort(key=lambda n: (n.lineno, n.col_offset))
            found += [wire for n in calls if (wire := _literal_call(n, names))]
        elif isinstance(node, ast.FunctionDef):
            found += _calls_ahead(node.body, names)
    return found


def _imports_used(tests: Tests, nodes: list[ast.stmt]) -> list[str]:
    """Standard modules that the reference imports and the tests lean on (full MBPP: `math` in a test)."""
    if not tests.reference:
        return []
    used = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}
    found = []
    for node in _parse(tests.reference).body:
        if isinstance(node, ast.Import):
            modules = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        else:
            continue
        bound = {(a.asname or a.name).split(".")[0] for a in node.names}
        if bound & used and all(m.split(".")[0] in sys.stdlib_module_names for m in modules):
            found.append(ast.unparse(node))
    return found
