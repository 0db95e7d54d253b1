"""The program in a model's answer.

Fenced blocks first (the last one that parses and defines the asked-for name, because models repeat themselves to improve),
then bare code from the first line that can begin a program. Nothing is repaired: what doesn't parse fails in the sandbox with
`syntax`, and a cut answer is marked by its finish_reason, not here.
"""

from __future__ import annotations

import ast
import re
import warnings

_FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_BEGIN = re.compile(r"^(?:def |class |import |from \w[\w.]* import |@|async def |[A-Za-z_]\w* *=[^=])")


def program_in(answer: str, entry_point: str, prompt: str = "") -> str:
    """The code to run. `prompt`: code that a completion continues (HumanEval), put before an answer that lacks it."""
    text = answer.replace("\r\n", "\n")
    before = text.split("```", 1)[0]
    if (
        "```" in text and _BEGIN.match(before) and parses(before)
    ):  # the fence was opened for the model: it only closes it
        return before.strip("\n") + "\n"
    blocks = [body for language, body in _FENCE.findall(text) if language.lower() in ("", "python", "py", "python3")]
    code = _best(blocks, entry_point) if blocks else _bare(text)
    if prompt and entry_point and not _defines(code, entry_point):
        code = _continued(prompt, code if blocks else text)
    return code.strip("\n") + "\n"


def _best(blocks: list[str], entry_point: str) -> str:
    """The last block that parses and defines the name; failing that the last that mentions it; failing that the first."""
    for block in reversed(blocks):
        if parses(block) and _defines(block, entry_point):
            return block
    for block in reversed(blocks):
        if _defines(block, entry_point):
            return block
    return blocks[0]


def _defines(code: str, name: str) -> bool:
    return bool(
        re.search(rf"^\s*(?:async )?(?:def|class)\s+{re.escape(name)}\b|^{re.escape(name)}\s*=", code, re.MULTILINE)
    )


def _bare(text: str) -> str:
    """From the first line that begins code, without prose after it."""
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if _BEGIN.match(line)), None)
    if start is None:
        return text
    kept = lines[start:]
    while kept and not parses("\n".join(kept)):
        cut = next((i for i in range(len(kept) - 1, 0, -1) if _is_prose(kept[i])), None)
        if cut is None:
            break
        kept = kept[:cut]
    return "\n".join(kept)


def _is_prose(line: str) -> bool:
    """Neither empty, indented nor a program's line."""
    return (
        bool(line.strip())
        and not line[0].isspace()
        and not parses(line)
        and not line.rstrip().endswith((":", ",", "(", "[", "{"))
    )


def _continued(prompt: str, body: str) -> str:
    """A body that goes on where the prompt ends; cut where the next top-level thing begins."""
    kept = []
    for line in body.split("\n"):
        if line.strip() and not line[0].isspace() and kept:
            break
        kept.append(line)
    lines = [line for line in kept if line.strip()]
    if lines and not lines[0][0].isspace():
        kept = ["    " + line if line.strip() else line for line in kept]
    return prompt.rstrip("\n") + "\n" + "\n".join(kept)


def parses(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
