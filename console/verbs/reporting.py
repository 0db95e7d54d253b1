"""The verbs `report` and `context`: pages for others, and for oneself after a while, written from the evidence."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from console.comparing.export import file_name
from console.errors import UserError
from console.reports.document import Document, Figure
from console.reports.html import to_html
from console.reports.markdown import to_markdown
from console.runs.again import newest_variant
from console.verbs.common import chosen, print_json, up_to_date


def report(arguments: argparse.Namespace) -> int:
    from console.reports.gathered import gather
    from console.reports.phase_report import phase_report

    space = up_to_date()
    phase, resolved = chosen(space, arguments)
    if not arguments.set:
        resolved = newest_variant(space, phase, arguments.preset)
    page = phase_report(gather(space, phase, resolved), time.time())
    _put(page, arguments)
    return 0


def context(arguments: argparse.Namespace) -> int:
    from console.reports.context_ground import ground_of
    from console.reports.context_page import context_page

    space = up_to_date()
    phase = space.phase(arguments.phase).phase if arguments.phase else None
    _put(context_page(ground_of(space, phase), time.time()), arguments)
    return 0


def _put(page: Document, arguments: argparse.Namespace) -> None:
    """To stdout, or into the file that is named; its ending says what it becomes."""
    if arguments.json:
        print_json(to_json(page))
    elif arguments.out is None:
        print(to_html(page) if arguments.html else to_markdown(page), end="")
    else:
        file = Path(arguments.out)
        _write(page, file, arguments.html or file.suffix.lower() in (".html", ".htm"))
        print(f"written: {file}")


def _write(page: Document, file: Path, as_html: bool) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(to_html(page) if as_html else _markdown_with_charts(page, file))
    except OSError as error:
        raise UserError(f"{file} can't be written: {error.strerror}") from error


def _markdown_with_charts(page: Document, file: Path) -> str:
    """Charts lie as SVG in a folder beside the file."""
    folder = file.with_name(f"{file.stem}-charts")
    if page.figures:
        folder.mkdir(exist_ok=True)
    for figure in page.figures:
        (folder / file_name(figure.title)).write_text(figure.svg)
    return to_markdown(page, lambda figure: f"{folder.name}/{file_name(figure.title)}")


def to_json(page: Document) -> dict[str, Any]:
    """The page's blocks for programs; charts by their titles."""
    blocks = []
    for block in page.blocks:
        fields = {"title": block.title} if isinstance(block, Figure) else dict(block.__dict__)
        blocks.append({"kind": type(block).__name__.lower(), **fields})
    return {"title": page.title, "lead": page.lead, "blocks": blocks}
