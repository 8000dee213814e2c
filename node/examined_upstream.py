"""Whether the health system's FHIR server can be used, for ``doctor``."""

from __future__ import annotations

from node.errors import SettingsError
from node.examined import Examined
from node.fhir_upstream import opened_upstream
from node.ops.health import Status
from node.peers.upstream.asking import Asking
from node.settings import NodeHome, Settings
from node.wire.fhir.offer import offered
from node.wire.fhir.problem import FhirProblem

_CHECK = "FHIR upstream"
_NOBODY = "tefca-node-doctor"
"""An id that no Patient has: it is asked for to see whether we are admitted."""


async def examine_upstream(home: NodeHome, settings: Settings) -> list[Examined]:
    """Ask it what it offers, and whether it admits us; nothing where the settings name none."""
    if not settings.upstream.url:
        return []
    try:
        async with opened_upstream(home, settings) as client:
            offer = offered(await client.metadata())
            await Asking(client).read("Patient", _NOBODY)
    except (FhirProblem, SettingsError) as error:
        detail = f" ({error.detail})" if error.detail else ""
        return [
            Examined(
                check=_CHECK,
                status=Status.FAIL,
                sentence=error.sentence + detail,
                next_step=error.advice,
            )
        ]
    searched = sorted(name for name, type_ in offer.items() if type_.search)
    if "Patient" not in searched:
        return [
            Examined(
                check=_CHECK,
                status=Status.WARN,
                sentence="It does not search Patients as US Core wants; $match finds nobody.",
                next_step="Compare its metadata with the search parameters of US Core.",
            )
        ]
    return [
        Examined(
            check=_CHECK,
            status=Status.OK,
            sentence=f"It admits us; {len(offer)} types can be read, {len(searched)} searched.",
        )
    ]
