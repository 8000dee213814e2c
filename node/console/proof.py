"""Proving oneself again before something that a borrowed browser must not do.

Who proved themselves within ``console.proof_minutes`` in this session need not do so again. A
person with a local account types the one-time code of now, or the password where there is no code;
a person of the organisation's sign-on is sent there. Wrong attempts count towards the lock, and
each one is an entry of the log, as is the proof. Pages take the fields from ``proof.html``.
"""

from __future__ import annotations

from typing import Final

from node.console.parts import Visit
from node.governance.case_model import Refusal
from node.ledger.trust_change import TrustChange
from node.users.model import Refused

FIELD: Final = "proof"

_WRONG: Final = {
    Refused.WRONG: "That is not right. Type it again.",
    Refused.DISABLED: "This account is locked. Your administrator can unlock it.",
    Refused.LOCKED: "Too many attempts. Wait a minute and try again; it gets longer each time.",
}


def unproved(visit: Visit) -> Refusal | None:
    """Why the person counts as not proved now; ``None`` when they are, by what they typed too."""
    session, console = visit.session, visit.console
    if session.proved:
        return None
    if visit.user.external:
        words = console.sign_on.words if console.sign_on else "the organisation's account"
        return Refusal(
            code="proof-old", sentence=f"Prove first with {words} that it is you.", field=FIELD
        )
    typed = visit.form.get(FIELD, "")
    if not typed:
        what = "the code of now" if visit.user.has_code else "your password"
        return Refusal(
            code="proof-missing", sentence=f"Type {what}, so that it is you.", field=FIELD
        )
    login = visit.user.login
    proving = console.users.prove_code if visit.user.has_code else console.users.prove_password
    proved = proving(login, typed[:1024])
    recorder = console.recorder(visit.user)
    if isinstance(proved, Refused):
        recorder.fact(TrustChange(act="person-prove-refuse", reason=proved.value))
        return Refusal(code=proved.value, sentence=_WRONG[proved], field=FIELD)
    console.sessions.prove(session)
    recorder.fact(TrustChange(act="person-prove"))
    return None
