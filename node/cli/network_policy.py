"""``tefca-node network anchor`` and ``network policy``: what a network's registrar decides."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.cli.anchor import (
    GraceOption,
    PolicyOption,
    ShortLivedOption,
    UnknownOption,
    changed_rule,
    rule_words,
)
from node.cli.output import JsonOption, print_json, print_table, say
from trust.certificates import fingerprint, load_certificates
from trust.chain import Strength
from trust.errors import TrustError
from trust.network_list.listing import NetworkPolicy, policy_json
from trust.network_list.registrar import add_anchor, anchors_of, remove_anchor, set_policy
from trust.network_list.workspace import Workspace
from trust.revocation_policy import ANCHOR_DEFAULT, rule_table
from trust.usages import PARTNER_USES, Usage

anchors = typer.Typer(help="The CAs that the list makes members trust.", no_args_is_help=True)
policy = typer.Typer(help="What the list demands of members.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The network's folder.")]
_SIGN = "The holders of the targets role must sign that: network sign, network publish."


@anchors.command()
def add(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="What the list calls it: letters, digits, hyphens.")],
    file: Annotated[Path, typer.Argument(help="PEM of the CA's certificate.")],
    use: Annotated[
        list[Usage] | None, typer.Option(help="What it may vouch for; default: everything.")
    ] = None,
    revocation: PolicyOption = None,
    unknown: UnknownOption = None,
    grace: GraceOption = None,
    short_lived: ShortLivedOption = None,
) -> None:
    """List a CA: members trust it for the list's entries once each has approved the change."""
    certificates = load_certificates(file)
    if len(certificates) != 1:
        raise TrustError("network-anchor-invalid", "An anchor is one certificate.", where=str(file))
    anchor = add_anchor(
        Workspace(folder),
        name,
        certificates[0],
        now=datetime.now(UTC),
        uses=tuple(use) if use else PARTNER_USES,
        revocation=changed_rule(ANCHOR_DEFAULT, revocation, unknown, grace, short_lived),
    )
    say(f"The CA {anchor.name} will be listed for {', '.join(anchor.terms.uses)}.")
    say(f"Its fingerprint is {fingerprint(anchor.certificate)}; compare it with the owner's.")
    say(_SIGN)


@anchors.command()
def remove(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="Its name in the list, or its fingerprint.")],
) -> None:
    """Take a CA from the list. To take its power away at once, `network deny` its certificate."""
    anchor = remove_anchor(Workspace(folder), name)
    if anchor is None:
        say("The network has no such CA; nothing was changed.")
        return
    say(f"The CA {anchor.name} leaves the list. {_SIGN}")


@anchors.command("list")
def list_anchors(folder: Folder, as_json: JsonOption = False) -> None:
    """List the CAs that the list will have."""
    found = anchors_of(Workspace(folder))
    if as_json:
        print_json(
            [
                {
                    "name": anchor.name,
                    "fingerprint": fingerprint(anchor.certificate),
                    "uses": anchor.terms.uses,
                    "revocation": rule_table(anchor.terms.revocation),
                }
                for anchor in found
            ]
        )
        return
    print_table(
        ("name", "uses", "revocation", "valid until", "fingerprint"),
        [
            (
                anchor.name,
                ", ".join(anchor.terms.uses),
                rule_words(anchor.terms.revocation),
                f"{anchor.certificate.not_valid_after_utc:%Y-%m-%d}",
                fingerprint(anchor.certificate)[:16],
            )
            for anchor in found
        ],
        empty="The list has no CA; members trust those that they add themselves.",
    )


@policy.command("set")
def set_values(
    folder: Folder,
    minimum_strength: Annotated[
        Strength | None, typer.Option(help="warn or deny for keys below 128 bits of strength.")
    ] = None,
    purpose: Annotated[
        list[str] | None, typer.Option(help="A purpose in use; all others count for nobody.")
    ] = None,
    any_purpose: Annotated[
        bool, typer.Option("--any-purpose", help="Restrict no purpose.")
    ] = False,
) -> None:
    """Change the policy; what no option names stays. Terms of a CA are set where it is added."""
    if purpose and any_purpose:
        raise typer.BadParameter("Name --purpose or --any-purpose, not both.")
    changed = set_policy(
        Workspace(folder),
        minimum_strength=minimum_strength,
        purposes=() if any_purpose else purpose,
    )
    _tell(changed)
    say(_SIGN)


@policy.command()
def show(folder: Folder, as_json: JsonOption = False) -> None:
    """Show the policy that the list will have."""
    found = Workspace(folder).policy()
    if as_json:
        print_json(policy_json(found))
    else:
        _tell(found)


def _tell(found: NetworkPolicy) -> None:
    say(f"{found.network}: keys below 128 bits of strength: {found.minimum_strength}.")
    say(f"Purposes in use: {', '.join(found.purposes) or 'all'}.")
