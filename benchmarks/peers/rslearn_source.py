"""rslearn's own Earth Search source, pointed at the stand-in, and with the SCL asset, which it does not list."""

import os

from rslearn.data_sources import aws_sentinel2_element84


class Sentinel2(aws_sentinel2_element84.Sentinel2):
    """Windows read straight from the COGs (`ingest: false`)."""

    STAC_ENDPOINT = os.environ.get("BENCH_STAC", "")
    ASSET_BANDS = {**aws_sentinel2_element84.Sentinel2.ASSET_BANDS, "scl": ["SCL"]}  # noqa: RUF012
