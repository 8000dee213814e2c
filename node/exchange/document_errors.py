"""What is wrong with a question for documents, as registry errors of our community."""

from __future__ import annotations

from dataclasses import dataclass, replace

from node.model import DocumentRef, HomeCommunityId, RegistryError
from node.policy.decide import Decision
from node.policy.reasons import reason
from node.wire.retrieve import check_document_ref


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentErrors:
    """Makes them in our name."""

    own: HomeCommunityId
    repository_unique_id: str

    def unservable(self, ref: DocumentRef) -> RegistryError | None:
        """What is wrong with one document request (ITI TF-2 3.39.4.1.3, 3.43.4.1.3)."""
        wrong = check_document_ref(ref, [self.own])
        if wrong is not None:
            return replace(wrong, location=self.own)
        if ref.repository_unique_id.removeprefix("urn:oid:") != self.repository_unique_id:
            return self.about("XDSUnknownRepositoryId", ref)
        return None

    def about(self, code: str, ref: DocumentRef) -> RegistryError:
        """An error about one document."""
        return RegistryError(code=code, context=ref.document_unique_id, location=self.own)

    def of_policy(self, decision: Decision, about: str | None = None) -> RegistryError:
        """What policy said, about a document or the whole question."""
        row = reason(decision.reason or "")
        context = f"{row.sentence} [{row.code}]"
        return RegistryError(
            code=row.xds,
            context=f"{about}: {context}" if about else context,
            location=self.own,
        )
