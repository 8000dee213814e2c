"""What reading one document may cost (law 7), and the count of what it did cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.wire.reader.document import LeftOut
from node.wire.xml import XmlLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderLimits:
    """The bounds of the reader; the parser's own stand before them.

    Attributes:
        xml: what the parser may meet.
        sections: sections of a document, subsections included.
        section_depth: sections inside sections.
        depth: elements inside elements of one narrative.
        nodes: parts of one section; past them the section is not shown and says so.
        all_nodes: parts of all sections.
        columns: the widest column span.
        rows: the longest row span.
        images: images of a document.
        image_bytes: all of them together.
        body_bytes: the file that is the whole body.
    """

    xml: XmlLimits = field(
        default_factory=lambda: XmlLimits(max_bytes=32 * 1024 * 1024, max_elements=500_000)
    )
    sections: int = 5_000
    section_depth: int = 12
    depth: int = 64
    nodes: int = 100_000
    all_nodes: int = 300_000
    columns: int = 100
    rows: int = 1_000
    images: int = 50
    image_bytes: int = 16 * 1024 * 1024
    body_bytes: int = 24 * 1024 * 1024


DEFAULT_LIMITS = ReaderLimits()


class TooLarge(Exception):
    """A section is past a limit; never leaves the package."""


@dataclass(slots=True)
class Tally:
    """What was spent and left out so far, of one document."""

    limits: ReaderLimits
    nodes: int = 0
    all_nodes: int = 0
    active: int = 0
    foreign: int = 0
    links: int = 0
    images: int = 0
    invisible: int = 0
    unresolved: int = 0
    large: int = 0
    damaged: int = 0
    anchors: int = 0

    def new_section(self) -> None:
        """Begin to count a section's own parts."""
        self.nodes = 0

    def spend(self, parts: int = 1) -> None:
        """Count parts.

        Raises:
            TooLarge: past a limit.
        """
        self.nodes += parts
        self.all_nodes += parts
        if self.nodes > self.limits.nodes or self.all_nodes > self.limits.all_nodes:
            raise TooLarge

    def left_out(self) -> LeftOut:
        """The numbers for the page."""
        return LeftOut(
            active=self.active,
            foreign=self.foreign,
            links=self.links,
            images=self.images,
            invisible=self.invisible,
            unresolved=self.unresolved,
            large=self.large,
            damaged=self.damaged,
        )
