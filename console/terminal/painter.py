"""A compositor that asks widgets only for the lines that must be painted, and none that is hidden behind others.

Textual's own renders every widget in the rectangle around everything that changed, whole: for a log line below and a number
above, the whole screen. The picture is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.strip import Strip

Chops = dict[int, Strip | None]
"""The pieces of a line by the cell where each begins."""


class Painter(Compositor):
    def render_partial_update(self) -> ChopsUpdate | None:
        """What changed since the last picture."""
        dirty = [found for region in self._dirty_regions if (found := region.intersection(self.size.region))]
        self._dirty_regions.clear()
        if not dirty:
            return None
        spans = list(self._regions_to_spans(dirty))
        chops: list[Chops] = [{} for _ in self.cuts]
        for y, _, _ in spans:
            chops[y] = dict.fromkeys(self.cuts[y][:-1])
        open_cuts = _open_cuts(spans, self.cuts)
        for widget, (region, clip) in self.visible_widgets.items():  # front to back: who comes first is seen
            shown = region.intersection(clip)
            lines = [y for y in shown.line_range if y in open_cuts and _meets(open_cuts[y], shown)]
            if lines:
                self._take(widget.render_lines(_part(region, shown, lines)), shown, lines, chops, open_cuts)
                if not open_cuts:
                    break
        return ChopsUpdate(chops, spans, [cuts[1:] for cuts in self.cuts])

    def _take(
        self,
        strips: Sequence[Strip],
        shown: Region,
        lines: list[int],
        chops: list[Chops],
        open_cuts: dict[int, set[int]],
    ) -> None:
        """Cut a widget's lines into the pieces that nobody in front of it has filled."""
        first, left, right = lines[0], shown.x, shown.right
        for y in lines:
            cuts = [cut for cut in self.cuts[y] if left <= cut <= right]
            pieces = strips[y - first].divide([cut - left for cut in cuts[1:]])
            for cut, piece in zip(cuts, pieces, strict=False):
                if chops[y][cut] is None:
                    chops[y][cut] = piece
            open_cuts[y].difference_update(cuts[:-1])
            if not open_cuts[y]:
                del open_cuts[y]


def _open_cuts(spans: Iterable[tuple[int, int, int]], cuts: list[list[int]]) -> dict[int, set[int]]:
    """Per line where the pieces begin that must be painted."""
    found: dict[int, set[int]] = {}
    for y, first, last in spans:
        wanted = (at for at, end in zip(cuts[y], cuts[y][1:], strict=False) if at < last and end > first)
        found.setdefault(y, set()).update(wanted)
    return found


def _meets(cuts: set[int], shown: Region) -> bool:
    return any(shown.x <= cut < shown.right for cut in cuts)


def _part(region: Region, shown: Region, lines: list[int]) -> Region:
    """The lines of a widget, as it counts them itself."""
    return Region(shown.x - region.x, lines[0] - region.y, shown.width, lines[-1] - lines[0] + 1)
