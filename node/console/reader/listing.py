"""A list of documents as a page shows it: grouped as chosen, with what was counted."""

from __future__ import annotations

from typing import Any

from node.console.clinic.document_list import Grouping, document_list
from node.console.clinic.request import ClinicRequest
from node.console.parts import Visit
from node.console.reader.dates import day_words


def listing(visit: Visit, asked: ClinicRequest, base: str) -> dict[str, Any]:
    """What ``document-list.html`` shows; ``base`` is the address of the page that it is on."""
    query = visit.request.query_params
    group = query.get("group", "")
    grouping = Grouping(group) if group in tuple(Grouping) else Grouping.VISIT
    only_new = query.get("show") == "new"
    documents = visit.console.clinic.documents
    listed = document_list(
        asked,
        grouping,
        known=documents.known(asked),
        seen=documents.seen(visit.user.login),
        only_new=only_new,
    )

    def address(chosen: Grouping, *, new: bool) -> str:
        parts = [*([f"group={chosen}"] if chosen is not Grouping.VISIT else []),
                 *(["show=new"] if new else [])]  # fmt: skip
        return f"{base}?{'&'.join(parts)}#dc" if parts else f"{base}#dc"

    words = {Grouping.VISIT: "By visit", Grouping.TYPE: "By type",
             Grouping.ORGANIZATION: "By organization"}  # fmt: skip
    return {
        "listed": listed,
        "summary": summary(listed.rows, listed.folded, listed.held_back, listed.hidden),
        "groupings": [
            (words[each], address(each, new=only_new), each is grouping) for each in Grouping
        ],
        "only_new": only_new,
        "new_address": address(grouping, new=not only_new),
        "day_words": day_words,
        "size_words": size_words,
    }


def summary(rows: int, folded: int, held_back: int, hidden: int) -> str:
    """Such as ``8 to read, 2 copies folded, 3 held back``."""
    parts = [f"{rows} to read"]
    if folded:
        parts.append(f"{folded} {'copy' if folded == 1 else 'copies'} folded")
    if held_back:
        parts.append(f"{held_back} held back until you say whose they are")
    if hidden:
        parts.append(f"{hidden} of somebody else, by your answer")
    return ", ".join(parts)


def size_words(size: int | None) -> str:
    """A size for people; empty where it is not known."""
    if size is None:
        return ""
    kilobytes = max(size / 1000, 1)
    return f"{kilobytes:,.0f} kB" if kilobytes < 1000 else f"{kilobytes / 1000:,.1f} MB"  # noqa: PLR2004
