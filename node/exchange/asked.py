"""What every use case of the responding side asks of a request: who asks, and whether they may."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from node.errors import OurFault
from node.exchange.outcomes import Ending
from node.exchange.own_node import OwnNode
from node.exchange.ports import Asker, Inbound, RecordSource, Refusal
from node.model import HomeCommunityId, Outcome, PatientId
from node.policy.decide import Decision, InboundFacts, PartyFacts, decide_inbound
from node.policy.opt_out import OptOuts
from node.policy.purposes import PurposeRegister


def asker_of(inbound: Inbound) -> Asker:
    """Who asks; a refused request must not have come this far."""
    if isinstance(inbound.asker, Refusal):
        raise OurFault("internal-error", "A refused request reached a use case.")
    return inbound.asker


def declined(decision: Decision) -> Ending:
    """The ending of a request that policy refuses."""
    return Ending(outcome=Outcome.DECLINED, reason=decision.reason, sentence=decision.sentence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Decides about requests.

    Attributes:
        own: this node.
        records: what we hold, for the identifiers of a person.
        purposes: those in force.
        opt_outs: gives the list that is in force at the moment of the call.
    """

    own: OwnNode
    records: RecordSource
    purposes: PurposeRegister
    opt_outs: Callable[[], OptOuts]

    def decide(
        self,
        asker: Asker,
        inbound: Inbound,
        addressed: frozenset[HomeCommunityId] = frozenset(),
        *,
        opted_out: bool = False,
    ) -> Decision:
        """What policy says of a request."""
        entry = asker.entry
        return decide_inbound(
            InboundFacts(
                transaction=inbound.transaction,
                purpose=asker.principal.purpose,
                asker=PartyFacts(
                    active=entry.active,
                    suspended=entry.suspended,
                    initiates=entry.initiates,
                    unsigned_refused=entry.unsigned_refused,
                ),
                own_responds=self.own.responds(),
                own_communities=frozenset([self.own.home_community_id]),
                addressed=addressed,
                opted_out=opted_out,
            ),
            self.purposes,
        )

    async def opted_out(self, patients: Iterable[PatientId]) -> frozenset[PatientId]:
        """Those of some patients who asked not to share."""
        opt_outs = self.opt_outs()
        if not opt_outs.identifiers:
            return frozenset()
        return frozenset(
            [
                patient
                for patient in patients
                if opt_outs.any_of((patient, *await self.records.identifiers(patient)))
            ]
        )
