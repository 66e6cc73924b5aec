"""What every reader of a vector source is: batches of features, and facts about the source as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from tilewright.store.batch import Batch


@dataclass(frozen=True)
class SourceFacts:
    """What is known of a source once all of it was read.

    Attributes:
        snapshot: time of the data (ISO 8601), None where the source does not say.
        extent: WKT (EPSG:4326, Polygon or MultiPolygon) of the ground that it covers, None where that is unknown.
        counts: features by kind.
        rejects: objects that no geometry could be made of, by reason.
        repaired: areas whose rings crossed or touched themselves, mended by make_valid.
    """

    snapshot: str | None
    extent: str | None
    counts: dict[str, int] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    repaired: int = 0


class FeatureReader(Protocol):
    """Reads one source from end to end."""

    def batches(self) -> Iterator[Batch]:
        """All features.

        Raises:
            TilewrightError: naming the source, what is wrong and the mend.
        """

    def facts(self) -> SourceFacts:
        """What is known of the source; to be asked once the batches are exhausted."""
