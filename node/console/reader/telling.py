"""Reading a document, and entering once that it cannot be shown: its peer's scorecard counts that.

The entry names the retrieve's own entry, from which the count for the peer follows
(``governance.tallying``). What a FHIR server gave, inside a DocumentReference or behind its link,
came with no retrieve of ITI-39: it is not counted.
"""

from __future__ import annotations

from sqlalchemy import select

from node.console.clinic.request import ClinicRequest, FoundDocument
from node.console.parts import Visit
from node.governance.tallying import UNREADABLE_ACT
from node.ledger.trust_change import TrustChange
from node.storage.tables import ENTRY
from node.wire.reader.document import ReadableDocument, Unreadable
from node.wire.reader.read import read


def read_and_told(
    visit: Visit, asked: ClinicRequest, document: FoundDocument, data: bytes
) -> ReadableDocument | Unreadable:
    """What can be shown of a document; one that cannot, or whose body cannot, is entered."""
    found = read(data)
    documents = visit.console.clinic.documents
    content = found.content_hash if isinstance(found, ReadableDocument) else None
    documents.read(asked, document.number, content)
    problem = found.problem if isinstance(found, ReadableDocument) else found
    leg_id = documents.tell_once(asked, document.number) if problem is not None else None
    if problem is None or leg_id is None:
        return found
    with visit.console.engine.connect() as connection:
        query = select(ENTRY.c.seq).where(ENTRY.c.entry_id == leg_id)
        seq = connection.execute(query).scalar()
    if seq is not None:
        visit.console.recorder(visit.user).fact(
            TrustChange(
                act=UNREADABLE_ACT,
                home_community_id=document.home,
                reason=problem.reason,
                counts={"first": int(seq)},
                private={"exchange": asked.exchange_id, "request": asked.token},
            )
        )
    return found
