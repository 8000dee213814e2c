"""``[ias]``: individuals who ask for their own records, and who may prove them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from node.settings_section import Section


class IasProvider(Section):
    """``[[ias.providers]]``: a credential service provider whose id_tokens count.

    ``jwks`` is a file in the node home, or the https address, of its public keys (JWKS). A provider
    has issuers of its own for production and for tests: ``environment`` says which this one is.
    """

    issuer: Annotated[str, Field(pattern="^[!-~]+$", max_length=256)]
    jwks: Annotated[str, Field(min_length=1, max_length=512)]
    environment: Literal["production", "test"] = "production"


class IasSection(Section):
    """``[ias]``.

    ``environment`` is that of the providers who count. ``mode`` is how a discovery for individual
    access is answered, as our directory entry declares it: ``match`` finds the person by
    demographics, ``endpoint`` names ``endpoint_id``, the directory id of the FHIR endpoint where
    the person signs in. ``token_minutes`` is how long an id_token may live at most.
    ``jwks_ca_file`` are the CAs (PEM), beside those of the system, of the providers' addresses.
    """

    providers: tuple[IasProvider, ...] = ()
    environment: Literal["production", "test"] = "production"
    mode: Literal["match", "endpoint"] = "match"
    endpoint_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{0,64}$")] = ""
    token_minutes: Annotated[int, Field(gt=0, le=1440)] = 60
    jwks_ca_file: str = ""
