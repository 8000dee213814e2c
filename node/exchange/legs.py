"""The legs of the four IHE transactions: what is asked, how it ends, what is entered of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from node.exchange import private
from node.exchange.deliver import Delivery
from node.exchange.leg_runner import Asking, LegResult, LegRunner, Question
from node.exchange.outcomes import Ending, of_delivery, of_discovery, of_query, of_retrieve
from node.exchange.ports import Call, Inbox, PeerEntry, Peers, Trace
from node.model import (
    DeliveryAnswer,
    DiscoveryAnswer,
    DocumentRef,
    PatientId,
    PatientQuery,
    Principal,
    PrivateFacts,
    QueryAnswer,
    RetrieveAnswer,
    StoredQuery,
    Transaction,
)
from node.policy.decide import Decision

Answer = TypeVar("Answer")


class Legs:
    """Runs legs over the peers it is given."""

    def __init__(self, *, runner: LegRunner, peers: Peers) -> None:
        """``runner`` decides, waits and enters; ``peers`` are asked."""
        self._runner = runner
        self._peers = peers

    def may_ask(self, principal: Principal, *, delivers: bool = False) -> Decision:
        """As ``LegRunner.may_ask``."""
        return self._runner.may_ask(principal, delivers=delivers)

    async def discover(
        self, asking: Asking, entry: PeerEntry, query: PatientQuery
    ) -> LegResult[DiscoveryAnswer]:
        """ITI-55 with one peer."""
        peer = entry.peer(Transaction.ITI_55)

        def facts(answer: DiscoveryAnswer | None) -> PrivateFacts:
            return PrivateFacts(
                who=private.of_principal(asking.principal),
                query=private.of_demographics(query.demographics),
                patient=private.of_matches(answer.matches if answer else ()),
            )

        return await self._runner.run(
            asking,
            entry,
            _question(
                entry,
                Transaction.ITI_55,
                send=lambda call, trace: self._peers.discover(peer, query, call, trace),
                ending=of_discovery,
                facts=facts,
            ),
        )

    async def find(
        self, asking: Asking, entry: PeerEntry, query: StoredQuery, patient_id: PatientId | None
    ) -> LegResult[QueryAnswer]:
        """ITI-38 with one peer."""
        peer = entry.peer(Transaction.ITI_38)

        def facts(answer: QueryAnswer | None) -> PrivateFacts:
            return PrivateFacts(
                who=private.of_principal(asking.principal),
                query=private.of_stored_query(query),
                patient=private.of_patients([patient_id] if patient_id else []),
                docs=private.of_entries(answer.documents if answer else ()),
            )

        return await self._runner.run(
            asking,
            entry,
            _question(
                entry,
                Transaction.ITI_38,
                send=lambda call, trace: self._peers.find(peer, query, call, trace),
                ending=of_query,
                facts=facts,
                patient_id=patient_id,
            ),
        )

    async def retrieve(
        self,
        asking: Asking,
        entry: PeerEntry,
        refs: Sequence[DocumentRef],
        inbox: Inbox,
        patient_id: PatientId | None,
    ) -> LegResult[RetrieveAnswer]:
        """ITI-39 with one peer: one request for all of ``refs``."""
        peer = entry.peer(Transaction.ITI_39)

        def facts(answer: RetrieveAnswer | None) -> PrivateFacts:
            return PrivateFacts(
                who=private.of_principal(asking.principal),
                query=private.of_refs(refs),
                patient=private.of_patients([patient_id] if patient_id else []),
                docs=private.of_retrieved(answer.documents if answer else ()),
            )

        return await self._runner.run(
            asking,
            entry,
            _question(
                entry,
                Transaction.ITI_39,
                send=lambda call, trace: self._peers.retrieve(peer, refs, call, trace, inbox),
                ending=lambda answer: of_retrieve(answer, asked=len(refs)),
                facts=facts,
                patient_id=patient_id,
            ),
        )

    async def deliver(
        self, asking: Asking, entry: PeerEntry, delivery: Delivery
    ) -> LegResult[DeliveryAnswer]:
        """ITI-80 with one peer: one submission."""
        peer = entry.peer(Transaction.ITI_80)
        known = delivery.submission_set.patient_id
        sent = [document.entry for document in delivery.documents]
        people = {p for e in sent for p in (e.patient_id, e.source_patient_id, known) if p}

        def facts(_answer: DeliveryAnswer | None) -> PrivateFacts:
            return PrivateFacts(
                who=private.of_principal(asking.principal),
                query=private.of_submission(delivery.submission_set),
                patient=private.of_patients(people),
                docs=private.of_outgoing(delivery.documents),
            )

        return await self._runner.run(
            asking,
            entry,
            _question(
                entry,
                Transaction.ITI_80,
                send=lambda call, trace: self._peers.deliver(peer, delivery, call, trace),
                ending=lambda answer: of_delivery(answer, sent=len(sent)),
                facts=facts,
                patient_id=known,
            ),
        )


def _question(
    entry: PeerEntry,
    transaction: Transaction,
    *,
    send: Callable[[Call, Trace], Awaitable[Answer]],
    ending: Callable[[Answer], Ending],
    facts: Callable[[Answer | None], PrivateFacts],
    patient_id: PatientId | None = None,
) -> Question[Answer]:
    has_route = transaction in entry.addresses
    return Question(
        step=transaction,
        peer=entry.peer(transaction),
        responds=entry.responds.get(transaction, frozenset()),
        no_route=None
        if has_route
        else f"The directory has no address of this community for {transaction}.",
        send=send,
        ending=ending,
        private=facts,
        patient_id=patient_id,
    )
