"""``tefca-node log``: the exchange log. Each command loads what it needs, and no more."""

from __future__ import annotations

import typer

from node.cli.on_demand import group_of

_COMMANDS = {
    "find": "Find entries, newest first; every condition given must hold.",
    "show": ("Show one entry whole, its private part opened, and whether the two belong together."),
    "tail": (
        "Show the newest entries, oldest of them first; with --follow, JSON is one entry a line."
    ),
    "verify": (
        "Check a sealed log: every entry is hashed again. Needs no node and no secret of one."
    ),
    "verify-packet": (
        "Check a packet of evidence: its digests, and that the log has its entries; 1 when not so."
    ),
    "prove": (
        "Write a C2SP tlog-proof that an entry is in the log, for whoever has our verifier key."
    ),
    "checkpoint": (
        "Show the newest checkpoint, the key by which others check it, and who witnessed it."
    ),
    "export": "Write entries to a file for others, with a manifest; the export is an entry itself.",
    "fsck": (
        "Compare database, sealed files and private records: every entry, 1 if anything differs."
    ),
    "erase": (
        "Destroy private groups of entries for good; entries, proofs and the sealed log stay."
    ),
    "hold": "Legal holds: entries that must not be erased.",
    "retain": "Drop entries that are older than they have to be kept.",
    "witness": "Witnesses: those who sign our log's checkpoints, and whose we sign.",
    "reconcile": "Compare our log with a peer's about one day; 1 when they differ.",
    "review": "What somebody has to look into.",
    "promise": "Log promises that peers gave us.",
    "tally": "Count what is new for peers' scorecards, as a running node does; or all of it anew.",
}
_MODULES = {
    "find": "log_entries",
    "show": "log_entries",
    "tail": "log_entries",
    "verify-packet": "log_packet",
    "prove": "log_proof",
    "checkpoint": "log_proof",
}

app = typer.Typer(
    cls=group_of(_COMMANDS, {name: _MODULES.get(name, f"log_{name}") for name in _COMMANDS}),
    help="The exchange log of this node.",
    no_args_is_help=True,
)


@app.callback()
def group() -> None:
    """The exchange log of this node."""
