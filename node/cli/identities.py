"""How a command is told which of our identities it is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from node.identity import (
    Certified,
    FhirClient,
    FhirServer,
    Identity,
    LogKey,
    Role,
    parse_identity,
)
from node.policy.purposes import purpose_register

FHIR = "fhir"

IdentityArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROLE",
        help="server, client, saml, log, agreement, witness, fhir-server, or fhir-PURPOSE.",
    ),
]
CertifiedArgument = Annotated[
    str, typer.Argument(metavar="ROLE", help="server, client, saml, fhir-server, or fhir-PURPOSE.")
]
OptionalIdentity = Annotated[
    str | None,
    typer.Argument(metavar="[ROLE]", help="As in cert request; all if left out."),
]
PurposeOption = Annotated[
    list[str] | None,
    typer.Option("--purpose", help="With fhir: the purpose of exchange, e.g. T-TRTMNT."),
]


def identity_of(name: str) -> Identity:
    """The identity of a name.

    Raises:
        BadParameter: when there can be none, or no such purpose of exchange.
    """
    try:
        found = parse_identity(name)
    except ValueError as error:
        raise typer.BadParameter(
            f"{name!r} is not {', '.join((*Role, *LogKey, *FhirServer))}, or fhir- and a purpose."
        ) from error
    if isinstance(found, FhirClient) and found.purpose not in purpose_register().purposes:
        raise typer.BadParameter(f"{found.purpose!r} is not a purpose of exchange.")
    return found


def certified_of(name: str) -> Certified:
    """As ``identity_of``, for an identity with a certificate."""
    found = identity_of(name)
    if isinstance(found, LogKey):
        raise typer.BadParameter(f"The {found} key has no certificate.")
    return found


def signs_in_token(identity: Identity) -> bool:
    """Whether its key may be in a token: TLS stacks read files, and tokens seldom know Ed25519."""
    return isinstance(identity, FhirClient | FhirServer) or identity is Role.SAML


def requested(names: Iterable[str], purposes: Iterable[str]) -> tuple[Identity, ...]:
    """What ``cert request`` is about; without any name, what every node has.

    Raises:
        BadParameter: as ``identity_of``, and when names and purposes do not go together.
    """
    given, wanted = tuple(names), tuple(purposes)
    if (FHIR in given) != bool(wanted):
        raise typer.BadParameter("fhir needs --purpose, and --purpose needs fhir.")
    found: list[Identity] = []
    for name in given:
        clients = [f"{FHIR}-{purpose}" for purpose in wanted]
        found += map(identity_of, clients if name == FHIR else [name])
    return tuple(dict.fromkeys(found)) or tuple(Role)
