"""Whom a probe asks and for what purpose. Pure."""

from __future__ import annotations

from node.errors import SettingsError
from node.exchange.ports import PeerEntry
from node.model import Code, Principal, Transaction
from node.policy.decide import OutboundFacts, PartyFacts, decide_outbound
from node.policy.purposes import Duty, PurposeRegister
from node.probe.walk import ProbeTarget


def choose_purpose(
    asked: str,
    preferred: str,
    *,
    own_initiates: frozenset[str],
    responds: frozenset[str],
    register: PurposeRegister,
) -> Code:
    """The purpose to claim: any may be claimed for a synthetic patient (facts: tefca 4.12).

    Our own entry has to list it all the same (QTF-603), and the peer should answer it. Without
    one that is asked for it is ``preferred``, else the first of the register that fits both.

    Raises:
        SettingsError: ``purpose-missing`` when the purpose asked for is none in force.
    """
    if asked:
        chosen = register.by_code(asked)
        if chosen is None:
            known = ", ".join(register.purposes)
            raise SettingsError("purpose-missing", f"--purpose is none in force; one of {known}.")
        return chosen.code
    codes = [preferred, *register.purposes] if preferred in register.purposes else register.purposes
    query = [code for code in codes if register.purposes[code].duty is not Duty.PUSH_ONLY]
    own = [code for code in query if code in own_initiates]
    fitting = [code for code in own if not responds or code in responds]
    return register.purposes[next(iter(fitting or own or query))].code


def target_of(
    entry: PeerEntry,
    transaction: Transaction,
    asker: Principal,
    *,
    own_initiates: frozenset[str],
    register: PurposeRegister,
) -> ProbeTarget:
    """An entry with what our policy says of asking it, as it would be decided for a patient."""
    return ProbeTarget(
        entry=entry,
        transaction=transaction,
        asker=asker,
        decision=decide_outbound(
            OutboundFacts(
                purpose=asker.purpose,
                own_initiates=own_initiates,
                peer=PartyFacts(
                    active=entry.active,
                    suspended=entry.suspended,
                    initiates=entry.initiates,
                    responds=entry.responds.get(transaction, frozenset()),
                    unsigned_refused=entry.unsigned_refused,
                ),
            ),
            register,
        ),
    )
