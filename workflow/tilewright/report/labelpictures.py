"""Label sets as pictures: classes, static layers, what parcels claim twice, and regions too small to count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tilewright.config.bands import NONE, UNLABELED
from tilewright.report.drawing import CLAIM_COLOURS, NONE_COLOUR, Entry, Legend, rgb, with_holes
from tilewright.stages.zone import classes_of

SHOWN: Final = ("labels", "layer", "instance", "claims", "claims_same", "ignore")
_GROUND: Final = "#d9d9d9"  # of pixels with a class that nothing is said against
_CLAIMED: Final = {"claims": "different classes", "claims_same": "the same class"}
# Darker the more levels ignore a pixel (ColorBrewer's YlOrBr); further combinations of levels share the last.
_IGNORED: Final = ("#fee391", "#fe9929", "#cc4c02", "#662506")

Arrays = dict[str, np.ndarray]
"""Of one cell and set: labels (channel, y, x), layer, instance, claims, claims_same (y, x), ignore (level, channel, y, x), level (level,)."""


@dataclass(frozen=True)
class Picture:
    """A column of pictures: uint8 (y, x, 4) of each cell, None where it has no labels.

    `of`: what a cell's coverage is the share of.
    """

    title: str
    legend: Legend
    images: list[np.ndarray | None]
    of: str


def label_pictures(name: str, about: dict[str, Any], cells: Sequence[Arrays | None], several: bool) -> list[Picture]:
    """The pictures of one label set for the cells that are shown; ids, claims and masks only where there are any.

    Args:
        name: the set's.
        about: its attributes.
        cells: arrays of each cell; None where it has none.
        several: whether there are other sets, so that titles must tell them apart.
    """
    known = [cell for cell in cells if cell is not None]
    prefix = f"{name}: " if several else ""
    if about["ontology"] is None:
        return [_layer(name, prefix, cells, known)]
    channels = [each["name"] for each in about["ontology"]["channels"]]
    made = [_classes(name, prefix, about["ontology"], at, channel, cells, known) for at, channel in enumerate(channels)]
    if any("instance" in cell for cell in known):
        made.append(_instances(name, prefix, cells))
    if any(cell[key].any() for cell in known for key in _CLAIMED if key in cell):
        made.append(_claims(name, prefix, cells, known))
    for at, channel in enumerate(channels):
        if any((cell["ignore"][:, at] * (cell["labels"][at] < NONE)).any() for cell in known if "ignore" in cell):
            made.append(_ignored(name, prefix, at, channel, cells, known))
    return made


def _classes(
    name: str, prefix: str, ontology: dict[str, Any], at: int, channel: str, cells: Sequence[Arrays | None], known: list[Arrays]
) -> Picture:  # fmt: skip
    colours = {each["value"]: each["colour"] for each in ontology["categories"]}
    table = np.zeros((256, 3), "uint8")
    table[NONE] = rgb(NONE_COLOUR)
    for value, colour in colours.items():
        table[value] = rgb(colour)
    present = {int(value) for cell in known for value in np.unique(cell["labels"][at])}
    looks = colours | {NONE: "none", UNLABELED: "unknown"}
    entries = [
        Entry(one.replace("_", " "), looks[value]) for one, value in classes_of(ontology, channel) if value in present
    ]
    images = [
        None if cell is None else with_holes(table[cell["labels"][at]], cell["labels"][at] == UNLABELED)
        for cell in cells
    ]
    return Picture(f"{prefix}{channel}", Legend(f"Labels: {name} / {channel}", entries), images, "in the extent")


def _layer(name: str, prefix: str, cells: Sequence[Arrays | None], known: list[Arrays]) -> Picture:
    values = np.concatenate([cell["layer"][~np.isnan(cell["layer"])] for cell in known] or [np.zeros(0)])
    low, high = (float(each) for each in np.percentile(values, [2, 98])) if len(values) else (0.0, 0.0)
    span = high - low if high > low else 1.0
    images: list[np.ndarray | None] = []
    for cell in cells:
        if cell is None:
            images.append(None)
            continue
        holes = np.isnan(cell["layer"])
        grey = np.rint(255 * np.clip((np.where(holes, low, cell["layer"]) - low) / span, 0, 1)).astype("uint8")
        images.append(with_holes(np.repeat(grey[..., None], 3, axis=-1), holes))
    entries = [Entry("no data", "unknown")]
    if len(values):
        entries = [Entry(f"{low:,.5g} or less", "#000000"), Entry(f"{high:,.5g} or more", "#ffffff"), *entries]
    return Picture(f"{prefix}layer" if prefix else name, Legend(f"Layer: {name}", entries), images, "with data")


def _instances(name: str, prefix: str, cells: Sequence[Arrays | None]) -> Picture:
    """Each parcel in a colour of its own, of its id alone; near ids get far colours."""
    images: list[np.ndarray | None] = []
    for cell in cells:
        if cell is None:
            images.append(None)
            continue
        ids = cell["instance"].astype(np.uint64)
        # Knuth's multiplicative hash: its three upper bytes, light enough to tell from the hatching
        mixed = (ids * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)
        colours = np.stack([(mixed >> np.uint64(shift)) & np.uint64(0xFF) for shift in (24, 16, 8)], axis=-1)
        images.append(with_holes((64 + colours * 3 // 4).astype("uint8"), ids == 0))
    entries = [Entry("a parcel, each in a colour of its own", "#5fa8d3"), Entry("no parcel", "unknown")]
    return Picture(f"{prefix}ids", Legend(f"Ids of parcels: {name}", entries), images, "in the extent")


def _claims(name: str, prefix: str, cells: Sequence[Arrays | None], known: list[Arrays]) -> Picture:
    looks = [(key, number, CLAIM_COLOURS[key][number - 1]) for key in ("claims_same", "claims") for number in (1, 2)]
    images: list[np.ndarray | None] = []
    for cell in cells:
        if cell is None:
            images.append(None)
            continue
        free = cell["labels"][0] == UNLABELED
        colours = np.full((*free.shape, 3), rgb(_GROUND), "uint8")
        for key, number, colour in looks:
            colours[cell[key] == number] = rgb(colour)
            free = free & (cell[key] == 0)
        images.append(with_holes(colours, free))
    entries = [Entry("one parcel", _GROUND)]
    for key, number, colour in reversed(looks):
        if any((cell[key] == number).any() for cell in known):
            entries.append(Entry(f"parcels of {_CLAIMED[key]}, {'partly' if number == 1 else 'wholly'}", colour))
    entries.append(Entry("no parcel", "unknown"))
    return Picture(f"{prefix}claims", Legend(f"Claims: {name}", entries), images, "in the extent")


def _ignored(
    name: str, prefix: str, at: int, channel: str, cells: Sequence[Arrays | None], known: list[Arrays]
) -> Picture:
    levels = [str(level) for level in known[0]["level"]]
    bits = (1 << np.arange(len(levels))).astype(np.int64)

    def ignoring(cell: Arrays) -> np.ndarray:
        """(y, x) a number for each combination of levels."""
        return np.tensordot(bits, cell["ignore"][:, at].astype(np.int64), axes=1)

    found = {int(value) for cell in known for value in np.unique(ignoring(cell)[cell["labels"][at] < NONE])} - {0}
    order = sorted(found, key=lambda value: (value.bit_count(), value))
    colour = {value: _IGNORED[min(place, len(_IGNORED) - 1)] for place, value in enumerate(order)}
    images: list[np.ndarray | None] = []
    for cell in cells:
        if cell is None:
            images.append(None)
            continue
        combination = ignoring(cell)
        colours = np.full((*combination.shape, 3), rgb(_GROUND), "uint8")
        for value in order:
            colours[combination == value] = rgb(colour[value])
        images.append(with_holes(colours, cell["labels"][at] >= NONE))
    entries = [Entry("counted", _GROUND)]
    for value in order:
        named = [level for place, level in enumerate(levels) if value >> place & 1]
        entries.append(Entry(f"too small for {', '.join(named)}", colour[value]))
    entries.append(Entry("no class", "unknown"))
    return Picture(
        f"{prefix}{channel}, small regions",
        Legend(f"Small regions: {name} / {channel}", entries),
        images,
        "in the extent",
    )
