"""The settings of the health system's FHIR server, in front of which the node stands."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from node.settings_section import Section

_HTTPS = r"^(https://[!-~]*[!-.0-~])?$"


class UpstreamSection(Section):
    """``[upstream]``: a FHIR R4 server whose records the FHIR side serves instead of the folder's.

    ``url`` is its base address; empty: none. ``ca_file`` holds the CAs of its certificate. It is
    shown the bearer token of ``token_file``, or one that ``client_id`` gets at ``token_url`` with a
    statement signed by ``key_file`` (SMART Backend Services; the public key is registered there as
    ``key_id``), or none. ``seconds`` is for one call; a document may take four and a half times as
    long.
    """

    url: Annotated[str, Field(pattern=_HTTPS, max_length=256)] = ""
    ca_file: str = ""
    token_file: str = ""
    client_id: Annotated[str, Field(pattern="^[!-~]*$", max_length=256)] = ""
    token_url: Annotated[str, Field(pattern=_HTTPS, max_length=512)] = ""
    key_file: str = ""
    key_id: Annotated[str, Field(pattern="^[!-~]*$", max_length=128)] = ""
    scope: Annotated[str, Field(pattern="^[ -~]*$", max_length=4096)] = "system/*.rs"
    seconds: Annotated[float, Field(gt=0, le=10)] = 10

    @model_validator(mode="after")
    def _fit(self) -> UpstreamSection:
        """Settings that need each other."""
        if self.url and not self.ca_file:
            raise ValueError("url needs ca_file")
        client = (self.client_id, self.token_url, self.key_file, self.key_id)
        if any(client) and not all(client):
            raise ValueError("client_id, token_url, key_file and key_id go together")
        if any(client) and self.token_file:
            raise ValueError("token_file and client_id exclude each other")
        return self
