"""``tefca-node anchor``: whose certificates we accept. Nothing else is trusted, no system store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.home import opened
from node.cli.output import JsonOption, print_json, print_table, say
from node.identity import network_anchors
from trust.anchors import ALL_USES, add_anchor, remove_anchor
from trust.certificates import describe, load_certificates
from trust.usages import Usage

app = typer.Typer(help="The CAs of the networks we belong to.", no_args_is_help=True)


@app.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="PEM with one or more CA certificates.")],
    label: Annotated[str, typer.Option(help="What people call it.")] = "",
    network: Annotated[str, typer.Option(help="The network it speaks for.")] = "tefca",
    use: Annotated[
        list[Usage] | None, typer.Option(help="What it may vouch for; default: everything.")
    ] = None,
) -> None:
    """Trust a CA. Compare the fingerprint with its owner first, over another channel."""
    home, _, _ = opened(context)
    for certificate in load_certificates(file):
        described = describe(certificate)
        anchor = add_anchor(
            home.anchors,
            certificate,
            label=label or described.common_name or described.subject,
            network=network,
            now=datetime.now(UTC),
            uses=tuple(use) if use else ALL_USES,
        )
        say(f"The CA {anchor.label} is trusted for {', '.join(anchor.uses)}.")
        say(f"Its fingerprint is {anchor.fingerprint}; compare it with the owner's.")
    say("A running node takes it when it is started again.")


@app.command()
def remove(
    context: typer.Context,
    fingerprint: Annotated[str, typer.Argument(help="At least its first eight digits.")],
) -> None:
    """Stop trusting a CA."""
    home, _, _ = opened(context)
    anchor = remove_anchor(home.anchors, fingerprint)
    say(f"The CA {anchor.label} is no longer trusted.")
    say("A running node goes on trusting it until it is started again.")


@app.command("list")
def list_anchors(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the CAs we trust."""
    home, _, _ = opened(context)
    anchors = network_anchors(home)
    if as_json:
        print_json(
            [
                {
                    "label": anchor.label,
                    "network": anchor.network,
                    "uses": list(anchor.uses),
                    "added": anchor.added,
                    **describe(anchor.certificate).as_json(),
                }
                for anchor in anchors
            ]
        )
        return
    print_table(
        ("label", "network", "uses", "valid until", "fingerprint"),
        [
            (
                anchor.label,
                anchor.network,
                ", ".join(anchor.uses),
                f"{anchor.certificate.not_valid_after_utc:%Y-%m-%d}",
                anchor.fingerprint[:16],
            )
            for anchor in anchors
        ],
        empty="No CA is trusted, so no peer can be reached nor reach us. Next: anchor add FILE",
    )
