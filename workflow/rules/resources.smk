# What jobs ask a scheduler for, rule by rule, worked out from the config once, since a planet has 330,000 jobs.
# See docs/resources.md.
from tilewright.costs import Known, asked, work_of
from tilewright.costs.sources import known_of


@cache
def needs(stage):
    """mem_mb, runtime (minutes) and disk_mb of the jobs of a rule whose jobs are all alike, at the first attempt."""
    return asked(stage, work_of(DATASET.config, stage))


@cache
def needs_of_tiles(stage, zone):
    """The same of a job that gathers the tiles of a zone; without one, all tiles."""
    # which tiles have locations around cities is not known yet: all of these are planned for
    of_zone = [] if DATASET.config.aoi.cities else tiles_by_zone()
    tiles = sum(len(of_zone[name]) for name in of_zone if zone in (None, name))
    return asked(stage, work_of(DATASET.config, stage, Known(tiles=max(2, tiles))))


@cache
def needs_of_source(source):
    """The same of reading a label source, by the size of its files; looked at once a source, since each job would ask."""
    return asked("source", work_of(DATASET.config, "source", known_of(DATASET.of_source(source))))


def growing(stage, name):
    """A resource of a rule whose jobs are all alike, doubled at each attempt."""
    least = needs(stage)[name]

    @known
    def resource(wildcards, attempt):
        return least << (attempt - 1)

    return resource


def of_tiles(stage, name):
    """A resource of a rule that gathers tiles, doubled at each attempt."""

    @known
    def resource(wildcards, attempt):
        return needs_of_tiles(stage, wildcards.get("zone"))[name] << (attempt - 1)

    return resource


def of_source(name):
    """A resource of the rule `source`, doubled at each attempt."""

    @known
    def resource(wildcards, attempt):
        return needs_of_source(wildcards.source)[name] << (attempt - 1)

    return resource
