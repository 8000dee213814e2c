"""Our own directory entry, as our settings describe it, for others to import."""

from __future__ import annotations

from urllib.parse import urljoin

from directory.model import Endpoint, Organization
from node.errors import SettingsError
from node.model import Transaction
from node.policy.purposes import Duty, PurposeRegister
from node.settings import Settings

_CONNECTIONS = {
    Transaction.ITI_55: "ihe-xcpd",
    Transaction.ITI_38: "ihe-xca",
    Transaction.ITI_39: "ihe-xca",
    Transaction.ITI_80: "ihe-xdr",
}


def own_organization(settings: Settings, register: PurposeRegister) -> Organization:
    """The entry: our endpoints, what we ask and what we answer for.

    Raises:
        SettingsError: ``settings-invalid`` for a purpose that is not in force.
    """
    node, policy = settings.node, settings.policy
    for code in (*policy.initiates, *policy.responds):
        if register.by_code(code) is None:
            known = ", ".join(register.purposes)
            raise SettingsError(
                "settings-invalid", f"policy: {code} is no exchange purpose; there are: {known}."
            )
    queried = {c for c, p in register.purposes.items() if p.duty is not Duty.PUSH_ONLY}
    responds = frozenset(policy.responds or queried)
    # what may only be pushed is taken like everything else, unless the settings say otherwise
    taken = frozenset(policy.responds or register.purposes)
    return Organization(
        id=node.organization_id,
        name=node.name,
        type=node.organization_type,
        npis=(node.npi,) if node.npi else (),
        home_community_ids=(node.home_community_id,),
        assigning_authorities=(node.assigning_authority,),
        initiates=frozenset(policy.initiates),
        endpoints=(
            *(
                Endpoint(
                    id=f"{transaction.value.lower()}",
                    address=address(settings, transaction),
                    transactions=frozenset({transaction.value}),
                    responds=taken if transaction is Transaction.ITI_80 else responds,
                    connection_type=_CONNECTIONS[transaction],
                    status="active",
                    name=transaction.full_name,
                )
                for transaction in Transaction
            ),
            *((_fhir_endpoint(settings, responds),) if settings.fhir.enabled else ()),
        ),
    )


def _fhir_endpoint(settings: Settings, responds: frozenset[str]) -> Endpoint:
    return Endpoint(
        id="fhir",
        address=settings.fhir.public_url,
        transactions=frozenset({"FHIR"}),
        responds=responds,
        connection_type="hl7-fhir-rest",
        status="active",
        version="4.0.1",
        name="FHIR R4",
    )


def address(settings: Settings, transaction: Transaction) -> str:
    """The URL under which we answer a transaction."""
    listen = settings.listen
    paths = {
        Transaction.ITI_55: listen.discovery_path,
        Transaction.ITI_38: listen.query_path,
        Transaction.ITI_39: listen.retrieve_path,
        Transaction.ITI_80: listen.provide_path,
    }
    return urljoin(listen.public_url, paths[transaction])
