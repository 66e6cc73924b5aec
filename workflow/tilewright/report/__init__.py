"""One page about a dataset: what is in it, where, how it looks, and where it comes from."""

from tilewright.report.page import make_report

__all__ = ["make_report"]
