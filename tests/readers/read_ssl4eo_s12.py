"""torchgeo.datasets.SSL4EOS12: every product of an export, location by location."""

from pathlib import Path

from telling import Arrays, Said, define_torchvision_operators, run

define_torchvision_operators()

from torchgeo.datasets import SSL4EOS12  # noqa: E402


def read(
    root: Path, locations: int, products: tuple[str, ...] = ("s1", "s2c", "s2a"), seasons: tuple[int, ...] = (4,)
) -> tuple[Said, Arrays]:
    """Arrays `{product}/{seasons}/{location}/image` (seasons × bands, 264, 264) float32, and `t`, `x`, `y` of its seasons, which are drawn.

    Args:
        locations: how many: the class itself says 251,079 whatever there is.
    """
    said: Said = {}
    arrays: Arrays = {}
    for product in products:
        for count in seasons:
            dataset = SSL4EOS12(root=root, split=product, seasons=count)
            said[product] = {"bands": list(dataset.bands), "len": len(dataset)}
            for location in range(locations):
                sample = dataset[location]
                arrays |= {
                    f"{product}/{count}/{location}/{name}": sample[name].numpy() for name in ("image", "t", "x", "y")
                }
    return said, arrays


if __name__ == "__main__":
    run(read)
