"""status: how far a dataset is. What it is to consist of tells its config, or, without one, what is there of it."""

import logging
from collections.abc import Sequence
from pathlib import Path

from tilewright.errors import TilewrightError
from tilewright.operations.board import Board, Expected, board
from tilewright.operations.shape import config_of, folder_of, is_locked

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
        expected = Expected.by_folder(folder) if config is None else Expected.by_config(config)
    except TilewrightError as error:
        log.warning("%s; only what has been begun is shown", error)
        expected = Expected.by_folder(folder)
    if config is None:
        log.warning("no config is known (--configfile): what has not been begun at all is not shown")
    project = folder.parents[1] if len(folder.parts) > 1 else folder.absolute().parents[1]
    found = board(folder, project / "logs" / folder.absolute().name, expected)
    found.locked = is_locked(folder)
    return found
