"""The dashboard's files, read once."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Self

__all__ = ["ASSETS", "Asset", "Assets"]

_MEDIA_TYPES = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_PAGE = "index.html"
_VERSION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served.

    Attributes:
        content: its bytes.
        media_type: for Content-Type.
    """

    content: bytes = field(repr=False)
    media_type: str

    @property
    def etag(self) -> str:
        """The quoted digest of the content."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:_VERSION_DIGITS]}"'


@dataclass(frozen=True, slots=True)
class Assets:
    """All files of the dashboard.

    Attributes:
        files: by their path below the dashboard's folder.
        version: a digest of all paths and contents.
        page: whose links lead to this version of the other files.
    """

    files: Mapping[str, Asset]
    version: str
    page: Asset

    @classmethod
    def read(cls, folder: Traversable) -> Self:
        """Read a folder's files of known kinds."""
        found = dict(sorted(_walk(folder)))
        template = found.pop(_PAGE)
        digest = hashlib.sha256()
        for name, asset in found.items():
            digest.update(f"{name}\0{len(asset.content)}\0".encode() + asset.content)
        version = digest.hexdigest()[:_VERSION_DIGITS]
        content = template.content.replace(b"{version}", version.encode())
        return cls(found, version, Asset(content, template.media_type))


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Asset]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            media_type = _MEDIA_TYPES.get(entry.name.rpartition(".")[2])
            if media_type is not None:
                yield f"{prefix}{entry.name}", Asset(entry.read_bytes(), media_type)


ASSETS = Assets.read(files(__name__))
