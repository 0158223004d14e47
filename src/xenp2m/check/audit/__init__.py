"""Audits of dumps: p2m against M2P, page tables against p2m, and whether the dump agrees with itself.

::

    result = audit(inspect(open_dump("host.elf")))
    for finding in result.findings:
        print(finding.code, finding.severity.value, finding.message)
"""

from __future__ import annotations

from xenp2m.check.audit.dumps import look_at_domain, look_at_dump
from xenp2m.check.audit.frames import against_m2p, between_domains, foreign_numbers, identity_over_ram
from xenp2m.check.audit.model import CODES, Audit, Case, Code, Finding
from xenp2m.check.audit.tables import look_at_tables
from xenp2m.dump import Domain, Inspection

__all__ = ["CODES", "Audit", "Case", "Code", "Finding", "audit"]

_OF_DOMAINS = (look_at_domain, against_m2p, identity_over_ram, foreign_numbers, look_at_tables)


def audit(found: Inspection, domain: Domain | None = None) -> Audit:
    """Audit a dump: one domain, or all that it has."""
    chosen = found.domains if domain is None else (domain,)
    cases = [Case(found, each) for each in chosen]
    findings = list(look_at_dump(found))
    for case in cases:
        for look in _OF_DOMAINS:
            findings += look(case)
    if domain is None:
        findings += between_domains(cases)
    return Audit(found.name, found.container, tuple(findings), tuple(_scope(case) for case in cases))


def _scope(case: Case) -> tuple[str, tuple[str, ...]]:
    """Say what was compared, and what could not be."""
    parts = []
    if case.domain.p2m is None:
        return case.name, ("no p2m: nothing to compare",)
    parts.append(f"{case.ram_frames:,} RAM frames")
    if case.found.m2p is None:
        parts.append("no M2P in the dump")
    else:
        parts.append(f"M2P: {case.found.m2p.found_by}")
    if case.owners is None:
        parts.append("no frame table: owners are not known")
    if not case.spaces.parts():
        parts.append("no page tables in the dump")
    return case.name, tuple(parts)
