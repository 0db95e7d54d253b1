"""A document as one HTML file that needs nothing else: styles and charts stand in it, no script, light and dark. Pure."""

from __future__ import annotations

import re
from html import escape

from console.reports.document import Block, Checklist, Code, Document, Figure, Heading, Prose, Table

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d0d7de; --ground: #fff; --shade: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --ground: #0d1117; --shade: #161b22; }
}
body { font: 16px/1.5 ui-sans-serif, system-ui, sans-serif; color: var(--ink); background: var(--ground);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { border-bottom: 1px solid var(--line); padding-bottom: .2rem; margin-top: 2.2rem; }
.lead { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child, th { white-space: nowrap; }
.passed, .succeeded { color: #1a7f37; } .failed, .lost { color: #cf222e; } .stale, .stopped { color: #9a6700; }
.overridden { color: #8250df; }
@media (prefers-color-scheme: dark) { .passed, .succeeded { color: #3fb950; } .failed, .lost { color: #f85149; }
  .stale, .stopped { color: #d29922; } .overridden { color: #ab7df8; } }
code, pre { font: .85em ui-monospace, monospace; background: var(--shade); border-radius: 4px; }
code { padding: .1em .3em; } pre { padding: .8rem; overflow-x: auto; } pre code { padding: 0; }
figure { display: inline-block; margin: .5rem 0; max-width: 100%; }
figure svg { max-width: 100%; height: auto; border-radius: 4px; }
ul.checks { list-style: none; padding-left: 0; }
@media print { body { max-width: none; } figure, table { break-inside: avoid; } }
"""
_STATE = re.compile(r"[^\w\s] (passed|succeeded|failed|lost|stale|stopped|overridden)\b")


def to_html(document: Document) -> str:
    body = "\n".join(_block(block) for block in document.blocks)
    lead = f'<p class="lead">{_inline(document.lead)}</p>' if document.lead else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(document.title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_inline(document.title)}</h1>\n{lead}\n{body}\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_inline(block.text)}</h{block.level}>"
        case Prose():
            return _prose(block.text)
        case Table():
            return _table(block)
        case Checklist():
            items = "\n".join(f"<li>{'☑' if done else '☐'} {_inline(text)}</li>" for done, text in block.items)
            return f'<ul class="checks">\n{items}\n</ul>'
        case Code():
            return f"<pre><code>{escape(block.text.rstrip())}</code></pre>"
        case Figure():
            return f"<figure>{block.svg.strip()}</figure>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in table.head)
    rows = "\n".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in table.rows)
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'


def _cell(text: str) -> str:
    state = _STATE.fullmatch(text)
    return f'<td class="{state[1]}">{_inline(text)}</td>' if state else f"<td>{_inline(text)}</td>"


def _prose(markdown: str) -> str:
    """Paragraphs and bullets; other signs of Markdown stay as they were typed."""
    parts = []
    for block in re.split(r"\n\s*\n", markdown.strip()):
        lines = block.splitlines()
        if all(re.match(r"\s*([-*]|\d+\.)\s|\s{2,}", line) for line in lines) and re.match(
            r"\s*([-*]|\d+\.)\s", lines[0]
        ):
            parts.append(_bullets(lines))
        else:
            parts.append(f"<p>{_inline(' '.join(line.strip() for line in lines))}</p>")
    return "\n".join(parts)


def _bullets(lines: list[str]) -> str:
    items: list[str] = []
    for line in lines:
        match = re.match(r"\s*(?:[-*]|\d+\.)\s+(.*)", line)
        if match:
            items.append(match[1])
        else:
            items[-1] += " " + line.strip()
    return "<ul>\n" + "\n".join(f"<li>{_inline(item)}</li>" for item in items) + "\n</ul>"


def _inline(text: str) -> str:
    """Bold, italics, code and crossed out."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(f"<code>{escape(p[1:-1])}</code>" if p.startswith("`") and len(p) > 2 else _signs(p) for p in parts)


def _signs(text: str) -> str:
    safe = escape(text)
    safe = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe)
    safe = re.sub(r"~~([^~]+)~~", r"<del>\1</del>", safe)
    return re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", r"<em>\1</em>", safe)
