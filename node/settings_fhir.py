"""The settings of the FHIR side."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from typing import Annotated

from pydantic import Field

from node.settings_section import Section


@lru_cache
def fhir_data() -> dict[str, dict[str, str]]:
    """The fixed names of the FHIR side."""
    return tomllib.loads(resources.files("node").joinpath("data/fhir.toml").read_text("utf-8"))


class FhirSection(Section):
    """``[fhir]``: the FHIR side, on a listener of its own: its clients come without certificates.

    ``public_url`` is its base address, letter by letter as in our metadata and our certificate.
    ``communities`` gives the URI of the trust community that the anchors of a network make.
    ``certifications`` are the certifications of which a client must bring one.
    ``contact`` is the ``mailto:`` address under which we register at others.
    ``consent`` names, per purpose, the consent policies of which a client must name one, and
    ``consent_form`` the address of the form for it. ``token_minutes`` is how long tokens live.
    ``jwks_ca_file`` are the CAs (PEM), beside those of the system, of the addresses where our own
    clients publish their keys.
    ``network_hours`` is how long our own systems can use what they were told of the network:
    patients, found documents and links to documents.
    """

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8446
    public_url: Annotated[str, Field(pattern=r"^https://[!-~]*[!-.0-~]$", max_length=256)] = (
        "https://localhost:8446/fhir"
    )
    communities: dict[str, Annotated[str, Field(pattern="^[!-~]+$", max_length=512)]] = Field(
        default=fhir_data()["communities"]
    )
    certifications: tuple[str, ...] = (fhir_data()["certifications"]["basic_app"],)
    contact: Annotated[str, Field(pattern="^(mailto:[!-~]+@[!-~]+)?$", max_length=256)] = ""
    consent: dict[str, tuple[str, ...]] = {}  # noqa: RUF012  pydantic copies it
    consent_form: str = ""
    token_minutes: Annotated[int, Field(gt=0, le=60)] = 60
    jwks_ca_file: str = ""
    network_hours: Annotated[int, Field(gt=0, le=72)] = 8
