"""Who may look for what is in a case: every filter that is typed at the console passes here."""

from __future__ import annotations

from node.console.parts import Visit
from node.errors import OurFault
from node.governance.case_reading import readable
from node.ledger.filter import LedgerFilter


def permitted(visit: Visit, chosen: LedgerFilter) -> LedgerFilter:
    """The filter, if what it asks of cases is for this person.

    A case that somebody may not read is refused like one that there is not.

    Raises:
        OurFault: ``filter-unreadable``.
    """
    if chosen.case is None:
        return chosen
    if not visit.may("cases"):
        raise OurFault("filter-unreadable", "Cases can be looked for by those who may see them.")
    asked = next(term.any_of for row, term in chosen.terms() if row.name == "case")
    known = readable(visit.console.engine, asked, reader=visit.mark)
    if missing := [number for number in asked if number not in known]:
        raise OurFault("filter-unreadable", f"There is no case {missing[0]} that you may see.")
    return chosen
