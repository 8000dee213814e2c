"""The section ``[audit]`` of ``node.toml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class AuditSection(BaseModel):
    """``[audit]``: the audit repository that a running node sends the log to; none if no ``host``.

    ``ca_file`` holds the CAs of the repository's own certificate, which must name ``host``.
    ``identity`` is whom we show ourselves as. With ``private`` false the messages name no user,
    patient, question or document. When more than ``lag_entries`` wait, the oldest are left out and
    a message says which. A message longer than ``message_bytes`` goes without its longest parts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = ""
    port: Annotated[int, Field(gt=0, le=65535)] = 6514
    ca_file: str = ""
    identity: Annotated[str, Field(pattern="^(client|server)$")] = "client"
    private: bool = True
    lag_entries: Annotated[int, Field(gt=0)] = 100_000
    message_bytes: Annotated[int, Field(ge=8192, le=16 * 1024 * 1024)] = 64 * 1024
    seconds: Annotated[float, Field(gt=0, le=60)] = 10
