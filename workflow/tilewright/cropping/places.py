"""Where cells lie whose ids do not say so: the same id may mean other ground after an edit of the config."""

import pandas as pd

from tilewright.grid.mgrs import EQUATOR_SOUTH_M


def untold_places(tile: str, cells: pd.DataFrame) -> dict[str, str]:
    """{cell_id: upper-left corner, metres}, in the order of `cells`; "" for a cell of the lattice, whose id counts cells of its own size.

    The ids of other cells count steps of a stride, from an offset, or rows of a file: where these change, patches that an earlier
    run kept under an id are of other ground.

    Args:
        tile: its name.
        cells: with columns cell_id, epsg, ulx, uly, size_m.
    """
    ulx, uly, size = (cells[name].to_numpy("int64") for name in ("ulx", "uly", "size_m"))
    south = cells["epsg"].to_numpy("int64") // 100 == 327
    poleward = (uly - size) * ~south + (EQUATOR_SOUTH_M - uly) * south
    in_step = (ulx % size == 0) & (poleward % size == 0)
    places = zip(cells["cell_id"], ulx, uly, ulx // size, poleward // size, in_step, strict=True)
    return {
        str(cell): "" if lattice and cell == f"{tile}-{col}-{row}" else f"{x},{y}"
        for cell, x, y, col, row, lattice in places
    }
