"""The attribution of the catalogue: every source, and what their licences ask to be said."""

from __future__ import annotations

from collections.abc import Iterable

from xenp2m.catalogue.model import Entry, Source

_HEAD = """\
# Sources of the machine catalogue

The catalogue holds facts of real machines: addresses, sizes, types, years, versions and names of products.
They were taken from the public texts named below; no text was copied. This file is made by
`python -m xenp2m.catalogue.build`.
"""
_CC_BY = """\
## Under the Creative Commons Attribution 4.0 International licence (CC BY 4.0)

From [bsdhw/Dmesg](https://github.com/bsdhw/Dmesg), logs of BSD computers collected by its contributors,
licensed under [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), which comes without warranties.
Changed: only numbers and product names were taken out of the logs, and brought into the catalogue's format.
"""
_OTHERS = """\
## Others

No licence is recorded for these: nothing but facts was taken. `m@` stands for a mail in the public-inbox
archive of that list, and the beginning of its blob's name.
"""


def attribution(entries: Iterable[Entry]) -> str:
    """Return the attribution as Markdown: every source of ``entries`` with path, commit and machine."""
    by_repo: dict[Source, list[Entry]] = {}
    for entry in entries:
        source = entry.source
        by_repo.setdefault(Source(source.repo, "", source.commit, source.licence), []).append(entry)
    parts = [_HEAD]
    for head, licensed in ((_CC_BY, True), (_OTHERS, False)):
        parts.append(head)
        found = [source for source in by_repo if bool(source.licence) is licensed]
        found.sort(key=lambda source: (source.repo.casefold(), source.commit))
        parts += [_of_repo(source, by_repo[source]) for source in found]
    return "\n".join(parts)


def _of_repo(source: Source, entries: Iterable[Entry]) -> str:
    commit = f", commit {source.commit}" if source.commit else ""
    by_path: dict[str, list[str]] = {}
    for entry in entries:
        by_path.setdefault(entry.source.path, []).append(entry.id)
    lines = [
        f"- {f'`{path}`: ' if path else ''}{', '.join(sorted(ids))}" for path, ids in sorted(by_path.items())
    ]
    return f"### {source.repo}{commit}\n\n" + "\n".join(lines) + "\n"
