"""A document becomes Markdown and HTML: nothing that is typed breaks either, and both say the same."""

from __future__ import annotations

from html.parser import HTMLParser

from console.reports.document import Checklist, Code, Document, Figure, Heading, Prose, Table
from console.reports.html import to_html
from console.reports.log import notes_lines, notes_log
from console.reports.markdown import to_markdown
from console.runs.notes import Note

NASTY = "a | b <script>alert(1)</script> & **bold** `x < 1`"


def page() -> Document:
    document = Document("Title", "a lead")
    document.section("Empty", Table(["a"], []), Checklist([]), Prose("  "))
    document.section(
        "Full",
        Prose("One line\nand its end.\n\n- first\n- second,\n  longer"),
        Table(["name", "value"], [[NASTY, "✓ passed"], ["wide ü 漢", "x"]]),
        Checklist([(True, "done"), (False, "not `yet`")]),
        Code("a: 1 < 2\n", "yaml"),
        Figure("loss", "<svg><title>loss</title></svg>\n"),
    )
    return document


def test_a_section_without_content_is_not_there() -> None:
    assert [b.text for b in page().blocks if isinstance(b, Heading)] == ["Full"]


def test_markdown_keeps_its_tables_whole() -> None:
    text = to_markdown(page(), lambda figure: f"charts/{figure.title}.svg")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1
    assert "a \\| b" in text
    assert "- [x] done\n- [ ] not `yet`" in text
    assert "```yaml\na: 1 < 2\n```" in text
    assert "![loss](charts/loss.svg)" in text
    assert "(chart: loss)" in to_markdown(page())


class Strict(HTMLParser):
    """Counts that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_whole_escapes_what_is_typed_and_needs_nothing_else() -> None:
    text = to_html(page())
    strict = Strict()
    strict.feed(text)
    assert strict.open == []
    assert {"script", "link", "img"}.isdisjoint(strict.seen)
    assert "&lt;script&gt;" in text
    assert "http" not in text
    assert "<strong>bold</strong> <code>x &lt; 1</code>" in text
    assert '<td class="passed">✓ passed</td>' in text
    assert "<li>second, longer</li>" in text
    assert "<svg><title>loss</title></svg>" in text


def test_the_log_is_by_day_and_crosses_out_what_was_withdrawn() -> None:
    notes = [
        Note(1, "note", "p", "phase1", "run-a", "two\nlines", "ann", 0.0),
        Note(2, "learning", "p", "phase1", None, "warm up", "bob", 90_000.0, 180_000.0),
    ]
    assert notes_log(notes).splitlines() == [
        "# Log of notes and learnings",
        "",
        "## 1970-01-01",
        "",
        "- 00:00 `run-a` two lines — ann",
        "",
        "## 1970-01-02",
        "",
        "- 01:00 **learning** `phase1` ~~warm up~~ (withdrawn 1970-01-03) — bob",
    ]
    assert notes_lines(notes[:1]) == ["- 1970-01-01 00:00 `run-a` two lines — ann"]
