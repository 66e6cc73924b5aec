"""tilewright: co-registered Sentinel patches, time series and labels, one MGRS tile at a time.

`tilewright.open(path)` reads a dataset; everything else is what the workflow's rules call (see ARCHITECTURE.md).
"""

__version__ = "0.1.0"
__all__ = ["__version__", "open"]


def __getattr__(name: str) -> object:
    # Lazy: the rules' command line must start without importing xarray.
    if name == "open":
        from tilewright.loader import open as opener

        return opener
    raise AttributeError(f"module 'tilewright' has no attribute {name!r}")
