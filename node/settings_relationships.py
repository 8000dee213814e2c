"""The sections ``[relationships]`` and ``[encounters]`` of ``node.toml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from node.settings_section import Section

_Contact = Annotated[str, Field(max_length=200)]


class RelationshipsSection(Section):
    """``[relationships]``: who of ours may ask about whom, and whom they call.

    With ``required``, a person at the console asks other organisations about a patient only where
    the encounters show a treatment relationship, or breaks the glass for ``break_glass_minutes``;
    the case about that is due after ``review_days`` business days. ``rules_file`` replaces the
    rules that ship. ``help_desk`` and ``privacy_officer`` are shown as they are.
    """

    required: bool = False
    rules_file: str = ""
    break_glass_minutes: Annotated[int, Field(ge=5, le=1440)] = 120
    review_days: Annotated[int, Field(ge=1, le=30)] = 2
    help_desk: _Contact = ""
    privacy_officer: _Contact = ""


class EncountersSection(Section):
    """``[encounters]``: where the facts of encounters come from.

    ``authorities`` maps namespaces of ADT messages to OIDs of assigning authorities;
    ``default_authority`` is that of identifiers which name none; ``time_zone`` (IANA) is that of
    times without an offset. With a ``host`` the node listens
    for MLLP; ``tls`` wants a certificate of a local client. Without ``tls`` an address that other
    machines reach needs ``allow_plain``. Encounters are deleted ``keep_days`` after their end.
    """

    host: str = ""
    port: Annotated[int, Field(ge=0, le=65535)] = 2575
    tls: bool = False
    allow_plain: bool = False
    connections: Annotated[int, Field(gt=0, le=1000)] = 20
    message_bytes: Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)] = 1024 * 1024
    idle_seconds: Annotated[float, Field(gt=0, le=86_400)] = 600
    authorities: dict[str, str] = {}  # noqa: RUF012  pydantic copies it
    default_authority: Annotated[str, Field(pattern=r"^([0-2](\.(0|[1-9][0-9]*))+)?$")] = ""
    time_zone: str = "UTC"
    keep_days: Annotated[int, Field(ge=1, le=3660)] = 400
