"""What the page of a document shows: sections in words and HTML, and what is left out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from node.console.reader.narrative_html import NarrativeHtml
from node.model import Demographics
from node.wire.reader.document import PrintedPatient, ReadableDocument, Section, SectionState
from node.wire.reader.section_groups import groups

UNTITLED: Final = "Section without a title"
_MOST_NAMED: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionView:
    """A section on the page.

    Attributes:
        anchor: its place on the page.
        title: with what was found marked.
        name: the title as text.
        level: 1 for sections of the body.
        count: rows, items or entries; ``None`` for running text.
        ours: whether the text is the node's own rendering of coded entries.
        too_large: whether it is past a limit and not shown.
        empty: whether it says nothing.
        html: the content.
        hits: how often what was looked for is in it.
    """

    anchor: str
    title: Markup
    name: str
    level: int
    count: int | None
    ours: bool
    too_large: bool
    empty: bool
    html: Markup
    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentView:
    """The sections in the document's order, and the index by subject."""

    sections: tuple[SectionView, ...]
    index: tuple[SectionView, ...]
    hits: int
    hidden: tuple[str, ...]


def document_view(
    document: ReadableDocument, writer: NarrativeHtml, *, with_empty: bool
) -> DocumentView:
    """The sections of a document.

    Args:
        document: what can be shown.
        writer: writes its HTML, and marks what is looked for.
        with_empty: whether empty sections stand on the page.
    """
    views: list[tuple[int, SectionView]] = []
    ranks = {key: rank for rank, key in enumerate(groups())}
    for number, section in enumerate(document.sections):
        before = writer.found
        name = section.title or UNTITLED
        view = SectionView(
            anchor=f"s{number}",
            title=writer.title(name),
            name=name,
            level=section.level,
            count=section.count,
            ours=section.state is SectionState.ENTRIES,
            too_large=section.state is SectionState.TOO_LARGE,
            empty=section.state is SectionState.EMPTY,
            html=writer.section(name, section.content),
            hits=writer.found - before,
        )
        views.append((ranks[section.group], view))
    shown = [(rank, view) for rank, view in views if with_empty or not view.empty]
    return DocumentView(
        sections=tuple(view for _, view in shown),
        index=tuple(view for _, view in sorted(shown, key=lambda each: each[0])),
        hits=writer.found,
        hidden=tuple(view.name for _, view in views if view.empty and not with_empty),
    )


def left_out_sentences(document: ReadableDocument) -> tuple[str, ...]:
    """What of the original this view does not have, one sentence each."""
    out = document.left_out
    ours = sum(section.state is SectionState.ENTRIES for section in document.sections)
    told = (
        (ours, "{} whose author wrote no text: shown is this node's list of its coded entries",
         "section"),
        (out.large, "{} too large for this view", "section"),
        (out.damaged, "{} with broken mark-up, not shown", "text"),
        (out.images, "{} not inside the document", "picture"),
        (out.links, "{} to somewhere else, shown as text", "link"),
        (out.unresolved, "{} to a part that the document does not have", "reference"),
        (out.active, "{} that would run or load something", "element"),
        (out.foreign, "{} of another vocabulary, shown as text", "element"),
        (out.invisible, "{} that nobody could see", "character"),
    )  # fmt: skip
    return tuple(
        words.format(f"{number} {thing}" + ("" if number == 1 else "s")) + "."
        for number, words, thing in told
        if number
    )


def empty_words(names: tuple[str, ...]) -> str:
    """Which sections say nothing, in words; empty where there are none."""
    if not names:
        return ""
    some = ", ".join(names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    thing = "1 empty section" if len(names) == 1 else f"{len(names)} empty sections"
    return f"{thing}: {some}{more}."


@dataclass(frozen=True, slots=True, kw_only=True)
class SamePatient:
    """Whether a document names whom was asked about. ``agrees``: name and birth date do."""

    agrees: bool
    sentence: str


def same_patient(asked: Demographics, patients: tuple[PrintedPatient, ...]) -> SamePatient:
    """Compare the people that a document names with whom was asked about."""
    if not patients:
        return SamePatient(agrees=False, sentence="This document names no patient")
    if len(patients) > 1:
        return SamePatient(agrees=False, sentence="This document names more than one patient")
    printed = patients[0]
    name = _agrees_in_name(asked, printed.name)
    birth = bool(asked.birth_date) and printed.birth_date == asked.birth_date
    if name and birth:
        return SamePatient(agrees=True, sentence="Name and birth date in this document match")
    what = "name" if birth else "birth date" if name else "name and the birth date"
    return SamePatient(
        agrees=False, sentence=f"The {what} in this document differs from whom you asked about"
        if what != "name and the birth date"
        else "The name and the birth date in this document differ from whom you asked about",
    )  # fmt: skip


def _agrees_in_name(asked: Demographics, printed: str | None) -> bool:
    words = set((printed or "").casefold().replace("-", " ").split())
    for name in asked.names:
        given = name.given[0].casefold().split() if name.given else []
        wanted = [*(name.family or "").casefold().replace("-", " ").split(), *given]
        if wanted and words.issuperset(wanted):
            return True
    return False


def named(sections: tuple[Section, ...]) -> tuple[str, ...]:
    """The titles of sections."""
    return tuple(section.title or UNTITLED for section in sections)
