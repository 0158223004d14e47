"""Telling the two shared leaf pages apart: which one means identity, which one missing.

They have the same contents, so what counts is where they are and who refers to them:

- symbols: ``p2m_identity`` and ``p2m_missing`` point to them;
- the frame list list: its unused slots all refer to ``p2m_mid_missing_mfn``, a page that names
  ``p2m_missing`` 512 times and nothing else (xen_build_mfn_list_list, Linux 3.14 to 6.4);
- the end of a linear list: frames past the domain builder's list are identity by construction
  (xen_rebuild_p2m_list), unless memory can be added up to the very end;
- order: the kernel allocates missing, identity, missing_pte, identity_pte one after the other
  (xen_vmalloc_p2m_tree), so the four pages lie side by side, upwards or downwards.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xenp2m.arch import Arch
from xenp2m.dump.leaves import Confidence, SharedLeaves
from xenp2m.dump.memory import Memory
from xenp2m.entry import Kind

_ORDER = {Kind.MISSING: 0, Kind.IDENTITY: 1}
_TO_TABLE = 2


class Vote(NamedTuple):
    """One piece of evidence: this leaf page (machine frame) means this."""

    frame: int
    kind: Kind
    text: str
    confidence: Confidence


def from_frame_list(memory: Memory, frame_list_list: int | None, max_pfn: int, arch: Arch) -> Vote | None:
    """Look at the first unused slot of the frame list list, and the page that it shares with the others."""
    slots = -(-max_pfn // arch.pfns_per_mid)
    if frame_list_list is None or slots >= arch.entries_per_page:
        return None
    pages = memory.read_pages(np.array([frame_list_list], np.uint64))
    if not pages.present[0]:
        return None
    unused = guest_words(pages.words, arch)[slots:]
    if bool((unused != unused[0]).any()):
        return None
    shared = memory.read_pages(unused[:1])
    if not shared.present[0]:
        return None
    names = guest_words(shared.words, arch)
    if bool((names != names[0]).any()) or int(names[0]) in (0, arch.invalid):
        return None
    return Vote(
        int(names[0]),
        Kind.MISSING,
        f"the unused slots of the frame list list name only the page {int(names[0]):#x}: p2m_missing",
        Confidence.STRONG,
    )


def from_order(tables: dict[int, int], candidates: set[int]) -> Vote | None:
    """Look at how the shared tables and pages lie beside each other.

    ``tables`` maps the frame of each level 1 table that maps one page only to that page; ``candidates`` are
    the shared pages of all ones.
    """
    if len(candidates) != 2:
        return None
    first, second = sorted(candidates)
    if second - first != 1:
        return None
    for table, page in tables.items():
        if page not in candidates or abs(page - table) != _TO_TABLE:
            continue
        upwards = table > page
        identity = second if upwards else first
        return Vote(
            identity,
            Kind.IDENTITY,
            f"the shared pages {first:#x} and {second:#x} and the shared table {table:#x} lie in the order in"
            " which the kernel allocates them",
            Confidence.LIKELY,
        )
    return None


def decide(votes: list[Vote], candidates: set[int]) -> SharedLeaves:
    """Weigh the evidence.  Votes that contradict each other decide nothing, unless symbols settle it."""
    certain = [vote for vote in votes if vote.confidence is Confidence.CERTAIN]
    strong = [vote for vote in votes if vote.confidence is Confidence.STRONG]
    used = certain or strong or votes
    identity = {vote.frame for vote in used if vote.kind is Kind.IDENTITY}
    missing = {vote.frame for vote in used if vote.kind is Kind.MISSING}
    if len(candidates) == 2:
        for frame in list(identity):
            missing |= candidates - {frame} if frame in candidates else set()
        for frame in list(missing):
            identity |= candidates - {frame} if frame in candidates else set()
    elif len(candidates - missing) == 1 and missing and not identity:
        identity |= candidates - missing
    if len(identity) > 1 or len(missing) > 1 or identity & missing:
        texts = tuple(f"contradicted: {vote.text}" for vote in used)
        return SharedLeaves(evidence=texts)
    agreeing = [vote for vote in votes if vote.frame in (identity if vote.kind is Kind.IDENTITY else missing)]
    contrary = [vote for vote in votes if vote not in agreeing]
    confidence = Confidence.UNKNOWN
    if certain:
        confidence = Confidence.CERTAIN
    elif strong or len(agreeing) > 1:
        confidence = Confidence.STRONG
    elif agreeing:
        confidence = Confidence.LIKELY
    return SharedLeaves(
        next(iter(identity), None),
        next(iter(missing), None),
        (*(vote.text for vote in agreeing), *(f"outweighed: {vote.text}" for vote in contrary)),
        confidence,
    )


def guest_words(words: np.ndarray, arch: Arch) -> np.ndarray:
    """View one page (uint64 words, any shape) as the guest's words, uint64, flat."""
    if arch.bits == 64:
        return words.reshape(-1)
    return np.ascontiguousarray(words).view("<u4").reshape(-1).astype(np.uint64)
