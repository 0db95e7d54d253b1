"""Slips that programmers and models make, as changes of a syntax tree; and changes of style that mean the same.

A slip may leave the meaning unchanged: the label comes from the sandbox, never from here.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATE: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add,), ast.Mult: (ast.Add, ast.Pow), ast.FloorDiv: (ast.Div, ast.Mod),
    ast.Div: (ast.FloorDiv,), ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,),
}  # fmt: skip
_CALLS = {
    "min": "max", "max": "min", "sorted": "list", "sum": "len", "len": "sum", "set": "list", "enumerate": "list",
    "append": "extend", "extend": "append", "upper": "lower", "lower": "upper", "isupper": "islower", "items": "keys",
    "int": "str", "str": "int", "add": "append", "pop": "get", "get": "pop",
}  # fmt: skip

Site = Callable[[], None]
"""A change that is ready to be made, in place."""


def slips(tree: ast.Module, rng: random.Random) -> Iterator[tuple[str, Site]]:
    """Every slip that this program offers, by name."""
    names = _local_names(tree)
    for node in ast.walk(tree):
        yield from _expression_slips(node, names, rng)
        for field in ("body", "orelse"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield from _block_slips(node, block, rng)


def _expression_slips(node: ast.AST, names: list[str], rng: random.Random) -> Iterator[tuple[str, Site]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
        yield "compare", lambda: _set_item(node.ops, 0, _COMPARE[type(node.ops[0])]())
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _OPERATE:
        yield "operator", lambda: setattr(node, "op", rng.choice(_OPERATE[type(node.op)])())
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Sub, ast.FloorDiv, ast.Mod, ast.Div)):
        yield "swapped operands", lambda: _swap(node, "left", node, "right")
    if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and isinstance(node.op, (ast.Add, ast.Sub)):
        yield "dropped one", lambda: _become(node, node.left)
    if isinstance(node, ast.BoolOp):
        yield "and or", lambda: setattr(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield "number", lambda: setattr(node, "value", node.value + rng.choice((-1, 1)))
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield "truth", lambda: setattr(node, "value", not node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from _call_slips(node, node.func, rng)
    if isinstance(node, ast.Attribute) and node.attr in _CALLS:
        yield "method", lambda: setattr(node, "attr", _CALLS[node.attr])
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        others = [n for n in names if n != node.id]
        if others:
            yield "wrong variable", lambda: setattr(node, "id", rng.choice(others))
        yield (
            "misspelt variable",
            lambda: setattr(node, "id", rng.choice((node.id + "s", node.id + "_", "temp", "res", "num"))),
        )
    if isinstance(node, (ast.If, ast.While, ast.IfExp)) and not isinstance(node.test, ast.Constant):
        yield "negated", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))


def _call_slips(node: ast.Call, function: ast.Name, rng: random.Random) -> Iterator[tuple[str, Site]]:
    if function.id in _CALLS:
        yield "function", lambda: setattr(function, "id", _CALLS[function.id])
    if function.id == "range" and node.args:
        last = node.args[1] if len(node.args) > 1 else node.args[0]
        at = 1 if len(node.args) > 1 else 0
        by: ast.operator = rng.choice((ast.Add(), ast.Sub()))
        yield "range end", lambda: _set_item(node.args, at, ast.BinOp(last, by, ast.Constant(1)))
    if len(node.args) == 2:
        yield "swapped arguments", lambda: node.args.reverse()


def _block_slips(owner: ast.AST, block: list[ast.stmt], rng: random.Random) -> Iterator[tuple[str, Site]]:
    if len(block) > 1 and not isinstance(owner, ast.While):  # dropping a step of a while loop mostly makes it endless
        at = rng.randrange(len(block))
        yield "dropped statement", lambda: block.__delitem__(at)
        if not isinstance(block[-2], ast.Return):
            yield "swapped statements", lambda: _swap_items(block, rng.randrange(len(block) - 1))
    if len(block) > 1 and isinstance(block[-1], ast.Return) and isinstance(block[-2], (ast.For, ast.While)):
        yield "return in the loop", lambda: block[-2].body.append(block.pop())  # type: ignore[union-attr]
    last = block[-1]
    if isinstance(last, ast.Return) and last.value is not None:
        value = last.value
        yield "no return", lambda: _set_item(block, len(block) - 1, ast.Expr(value))
    guards = [
        i for i, s in enumerate(block) if isinstance(s, ast.If) and not s.orelse and isinstance(s.body[-1], ast.Return)
    ]
    if guards and len(block) > 1:
        yield "no guard", lambda: block.__delitem__(guards[0])
    if isinstance(owner, ast.If) and owner.orelse and block is owner.body:
        yield "swapped branches", lambda: _swap(owner, "body", owner, "orelse")


def _set_item(items: list, at: int, value: object) -> None:  # type: ignore[type-arg]
    items[at] = value


def _swap_items(items: list, at: int) -> None:  # type: ignore[type-arg]
    items[at], items[at + 1] = items[at + 1], items[at]


def _swap(a: ast.AST, a_field: str, b: ast.AST, b_field: str) -> None:
    left, right = getattr(a, a_field), getattr(b, b_field)
    setattr(a, a_field, right)
    setattr(b, b_field, left)


def _become(node: ast.AST, other: ast.AST) -> None:
    """Turn a node into another in place, so that its parent need not be known."""
    node.__class__ = other.__class__  # type: ignore[assignment]
    node.__dict__.clear()
    node.__dict__.update(other.__dict__)


def slip(code: str, rng: random.Random, count: int) -> tuple[str, list[str]]:
    """The program with `count` slips, and their names; fewer where it offers none."""
    tree = ast.parse(code)
    made = []
    for _ in range(count):
        offered = list(slips(tree, rng))
        if not offered:
            break
        kind = rng.choice(sorted({name for name, _ in offered}))
        name, change = rng.choice([site for site in offered if site[0] == kind])
        change()
        made.append(name)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n", made


_NAMES = [
    "total", "result", "count", "values", "items", "data", "current", "value", "item", "x", "y", "n", "i", "j", "k", "s", "text",
    "res", "out", "numbers", "lst", "arr", "num", "acc", "best", "left", "right", "a", "b", "left_index", "elem", "temp",
]  # fmt: skip


def restyle(code: str, rng: random.Random) -> str:
    """The same meaning in other words: local names, operand order, spelled-out updates, a named result."""
    tree = ast.parse(code)
    if rng.random() < 0.7:
        _rename(tree, rng)
    _Restyle(rng).visit(tree)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _local_names(tree: ast.Module) -> list[str]:
    """Arguments and assigned names, in order."""
    found = [n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)]
    found += [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return list(dict.fromkeys(found))


def _rename(tree: ast.Module, rng: random.Random) -> None:
    mine = [name for name in _local_names(tree) if name != "_"]
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | set(mine)
    fresh = [name for name in _NAMES if name not in used]
    rng.shuffle(fresh)
    chosen = [name for name in mine if rng.random() < 0.6][: len(fresh)]
    new = dict(zip(chosen, fresh, strict=False))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = new.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = new.get(node.arg, node.arg)


class _Restyle(ast.NodeTransformer):
    """Each change with a chance of its own."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.target, ast.Name) or self.rng.random() < 0.6:
            return node
        loaded = ast.Name(node.target.id, ast.Load())
        return ast.Assign([node.target], ast.BinOp(loaded, node.op, node.value))

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        mirrored = {
            ast.Lt: ast.Gt,
            ast.Gt: ast.Lt,
            ast.LtE: ast.GtE,
            ast.GtE: ast.LtE,
            ast.Eq: ast.Eq,
            ast.NotEq: ast.NotEq,
        }
        if len(node.ops) == 1 and type(node.ops[0]) in mirrored and self.rng.random() < 0.3:
            return ast.Compare(node.comparators[0], [mirrored[type(node.ops[0])]()], [node.left])
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if (
            node.orelse
            and not (len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If))
            and self.rng.random() < 0.2
        ):
            return ast.If(ast.UnaryOp(ast.Not(), node.test), node.orelse, node.body)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST | list[ast.stmt]:
        if node.value is None or isinstance(node.value, (ast.Constant, ast.Name)) or self.rng.random() < 0.7:
            return node
        named = ast.Name("answer", ast.Store())
        return [ast.Assign([named], copy.deepcopy(node.value)), ast.Return(ast.Name("answer", ast.Load()))]
