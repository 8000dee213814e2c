"""``tefca-node cert status|switch|retire|plan``: versions of our identities, and what runs out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from node.cli.exits import Exit
from node.cli.home import opened, recorded
from node.cli.identities import IdentityArgument, OptionalIdentity, identity_of
from node.cli.output import JsonOption, counted, note, print_json, print_table, say
from node.identity import Certified, Identity, LogKey, Role, all_identities, version_files
from node.identity_store import changing, end, make_live, versions
from node.ledger.trust_change import TrustChange
from node.log_keys import try_log_key, waiting_log_key
from node.renewal import switch as switch_identity
from node.setup import own_host
from node.trust_changes import of_identity
from trust.certificates import load_certificates
from trust.errors import TrustError
from trust.expiry import Due, calendar
from trust.lifecycle import MAX_REASON, TRANSITIONS, IdentityRecord, State, Verb, of_version

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would change; do nothing.")]

_NEXT = {
    State.KEY_GENERATED: "cert request",
    State.CSR_ISSUED: "have it issued, then cert import",
    State.STAGED: "its trial failed: cert import another, or cert retire",
    State.VERIFIED: "peers pin its key, then cert switch",
    State.RETIRING: "cert retire, once peers have forgotten it",
}


def status(
    context: typer.Context,
    role: OptionalIdentity = None,
    as_json: JsonOption = False,
) -> None:
    """Show every version of our identities: where it stands, and what comes next."""
    home, _, _ = opened(context)
    now = datetime.now(UTC)
    found = [
        (each, record)
        for each in ((identity_of(role),) if role else all_identities(home))
        for record in versions(home, each, now=now)
    ]
    if as_json:
        print_json([_as_json(each, record) for each, record in found])
        return
    print_table(
        ("role", "version", "state", "since", "valid until", "key (SPKI SHA-256)", "next"),
        [
            (
                each,
                record.version,
                record.state,
                _day(record.since),
                _day(record.not_after),
                record.spki_sha256,
                _NEXT.get(record.state),
            )
            for each, record in found
        ],
        empty="There is no identity yet: tefca-node cert request makes them.",
    )


def switch(
    context: typer.Context,
    role: IdentityArgument,
    version: Annotated[
        int | None, typer.Option(help="Which one; the newest that waits if left out.")
    ] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Put a version in use, after a trial handshake; one that retires can be taken back so."""
    identity = identity_of(role)
    if isinstance(identity, LogKey):
        _switch_log_key(context, identity, version, dry_run=dry_run)
    else:
        put_in_use(context, identity, version, dry_run=dry_run)


def _switch_log_key(
    context: typer.Context, name: LogKey, version: int | None, *, dry_run: bool
) -> None:
    home, settings, _ = opened(context)
    now = datetime.now(UTC)
    chosen = waiting_log_key(home, name, version=version, now=now)
    chosen.after(Verb.ACTIVATE, now=now)
    change = of_identity("identity-switch", name, chosen)
    with recorded(context, change, dry_run=dry_run) as made:
        finding = try_log_key(home, settings, name, chosen)
        if finding is not None:
            made.refuse(finding.code)
        elif not dry_run:
            with changing(home, name, now=now):
                make_live(home, name, chosen.version, now=now)
    if finding is not None:
        note(f"Refused: {finding.sentence} ({finding.code})")
        note("Nothing was changed.")
        raise typer.Exit(Exit.NOT_GOOD)
    if dry_run:
        say(f"Version {chosen.version} of the {name} key would be put in use.")
        say("Nothing was changed.")
        return
    say(f"Version {chosen.version} of the {name} key is in use; the one before signs beside it.")
    say(f"Next, once whoever checks with it knows it: tefca-node cert retire {name} --version N.")


def put_in_use(
    context: typer.Context, role: Certified, version: int | None, *, dry_run: bool
) -> None:
    """Switch, and say what changed.

    Raises:
        TrustError: when there is nothing to switch to, or files cannot be used.
        Exit: when the trial failed.
    """
    home, settings, _ = opened(context)
    host = own_host(settings) if role is Role.SERVER else None
    now = datetime.now(UTC)
    change = TrustChange(act="identity-switch", role=role.value, version=version)
    with recorded(context, change, dry_run=dry_run) as made:
        done = switch_identity(
            home, settings, role, version=version, host=host, now=now, dry_run=dry_run
        )
        record = of_version(versions(home, role, now=now), done.after)
        made.add(of_identity("identity-switch", role, record))
        if done.refusal is not None:
            made.refuse(done.refusal.code)
    if done.refusal is not None:
        note(f"Refused: {done.refusal.sentence} ({done.refusal.code})")
        note("Nothing was changed.")
        raise typer.Exit(Exit.NOT_GOOD)
    if dry_run:
        say(f"Version {done.after} of the {role} identity would be put in use.")
        say("Nothing was changed.")
        return
    files = version_files(home, role, done.after)
    until = load_certificates(files.certificate)[0].not_valid_after_utc
    say(f"The {role} certificate is now {files.certificate}, valid until {until:%Y-%m-%d}.")
    if done.before is not None:
        say(
            f"Version {done.before} is retiring: cert switch {role} --version {done.before} takes "
            f"it back, cert retire {role} --version {done.before} deletes its key."
        )
    say("A running node takes it within seconds; tefca-node doctor tells what it serves.")


def retire(
    context: typer.Context,
    role: IdentityArgument,
    version: Annotated[int, typer.Option(help="Which one; cert status shows them.")],
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Its key may be in other hands.")
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """End a version and delete its private key; it never comes back."""
    home, _, _ = opened(context)
    identity = identity_of(role)
    now, verb = datetime.now(UTC), Verb.COMPROMISE if compromised else Verb.RETIRE
    reason = reason[:MAX_REASON]
    before = of_version(versions(home, identity, now=now), version)
    if verb not in TRANSITIONS[before.state] and before.state is State.ACTIVE:
        raise TrustError(
            "lifecycle-refused", f"Version {version} is in use: switch to another one first."
        )
    if dry_run:
        before.after(verb, now=now)
        say(f"Version {version} of the {role} identity would be {verb}d and its key deleted.")
        say("Nothing was changed.")
        return
    act = "identity-compromise" if compromised else "identity-retire"
    change = of_identity(act, identity, replace(before, reason=reason))
    with recorded(context, change), changing(home, identity, now=now):
        ended = end(home, identity, version, verb, reason=reason, now=now)
    say(f"Version {version} of the {role} identity is {ended.state}; its private key was deleted.")
    if compromised:
        say("Now: have the CA revoke it, and have peers unpin its key:")
        say(f"  {ended.spki_sha256}")
        if before.state is State.ACTIVE:
            note(f"There is no {role} identity in use now. A running node still holds it: stop it.")


def plan(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show everything that runs out, first what ends first; 1 when something is due."""
    from node.expiry_calendar import expiring  # noqa: PLC0415 - with TUF, for the list's roles

    home, _, _ = opened(context)
    found = calendar(expiring(home, now=datetime.now(UTC)), now=datetime.now(UTC))
    due = [each for each in found if not each.in_order]
    if as_json:
        print_json([_due(each) for each in found])
    else:
        print_table(
            ("ends", "left", "level", "what", "who acts", "renew from"),
            [
                (
                    f"{each.item.not_after:%Y-%m-%d %H:%M}",
                    _left(each),
                    f"{each.level.word} ({each.rung})" if each.rung else each.level.word,
                    f"{each.item.kind} {each.item.name}{_others(each)}",
                    each.item.owner,
                    f"{_day(each.renew_from)}{' (due)' if each.renewal_due else ''}",
                )
                for each in found
            ],
            empty="There is nothing that runs out.",
        )
        say(f"{counted(len(due), 'thing')} of {len(found)} due." if due else "Nothing is due.")
    if due:
        raise typer.Exit(Exit.NOT_GOOD)


def _as_json(role: Identity, record: IdentityRecord) -> dict[str, object]:
    return {
        "role": role.value,
        "version": record.version,
        "state": record.state.value,
        "since": record.since,
        "not_before": record.not_before,
        "not_after": record.not_after,
        "spki_sha256": record.spki_sha256,
        "fingerprint": record.certificate_sha256,
        "reason": record.reason,
        "steps": [
            {"verb": step.verb.value, "state": step.state.value, "at": step.at}
            for step in record.steps
        ],
        "next": _NEXT.get(record.state),
    }


def _due(due: Due) -> dict[str, object]:
    return {
        "kind": due.item.kind.value,
        "name": due.item.name,
        "owner": due.item.owner.value,
        "not_after": due.item.not_after,
        "seconds_left": round(due.left.total_seconds()),
        "level": due.level.word,
        "rung": due.rung,
        "renew_from": due.renew_from,
        "renewal_due": due.renewal_due,
        "in_order": due.in_order,
        "others": due.item.others,
    }


def _others(due: Due) -> str:
    return f" and {due.item.others} more" if due.item.others else ""


def _left(due: Due) -> str:
    seconds = due.left.total_seconds()
    if seconds <= 0:
        return "none"
    return f"{seconds / 86400:.0f} days" if seconds >= 2 * 86400 else f"{seconds / 3600:.0f} hours"


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""
