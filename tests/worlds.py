"""What the simulated worlds hold: worked out once for all tests of a process, since it takes seconds."""

from functools import cache

from tilewright.config.simulated import Simulate
from tilewright.simulate import World


def known(settings: Simulate) -> World:
    """The world of settings. Read only."""
    return _known(settings.model_dump_json())


@cache
def _known(settings: str) -> World:
    return World(Simulate.model_validate_json(settings))
