"""Bundles: folders, archives and compressed files that hold one machine's texts among many others.

Nothing is unpacked to disk.  Links are not followed, names are only compared, and limits bound what is read
(``xenp2m.capture.bundle.limits``).  Archives are recognised by their first bytes.
"""

from xenp2m.capture.bundle.contents import Alternatives, Contents, read_archive
from xenp2m.capture.bundle.folder import files_to_read, read_folder
from xenp2m.capture.bundle.kinds import SeveralMachinesError
from xenp2m.capture.bundle.several import holds_several, read_several
from xenp2m.capture.bundle.walk import HEAD, is_bundle

__all__ = [
    "HEAD",
    "Alternatives",
    "Contents",
    "SeveralMachinesError",
    "files_to_read",
    "holds_several",
    "is_bundle",
    "read_archive",
    "read_folder",
    "read_several",
]
