"""A document as Markdown that GitHub and any other reader shows alike. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from console.reports.document import Block, Checklist, Code, Document, Figure, Heading, Prose, Table
from console.words import width


def to_markdown(document: Document, place_of: Callable[[Figure], str] | None = None) -> str:
    """`place_of` says where a figure's file lies; without it figures are left out and named."""
    parts = [f"# {document.title}"] + ([document.lead] if document.lead else [])
    parts += [_block(block, place_of) for block in document.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block, place_of: Callable[[Figure], str] | None) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Prose():
            return block.text.strip()
        case Table():
            return _table(block)
        case Checklist():
            return "\n".join(f"- [{'x' if done else ' '}] {text}" for done, text in block.items)
        case Code():
            return f"```{block.language}\n{block.text.rstrip()}\n```"
        case Figure():
            return f"![{block.title}]({place_of(block)})" if place_of else f"(chart: {block.title})"


def _table(table: Table) -> str:
    """Padded, so that it reads in a terminal as well."""
    rows = [[_cell(c) for c in row] for row in [table.head, *table.rows]]
    widths = [max(3, *(width(row[i]) for row in rows)) for i in range(len(table.head))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell + " " * (w - width(cell)) for cell, w in zip(row, widths, strict=True)) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
