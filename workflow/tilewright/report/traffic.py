"""What reading the imagery cost, summed over the dataset's jobs."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tilewright.errors import TilewrightError

_STAGES: Final = {"mask": "counting SCL classes", "crop": "reading patches"}


@dataclass(frozen=True)
class TrafficRow:
    """One stage, summed over tiles and periods; names as in `imagery.Traffic`."""

    stage: str
    meaning: str
    jobs: int
    counts: Counter[str]

    @property
    def excess(self) -> float:
        """Bytes fetched beyond those of the blocks needed, as a share of these; 0 where nothing was fetched."""
        needed = self.counts["bytes_needed"]
        return self.counts["bytes_fetched"] / needed - 1 if needed else 0.0


def traffic(folder: Path, tiles: Iterable[str], periods: Iterable[str]) -> list[TrafficRow]:
    """A row a stage, from the `*.traffic.json` beside the stores; a job whose file was deleted counts nothing.

    Args:
        tiles, periods: of the dataset; the folder may hold others that an earlier config made.

    Raises:
        TilewrightError: naming a file that is not one of ours.
    """
    jobs: Counter[str] = Counter()
    sums: dict[str, Counter[str]] = {name: Counter() for name in _STAGES}
    folders = [folder / "tiles" / tile / period for tile in sorted(tiles) for period in periods]
    for path in (path for each in folders for path in sorted(each.glob("*.traffic.json"))):
        try:
            document = json.loads(path.read_text())
            stage = document["stage"]
            sums[stage].update({name: count for name, count in document.items() if isinstance(count, int)})
        except (ValueError, KeyError, TypeError) as error:
            raise TilewrightError(f"{path} cannot be read ({error}): delete it and run again") from error
        jobs[stage] += 1
    return [TrafficRow(name, meaning, jobs[name], sums[name]) for name, meaning in _STAGES.items() if jobs[name]]
