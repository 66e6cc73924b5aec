"""Features on their way from a source into a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.config.label_sets import Kind


@dataclass(frozen=True)
class Batch:
    """Some features of a source, in any order; together the batches hold each (source_type, source_id, kind) once.

    Attributes:
        source_type: node, way, relation or sea (OpenStreetMap), row (other sources).
        source_id: int64 (feature,), unique with source_type.
        kind: area, line or point.
        tags: JSON texts with sorted keys and texts as values: the tags or attributes that labels may look at.
        geometry: (feature,) valid geometries in EPSG:4326; areas are Polygons or MultiPolygons.
    """

    source_type: Sequence[str]
    source_id: np.ndarray
    kind: Sequence[Kind]
    tags: Sequence[str]
    geometry: np.ndarray
