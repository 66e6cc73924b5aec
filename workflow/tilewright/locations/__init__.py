"""Locations around cities, as SSL4EO-S12 has them: the table of cities, the draw, which locations lie too close. No network."""

from tilewright.locations.draw import Candidates, candidates
from tilewright.locations.overlap import kept, rule_m
from tilewright.locations.table import CityTable, most_populous

__all__ = ["Candidates", "CityTable", "candidates", "kept", "most_populous", "rule_m"]
