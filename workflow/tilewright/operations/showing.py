"""A board as a text for the terminal, and as JSON."""

from collections.abc import Sequence
from typing import Any, Final

from tilewright.operations.board import BEGUN, DONE, FAILED, OF_TILES, STATES, TO_DO, Board

_ROWS: Final = 40  # tiles and failures that are shown one by one
_WORDS: Final = {"search_companions": "companions", "export_tile": "export"}


def text(board: Board, name: str, every: bool = False) -> str:
    """A table of the stages, one of the tiles that are not whole, and the errors of failed jobs.

    Args:
        name: the dataset's folder.
        every: show all tiles and all failures, however many.
    """
    expected = board.expected
    whole = sum(board.state_of(tile) == DONE for tile in expected.tiles)
    lines = [
        f"{name}: {whole} of {len(expected.tiles)} tiles done, in {len(expected.zones)} UTM zones; {len(expected.periods)} periods; "
        + (f"a run is at work here, or was killed{_killed(board)}" if board.locked else "no run is at work")
    ]
    rows = [[stage, *(str(counts.get(state, 0)) for state in STATES)] for stage, counts in board.counts.items()]
    lines += ["", *_table(["stage", *STATES], rows), ""]
    shown = (
        expected.tiles
        if every or len(expected.tiles) <= _ROWS
        else [tile for tile in expected.tiles if board.state_of(tile) != DONE]
    )
    shown = shown if every else sorted(shown, key=lambda tile: board.state_of(tile) != FAILED)[:_ROWS]
    stages = [stage for stage in OF_TILES if stage in board.counts]
    if shown:
        rows = [[tile, *(_cell(board.tiles[tile].get(stage, {})) for stage in stages)] for tile in shown]
        lines += [*_table(["tile", *(_WORDS.get(stage, stage) for stage in stages)], rows), ""]
        rest = sum(board.state_of(tile) != DONE for tile in expected.tiles) - sum(
            board.state_of(tile) != DONE for tile in shown
        )
        lines += [f"and {rest} more tiles that are not done (--all)", ""] if rest else []
    for job, why, log in board.failed if every else board.failed[:_ROWS]:
        lines += [f"failed: {job}: {why}", f"    log: {log}"]
    if not every and len(board.failed) > _ROWS:
        lines.append(f"and {len(board.failed) - _ROWS} more failed jobs (--all)")
    if board.begun and not board.locked:
        named = ", ".join(map(str, board.begun[:_ROWS]))
        lines.append(f"killed on the way: {named}{' …' if len(board.begun) > _ROWS else ''}: run snakemake again")
    return "\n".join(lines).rstrip() + "\n"


def _killed(board: Board) -> str:
    return "" if board.begun else ": in that case snakemake --unlock"


def _cell(counts: dict[str, int]) -> str:
    """Jobs of a stage in a tile: done of all, and what is amiss."""
    total = sum(counts.values())
    if not total:
        return "-"
    done = str(counts.get(DONE, 0)) if total == 1 else f"{counts.get(DONE, 0)}/{total}"
    if total == 1:
        return next((state for state in (FAILED, BEGUN, TO_DO) if counts.get(state)), DONE)
    amiss = [f"{counts[state]} {state}" for state in (FAILED, BEGUN) if counts.get(state)]
    return ", ".join([done, *amiss])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]


def document(board: Board) -> dict[str, Any]:
    """All that is known, JSON-able."""
    return {
        "locked": board.locked,
        "periods": list(board.expected.periods),
        "zones": board.expected.zones,
        "stages": {stage: {state: counts.get(state, 0) for state in STATES} for stage, counts in board.counts.items()},
        "tiles": {tile: {"state": board.state_of(tile), "stages": counts} for tile, counts in board.tiles.items()},
        "failed": [
            {
                "stage": job.stage,
                "tile": job.tile,
                "period": job.period,
                "name": job.name,
                "error": why,
                "log": str(log),
            }
            for job, why, log in board.failed
        ],
        "begun": [
            {"stage": job.stage, "tile": job.tile, "period": job.period, "name": job.name} for job in board.begun
        ],
    }
