"""A page as blocks, whatever it becomes in the end: Markdown or HTML. Holds text in Markdown's few inline signs, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Prose:
    """Paragraphs and bullets in Markdown, as a person wrote them."""

    text: str


@dataclass(frozen=True)
class Table:
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A chart."""

    title: str
    svg: str


@dataclass(frozen=True)
class Checklist:
    """What is done and what is not."""

    items: Sequence[tuple[bool, str]]


@dataclass(frozen=True)
class Code:
    text: str
    language: str = ""


Block = Heading | Prose | Table | Figure | Checklist | Code


@dataclass
class Document:
    """One page."""

    title: str
    lead: str = ""
    """One line under the title."""
    blocks: list[Block] = field(default_factory=list)

    def section(self, title: str, *blocks: Block, level: int = 2) -> None:
        """A heading with what stands under it; nothing where there is nothing to say."""
        kept = [b for b in blocks if not _is_empty(b)]
        if kept:
            self.blocks += [Heading(title, level), *kept]

    @property
    def figures(self) -> list[Figure]:
        return [b for b in self.blocks if isinstance(b, Figure)]


def _is_empty(block: Block) -> bool:
    if isinstance(block, Table):
        return not block.rows
    if isinstance(block, Checklist):
        return not block.items
    return isinstance(block, (Prose, Code)) and not block.text.strip()
