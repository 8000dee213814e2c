"""Documents that are pushed to another community (ITI-80): what is sent, before and while it is.

One delivery is one submission about one patient (facts: tefca 4.7): it carries the person as we
know them, and the recipient's own id of the person where we know it. The same delivery may be sent
to several communities; each takes it whole or not at all and says so, and that answer is the leg's
outcome.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from node.model import DocumentEntry, PatientId
from node.wire.submission_set import SubmissionSet


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingDocument:
    """A document on its way out: its entry with size and hash, and its bytes, anew at each call.

    ``sha256`` (hex) goes into the private record: what was disclosed can be compared later.
    """

    entry: DocumentEntry
    sha256: str
    chunks: Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A submission with its documents."""

    submission_set: SubmissionSet
    documents: tuple[OutgoingDocument, ...]

    @property
    def size(self) -> int:
        """Bytes of all documents."""
        return sum(document.entry.size or 0 for document in self.documents)

    def about(self, patient_id: PatientId | None) -> Delivery:
        """The same about a person whom the recipient calls ``patient_id``; ``None`` leaves it out.

        An id of ours would say nothing to the recipient, and IHE leaves patientId out in XCDR.
        """
        return replace(
            self,
            submission_set=replace(self.submission_set, patient_id=patient_id),
            documents=tuple(
                replace(each, entry=replace(each.entry, patient_id=patient_id))
                for each in self.documents
            ),
        )
