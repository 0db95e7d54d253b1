"""What runs in the forked child: the candidate, and the answering of calls. Nothing here is trusted once `exec` has run.

Knows: the candidate's code, names and arguments of calls. Does not know: test text, expected values, anybody's files.
Whatever the candidate does to this code, all it can send is values, and the judge compares those.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

from engine.verify.sandbox import codec, frames

JAIL_FAILED = 97  # exit status: the walls could not be put up; the judge raises SandboxBroken on it
_MAX_REQUEST = 64 << 20


class Objects:
    """The values that can't travel, kept under the numbers that stand for them."""

    def __init__(self) -> None:
        self._kept: list[Any] = []

    def keep(self, value: Any) -> int:
        self._kept.append(value)
        return len(self._kept) - 1

    def get(self, number: int, _type_name: str) -> Any:
        return self._kept[number]


def rehearse() -> None:
    """Walk the path of a child once in the zygote: what is made on first use (the types of a syntax tree, say) is there."""
    objects = Objects()
    names = _load(
        "import math\nclass C: pass\ndef f(x):\n    return sorted({str(i): [x, i / 2] for i in range(3)}), {x}\n"
    )
    for _ in range(3):
        request = codec.loads(codec.dumps({"calls": [["f", [1], {}], ["g", [["l", "a"], ["t", 0.5]], {"k": None}]]}))
        codec.dumps([_answer(call, names, objects) for call in request["calls"]])


def run(fd: int, put_up_walls: Callable[[], bool], script_fds: tuple[int, int] | None = None) -> None:
    """Serve one candidate and end the process. `script_fds`: standard input and output of a program that reads and prints."""
    if script_fds is None:
        status = _serve_calls(fd, put_up_walls)
    else:
        status = _run_program(fd, put_up_walls, *script_fds)
    os._exit(status)


def _serve_calls(fd: int, put_up_walls: Callable[[], bool]) -> int:
    if not put_up_walls():
        return JAIL_FAILED
    request = codec.loads(frames.receive(fd, _MAX_REQUEST))
    gc.enable()
    most = request["most"]
    try:
        names = _load(request["code"], request.get("typing", False))
    except BaseException as error:
        frames.send(fd, codec.dumps({"load": type_name(error)}))
        return 0
    objects = Objects()
    answers = [_answer(call, names, objects) for call in request["calls"]]
    _reply(fd, answers, most)
    while request["more"]:
        try:
            call = codec.loads(frames.receive(fd, _MAX_REQUEST))
        except frames.Closed:
            break
        _reply(fd, [_answer(call, names, objects)], most)
    return 0


def _load(code: str, with_typing: bool = False, name: str = "candidate") -> dict[str, Any]:
    """Execute the candidate as a fresh module; its names. `with_typing`: LeetCode's problems take `List` as given.

    A program that is called is a module, so what it keeps under `__name__ == "__main__"` (a demonstration, a question to the
    user) does not run; a program that reads and prints is `__main__`.
    """
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = __builtins__
    if with_typing:
        module.__dict__.update({name: getattr(typing, name) for name in typing.__all__})
    sys.modules[name] = module
    # dont_inherit: the `from __future__` of this file is not the candidate's.
    exec(compile(code, "<candidate>", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def _answer(call: list[Any], names: dict[str, Any], objects: Objects) -> list[Any]:
    """`[0, value]`, `[0, value, changed arguments]` or `[1, exception's type]`."""
    name, wire_args, wire_kwargs = call
    try:
        args = [codec.decode(a, objects.get) for a in wire_args]
        kwargs = {k: codec.decode(v, objects.get) for k, v in wire_kwargs.items()}
        value = codec.encode(_function(name, names)(*args, **kwargs), objects.keep)
        changed = [
            [at, now]
            for at, (arg, was) in enumerate(zip(args, wire_args, strict=True))
            if type(arg) in (list, dict, set, bytearray) and (now := codec.encode(arg, objects.keep)) != was
        ]
    except BaseException as error:
        return [1, type_name(error)]
    return [0, value, changed] if changed else [0, value]


def _function(name: str, names: dict[str, Any]) -> Callable[..., Any]:
    if name in names:
        found: Callable[..., Any] = names[name]
        return found
    if "Solution" in names and hasattr(names["Solution"], name):  # APPS, call-based
        method: Callable[..., Any] = getattr(names["Solution"](), name)
        return method
    raise NameError(name)


def type_name(error: BaseException) -> str:
    """The exception's own type, past any `__name__` that a metaclass pretends."""
    name: str = type.__dict__["__name__"].__get__(type(error))
    return "PermissionError" if isinstance(error, PermissionError) else name[:80]


def _reply(fd: int, answers: list[list[Any]], most: int) -> None:
    try:
        data = codec.dumps(answers)
    except (ValueError, MemoryError, RecursionError):
        data = b"too large"
    frames.send(fd, data if len(data) <= most else codec.dumps({"output": len(data)}))


def _run_program(fd: int, put_up_walls: Callable[[], bool], stdin_fd: int, stdout_fd: int) -> int:
    """The candidate as a script: a file of the judge's on its standard input, a pipe to the judge as its output."""
    request = codec.loads(frames.receive(fd, _MAX_REQUEST))
    os.dup2(stdin_fd, 0)
    os.dup2(stdout_fd, 1)
    if not put_up_walls():
        return JAIL_FAILED
    gc.enable()
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    return _script_status(fd, request["code"])


def _script_status(fd: int, code: str) -> int:
    """0 as a script would end with; what stopped it otherwise is sent as a type's name."""
    try:
        try:
            _load(code, name="__main__")
        finally:
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.__stdout__):
                if stream is not None:
                    stream.flush()
    except SystemExit as error:
        for stream in (sys.stdout, sys.__stdout__):
            if stream is not None:
                stream.flush()
        if error.code in (None, 0):
            return 0
        frames.send(fd, codec.dumps({"load": "SystemExit"}))
        return 1
    except BaseException as error:
        frames.send(fd, codec.dumps({"load": type_name(error)}))
        return 1
    return 0
