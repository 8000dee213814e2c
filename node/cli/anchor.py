"""``tefca-node anchor``: whose certificates we accept. Nothing else is trusted, no system store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from node.cli.home import opened, recorded
from node.cli.output import JsonOption, print_json, print_table, say
from node.identity import network_anchors
from node.ledger.trust_change import TrustChange
from node.trust_changes import of_anchor, revocation_words
from trust.anchors import ALL_USES, Anchor, add_anchor, find_anchor, remove_anchor, set_revocation
from trust.certificates import describe, load_certificates
from trust.revocation_policy import ANCHOR_DEFAULT, RevocationPolicy, RevocationRule, Unknown
from trust.usages import Usage

app = typer.Typer(help="The CAs of the networks we belong to.", no_args_is_help=True)

PolicyOption = Annotated[
    RevocationPolicy | None, typer.Option("--revocation", help="How revocation is checked.")
]
UnknownOption = Annotated[
    Unknown | None, typer.Option(help="Whether a peer of whom nobody says a word is refused.")
]
GraceOption = Annotated[
    float | None, typer.Option(min=0, max=720, help="Hours for which a late CRL is stale only.")
]
ShortLivedOption = Annotated[
    float | None, typer.Option(min=0, max=90, help="Days of the longest life that is exempt.")
]


@app.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="PEM with one or more CA certificates.")],
    label: Annotated[str, typer.Option(help="What people call it.")] = "",
    network: Annotated[str, typer.Option(help="The network it speaks for.")] = "tefca",
    use: Annotated[
        list[Usage] | None, typer.Option(help="What it may vouch for; default: everything.")
    ] = None,
    revocation: PolicyOption = None,
    unknown: UnknownOption = None,
    grace: GraceOption = None,
    short_lived: ShortLivedOption = None,
) -> None:
    """Trust a CA. Compare the fingerprint with its owner first, over another channel."""
    home, _, _ = opened(context)
    for certificate in load_certificates(file):
        described = describe(certificate)
        name = label or described.common_name or described.subject
        uses = tuple(use) if use else ALL_USES
        rule = changed_rule(ANCHOR_DEFAULT, revocation, unknown, grace, short_lived)
        change = TrustChange(
            act="anchor-add",
            thing=described.fingerprint,
            uses=tuple(map(str, uses)),
            private={"label": name, "network": network, "revocation": revocation_words(rule)},
        )
        with recorded(context, change):
            anchor = add_anchor(
                home.anchors,
                certificate,
                label=name,
                network=network,
                now=datetime.now(UTC),
                uses=uses,
                revocation=rule,
            )
        say(f"The CA {anchor.label} is trusted for {', '.join(anchor.uses)}.")
        say(f"Its fingerprint is {anchor.fingerprint}; compare it with the owner's.")
    say("A running node takes it within seconds.")


@app.command("set")
def set_rule(
    context: typer.Context,
    fingerprint: Annotated[str, typer.Argument(help="At least its first eight digits.")],
    revocation: PolicyOption = None,
    unknown: UnknownOption = None,
    grace: GraceOption = None,
    short_lived: ShortLivedOption = None,
) -> None:
    """Change how revocation is checked below a CA; what no option names stays."""
    home, _, _ = opened(context)
    anchor = find_anchor(home.anchors, fingerprint)
    rule = changed_rule(anchor.revocation, revocation, unknown, grace, short_lived)
    with recorded(context, of_anchor("anchor-change", replace(anchor, revocation=rule))):
        set_revocation(home.anchors, anchor.fingerprint, rule)
    say(f"Below the CA {anchor.label} revocation is checked by {rule_words(rule)}.")
    say("A running node takes it within seconds.")


@app.command()
def remove(
    context: typer.Context,
    fingerprint: Annotated[str, typer.Argument(help="At least its first eight digits.")],
) -> None:
    """Stop trusting a CA."""
    home, _, _ = opened(context)
    anchor = find_anchor(home.anchors, fingerprint)
    with recorded(context, of_anchor("anchor-remove", anchor)):
        remove_anchor(home.anchors, anchor.fingerprint)
    say(f"The CA {anchor.label} is no longer trusted.")
    say(
        "Within seconds a running node answers and asks nobody under it, open connections included."
    )


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
                    "local": anchor.local,
                    "listed": anchor.listed,
                    "minimum_strength": anchor.strength,
                    "revocation": {
                        "policy": anchor.revocation.policy,
                        "unknown": anchor.revocation.unknown,
                        "grace_hours": anchor.revocation.grace / timedelta(hours=1),
                        "short_lived_days": anchor.revocation.short_lived / timedelta(days=1),
                    },
                    **describe(anchor.certificate).as_json(),
                }
                for anchor in anchors
            ]
        )
        return
    print_table(
        ("label", "network", "from", "uses", "revocation", "valid until", "fingerprint"),
        [
            (
                anchor.label,
                anchor.network,
                " and ".join(_origins(anchor)),
                ", ".join(anchor.uses),
                rule_words(anchor.revocation),
                f"{anchor.certificate.not_valid_after_utc:%Y-%m-%d}",
                anchor.fingerprint[:16],
            )
            for anchor in anchors
        ],
        empty="No CA is trusted, so no peer can be reached nor reach us. Next: anchor add FILE",
    )


def _origins(anchor: Anchor) -> list[str]:
    return [*(["here"] if anchor.local else []), *(["list"] if anchor.listed else [])]


def changed_rule(
    rule: RevocationRule,
    policy: RevocationPolicy | None,
    unknown: Unknown | None,
    grace: float | None,
    short_lived: float | None,
) -> RevocationRule:
    """A rule with what the options name in the place of what it said."""
    return replace(
        rule,
        policy=policy or rule.policy,
        unknown=unknown or rule.unknown,
        grace=rule.grace if grace is None else timedelta(hours=grace),
        short_lived=rule.short_lived if short_lived is None else timedelta(days=short_lived),
    )


def rule_words(rule: RevocationRule) -> str:
    """A rule in a few words."""
    return f"{rule.policy}, unknown {rule.unknown}, grace {rule.grace / timedelta(hours=1):g} h"
