"""``make drive``: drives the FHIR and OAuth endpoints by their own description for some minutes."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.drive.driver import Driven, drive
from tests.drive.worlds import Target, fhir_target, network_target, oauth_target

TARGETS = {
    "fhir": fhir_target,
    "bound": lambda folder: fhir_target(folder, patient="ann"),
    "gateway": lambda folder: fhir_target(folder, is_gateway=True),
    "network": network_target,
    "oauth": oauth_target,
}


def main() -> int:
    """Drive each target for its part of the time; 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=TARGETS, default=None)
    options = parser.parse_args()
    chosen = [options.only] if options.only else list(TARGETS)
    faults = 0
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder, TARGETS[name](Path(folder)) as target:
            found = _driven(target, 60 * options.minutes / len(chosen), options.seed)
            faults += len(found.faults)
            _tell(name, target, found)
    return 1 if faults else 0


def _driven(target: Target, seconds: float, seed: int) -> Driven:
    return drive(
        target.description, target.base, target.session, target.check, seconds=seconds, seed=seed
    )


def _tell(name: str, target: Target, found: Driven) -> None:
    out = sys.stdout
    asked = ", ".join(f"{status}: {n}" for status, n in sorted(found.statuses.items()))
    operations = sum(len(methods) for methods in target.description["paths"].values())
    out.write(f"{name}: {found.statuses.total()} requests, {len(found.operations)} of {operations} "
          f"operations; {asked}; {len(found.faults)} faults\n")  # fmt: skip
    for fault in found.faults[:20]:
        out.write(f"  {fault}\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
