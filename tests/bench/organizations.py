"""Made-up directories: QHINs with participants below them, in the RCE form, the same every time."""

from __future__ import annotations

from collections.abc import Iterator

from directory.export import export_bundle
from directory.finding import Finding
from directory.model import Endpoint, Organization
from directory.rows import Row, rows_of_bundle

PURPOSE = "T-TRTMNT"
_BELOW = 500
_CONNECTIONS = {
    "ITI-55": "ihe-xcpd",
    "ITI-38": "ihe-xca",
    "ITI-39": "ihe-xca",
    "ITI-80": "ihe-xdr",
}


def hcid(number: int) -> str:
    """The home community id of an organisation of ``organizations``."""
    return f"urn:oid:{oid(number)}"


def oid(number: int) -> str:
    """The arc of an organisation, and its id in the directory."""
    return f"2.999.50.{number}"


def gateway(number: int) -> str:
    """The host of an organisation's endpoints: that of its QHIN, as in practice."""
    return f"gateway{number - number % _BELOW}.example"


def organization(number: int) -> Organization:
    """Every 500th is a QHIN; the others are participants, behind the gateway of the QHIN before."""
    qhin = number % _BELOW == 0
    above = oid(number - number % _BELOW)
    return Organization(
        id=oid(number),
        name=f"Made-up Health System {number}",
        type="QHIN" if qhin else "Participant",
        home_community_ids=(hcid(number),),
        assigning_authorities=(f"{oid(number)}.1",),
        part_of=None if qhin else above,
        managing_organization=None if qhin else above,
        initiates=frozenset({PURPOSE}),
        endpoints=tuple(
            Endpoint(
                id=f"e{number}-{transaction.lower()}",
                address=f"https://{gateway(number)}/{number}/{transaction.lower()}",
                transactions=frozenset({transaction}),
                responds=frozenset({PURPOSE}),
                connection_type=connection,
                status="active",
            )
            for transaction, connection in _CONNECTIONS.items()
        ),
    )


def rows(count: int, *more: Organization) -> Iterator[Row | Finding]:
    """``count`` organisations, then the given ones, as the rows of an import."""
    for number in range(count):
        yield from rows_of(organization(number))
    for each in more:
        yield from rows_of(each)


def rows_of(entry: Organization) -> Iterator[Row | Finding]:
    """An organisation as rows of an import."""
    return rows_of_bundle(export_bundle(entry))
