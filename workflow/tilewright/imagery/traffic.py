"""What reading cost: counted while it happens, written beside the store, summed up in the report."""

import threading
from dataclasses import dataclass, field, fields
from pathlib import Path

from tilewright.store.seal import write_json


@dataclass
class Traffic:
    """Counts of one job's reading; safe to add to from many threads.

    Attributes:
        assets: files read block by block by the library's own reader.
        other_assets: files read through GDAL (JPEG 2000, unusual TIFF, another grid), remote or local.
        blocks: internal blocks decoded.
        bytes_needed: compressed size of those blocks.
        bytes_fetched: bytes that requests brought: blocks, headers, the gaps between blocks, refetches.
        other_bytes: bytes that GDAL was served from remote files; of local ones it does not tell.
        requests: byte ranges asked for, retries included.
        retries: requests and reads that were tried again.
    """

    assets: int = 0
    other_assets: int = 0
    blocks: int = 0
    bytes_needed: int = 0
    bytes_fetched: int = 0
    other_bytes: int = 0
    requests: int = 0
    retries: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **counts: int) -> None:
        """Add to the counts named."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if not one.name.startswith("_")}

    def words(self) -> str:
        """The counts in one phrase, for logs."""
        again = f" ({self.retries} again)" if self.retries else ""
        other = f", {self.other_assets} files through GDAL" if self.other_assets else ""
        return f"{self.blocks} blocks, {self.bytes_fetched / 1e6:.1f} MB in {self.requests} requests{again}{other}"

    def write(self, path: Path, **about: str | int) -> None:
        """Write the counts, and `about`, as JSON; beside a store, since two runs that make the same bytes may differ here."""
        write_json(path, {**about, **self.counts()}, indent=1)
