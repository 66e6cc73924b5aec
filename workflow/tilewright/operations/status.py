"""status: how far a dataset is. What it is to consist of tells its config, or, without one, what is there of it."""

import logging
from collections.abc import Sequence
from pathlib import Path

from tilewright.errors import TilewrightError
from tilewright.operations.board import Board, Expected, board
from tilewright.operations.folders import folder_of, locks_on, logs_of, run_in
from tilewright.operations.shape import config_of

log = logging.getLogger(__name__)


def status_of(folder: Path, configfiles: Sequence[Path] = ()) -> Board:
    """Look how far a dataset is.

    Args:
        folder: the dataset's, results/<dataset>.
        configfiles: the dataset's, merged in their order, where it is not config/config.yaml.

    Raises:
        TilewrightError: where the folder is no dataset, or the config that is given is another's.
    """
    folder = folder_of(folder)
    config = config_of(folder, configfiles)
    try:
        expected = Expected.by_folder(folder) if config is None else Expected.by_config(config, run_in(folder))
    except TilewrightError as error:
        log.warning("%s; only what has been begun is shown", error)
        expected = Expected.by_folder(folder)
    if config is None:
        log.warning("no config is known (--configfile): what has not been begun at all is not shown")
    found = board(folder, logs_of(folder), expected)
    found.locked = locks_on(folder) is not None
    return found
