"""Three small patches of our own that give a checkout of the reference its feedback modes. Text in, text out.

    coconut.py   1. `Coconut.__init__` takes `feedback_mode` and keeps the vector of the fixed modes as `pause_embedding`
                 2. where its forward puts a hidden state at a latent position, a fixed mode puts that vector
    run.py       3. reads `feedback_mode` from the config, and passes it to `Coconut`: two lines

None of the reference's text stands here: each place is found by what it does, in the syntax tree, and exactly one must be found.
All else stays byte for byte. A file in which a place is missing, or there twice, is refused by name, never guessed at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from engine.data.prosqa import DataError

CLASS, MODE, PAUSE = "Coconut", "feedback_mode", "pause_embedding"
_KEEP = """
        self.{mode} = {mode}
        if {mode} not in ("continuous", "frozen", "learned_shared"):
            raise ValueError(f"{mode} {{{mode}!r}}: there are continuous, frozen and learned_shared")
        if {mode} != "continuous":
            pause = {model}.get_input_embeddings().weight.detach()[{latent}].clone()
            if {mode} == "frozen":
                self.register_buffer("{pause}", pause)
            else:
                self.register_parameter("{pause}", type({model}.get_input_embeddings().weight)(pause))
"""


@dataclass(frozen=True)
class Edit:
    """Text that takes the place of text[start:end]; an insertion where both are the same."""

    start: int
    end: int
    text: str


class _Source:
    """A file's text with its syntax tree, and offsets between them."""

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        try:
            self.tree = ast.parse(text)
        except SyntaxError as error:
            raise DataError(f"{name} is no Python that can be read ({error.msg}, line {error.lineno})") from None
        self._lines = text.splitlines(keepends=True)

    def at(self, line: int, byte: int) -> int:
        before = self._lines[line - 1].encode()[:byte].decode()
        return sum(map(len, self._lines[: line - 1])) + len(before)

    def start(self, node: ast.AST) -> int:
        return self.at(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        return self.at(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def end_of_line(self, node: ast.AST) -> int:
        """Behind a comment that follows it."""
        end = self.text.find("\n", self.end(node))
        return len(self.text) if end < 0 else end

    def only(self, found: list[ast.AST], what: str) -> ast.AST:
        if len(found) != 1:
            raise DataError(
                f"{self.name}: {what} is there {len(found)} times and must be there once; is this the reference at its commit?"
            )
        return found[0]


def patched(name: str, text: str) -> str:
    """The file with its patches; `name` is coconut.py or run.py."""
    source = _Source(text, name)
    edits = {"coconut.py": _class_edits, "run.py": _script_edits}[name](source)
    for edit in sorted(edits, key=lambda e: e.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    ast.parse(text)
    return text


def _insert(at: int, text: str) -> Edit:
    return Edit(at, at, text)


def _class_edits(source: _Source) -> list[Edit]:
    made = _method(source, "__init__")
    names = [a.arg for a in made.args.args]
    if len(names) < 3 or MODE in names:
        raise DataError(
            f"{source.name}: {CLASS}.__init__ takes {', '.join(names)}; expected a model and ids, and no {MODE}"
        )
    last = made.args.defaults[-1] if made.args.defaults else made.args.args[-1]
    thought = _thought(source)
    given = source.text[source.start(thought) : source.end(thought)]
    return [
        _insert(source.end(last), f', {MODE}="continuous"'),
        _insert(
            source.end_of_line(made.body[-1]),
            _KEEP.format(mode=MODE, pause=PAUSE, model=names[1], latent=names[2]).rstrip(),
        ),
        Edit(source.start(thought), source.end(thought), f'({given} if self.{MODE} == "continuous" else self.{PAUSE})'),
    ]


def _method(source: _Source, name: str) -> ast.FunctionDef:
    found: list[ast.AST] = [
        method
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and node.name == CLASS
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name == name
    ]
    method = source.only(found, f"the method {name} of class {CLASS}")
    assert isinstance(method, ast.FunctionDef)
    return method


def _thought(source: _Source) -> ast.AST:
    """What is put at a latent position: an item of the last hidden states, assigned to an item of something."""
    forward = _method(source, "forward")
    hidden = set(_names_of_hidden_states(forward))
    found: list[ast.AST] = [
        node.value
        for node in ast.walk(forward)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Subscript)
        and isinstance(node.value, ast.Subscript)
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id in hidden
    ]
    return source.only(found, "an item that is assigned from an item of the hidden states")


def _names_of_hidden_states(forward: ast.FunctionDef) -> Iterator[str]:
    """Variables that were assigned from something's attribute `hidden_states`."""
    for node in ast.walk(forward):
        if isinstance(node, ast.Assign) and any(
            isinstance(part, ast.Attribute) and part.attr == "hidden_states" for part in ast.walk(node.value)
        ):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _script_edits(source: _Source) -> list[Edit]:
    """Before the statement that makes the model a line that reads the mode; in the call the mode."""
    statements: list[ast.AST] = [
        node
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _called(node.value) == CLASS
    ]
    made = source.only(statements, f"an assignment of {CLASS}(…)")
    assert isinstance(made, ast.Assign)
    configs = source.only(_config_names(source), "a variable that is read with an attribute `coconut`")
    assert isinstance(configs, ast.Name)
    indent = " " * made.col_offset
    return [
        _insert(source.start(made), f'{MODE} = getattr({configs.id}, "{MODE}", "continuous")\n{indent}'),
        _insert(source.end(made) - 1, _comma(source, made) + f"{MODE}={MODE}"),
    ]


def _comma(source: _Source, made: ast.Assign) -> str:
    """Between the last argument and ours, unless the call ends with one."""
    text = source.text[source.start(made) : source.end(made) - 1].rstrip()
    return "" if text.endswith(("(", ",")) else ", "


def _called(call: ast.Call) -> str | None:
    return call.func.id if isinstance(call.func, ast.Name) else None


def _config_names(source: _Source) -> list[ast.AST]:
    """Each variable `x` of which some line reads `x.coconut`, once."""
    found: dict[str, ast.AST] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr == "coconut" and isinstance(node.value, ast.Name):
            found.setdefault(node.value.id, node.value)
    return list(found.values())
