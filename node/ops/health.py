"""Is the node alive, and may it be sent requests?

``live`` says only that the event loop turns. ``ready`` runs the checks that the composition root
names (database writable, ledger not behind, directory loaded, certificates valid), each with a time
limit of its own; one that fails or hangs makes the node not ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from trust.errors import CodedError

_DEFAULT_SECONDS = 2.0


class Status(StrEnum):
    """Result of one check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found: a status, a sentence, and the next step where there is one."""

    status: Status
    sentence: str
    advice: str | None = None


Check = Callable[[], Awaitable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """All findings by the name of their check."""

    findings: Mapping[str, Finding]

    @property
    def ready(self) -> bool:
        """Whether every check ended as ``ok`` or ``warn``."""
        return all(f.status in (Status.OK, Status.WARN) for f in self.findings.values())


async def examine(checks: Mapping[str, Check], *, seconds: float = _DEFAULT_SECONDS) -> Health:
    """Run all checks side by side; each gets ``seconds``."""
    names = list(checks)
    findings = await asyncio.gather(*(_run(checks[name], seconds) for name in names))
    return Health(findings=dict(zip(names, findings, strict=True)))


async def _run(check: Check, seconds: float) -> Finding:
    try:
        async with asyncio.timeout(seconds):
            return await check()
    except TimeoutError:
        return Finding(status=Status.UNKNOWN, sentence=f"No result within {seconds:g} s.")
    except CodedError as error:
        return Finding(status=Status.FAIL, sentence=str(error), advice=error.advice)
    except Exception as error:  # noqa: BLE001 - outermost edge: a broken check is a finding
        return Finding(
            status=Status.FAIL, sentence=f"The check itself failed ({type(error).__name__})."
        )
