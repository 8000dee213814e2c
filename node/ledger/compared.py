"""What is compared of a log, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.ledger.log_files import LogFolder
from node.ledger.row_check import Counts
from node.ledger.sealer import Shard
from node.ledger.tlog.audit import MOST_FINDINGS, Finding
from node.ledger.tlog.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class YearLog:
    """One year's log as this node has it.

    Attributes:
        year: of its folder.
        folder: its files.
        shard: which log it is.
        policy: whose signatures are taken.
        memory: the checkpoint that ``signed/`` remembers.
        size: how many entries it has, as its files say.
    """

    year: int
    folder: LogFolder
    shard: Shard
    policy: Policy
    memory: bytes | None
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding, where it is: the year of the log and the entry's number, where it has one."""

    finding: Finding
    year: int | None = None
    seq: int | None = None


@dataclass(slots=True, kw_only=True)
class Compared:
    """What came of it; it grows while the log is read.

    ``more`` counts findings beyond ``MOST_FINDINGS``.
    """

    rows: Counts = field(default_factory=Counts)
    bundles: int = 0
    tiles: int = 0
    checkpoints: int = 0
    decisions: int = 0
    holds: int = 0
    findings: list[Found] = field(default_factory=list)
    more: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return not self.findings

    def add(self, found: Found) -> None:
        """Note a finding."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(found)
        else:
            self.more += 1

    def counts(self) -> dict[str, int]:
        """How many of each were compared."""
        return {
            "entries": self.rows.entries,
            "bundles": self.bundles,
            "tiles": self.tiles,
            "checkpoints": self.checkpoints,
            "private_groups": self.rows.groups,
            "groups_never_there": self.rows.groups_absent,
            "groups_erased": self.rows.groups_erased,
            "search_tokens": self.rows.tokens,
            "erasures": self.rows.erasures,
            "holds": self.holds,
            "decisions": self.decisions,
        }
