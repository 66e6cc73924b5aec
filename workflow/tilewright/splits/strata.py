"""Multi-label stratification: units dealt out so that each class has its share in each split.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011), written here
and not taken from the package iterative-stratification, because that knows labels that are there or not, and blocks of cells have
many cells of a class; the package also looks at every cell by itself (10 s for 500,000 cells of 33 classes, where this takes a
fifth). Units that have the same classes are dealt out together first, then the rest by the paper's rule, and then single units are
moved while that brings the classes nearer to their shares. All arithmetic is of whole numbers: the same on every machine.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_SHARE: Final = 1_000_000  # shares are rounded to a millionth
_PART: Final = 1 << 26  # a class's whole, in the refinement: a product of two parts, over all classes, stays below 2⁶³
_MOVED: Final = 20_000  # units that the refinement may move; of more than these the first in order
_EXCHANGED: Final = 4_000  # units that it may exchange, likewise
_TRIED: Final = 128  # of these, for each split, how many of those that would rather go there are tried with all others
_MOVES: Final = 5_000
_GOOD: Final = _PART // 1_000  # classes that are so near to their shares are not mended further


def deal(counts: Ints, shares: list[float], order: Ints) -> Ints:
    """(unit,) the split of each unit, 0 … len(shares) − 1.

    Args:
        counts: (unit, class) how many cells of each class a unit has; a class of all cells keeps the splits' sizes.
        shares: of the splits.
        order: (unit,) positions of the units in seeded order; units are equal otherwise, and their place in `counts` has no part.
    """
    ranked = counts[order]
    whole = np.array([round(share * _SHARE) for share in shares], np.int64)
    dealt = _alike(ranked, whole)
    need = whole[:, None] * ranked.sum(axis=0)
    for split in range(len(whole)):
        need[split] -= _SHARE * ranked[dealt == split].sum(axis=0)
    _iterate(ranked, dealt, need, whole)
    found = np.empty(len(order), np.int64)
    found[order] = dealt
    return refine(counts, found, np.repeat(np.array(shares)[:, None], counts.shape[1], axis=1), order)


def _alike(counts: Ints, whole: Ints) -> Ints:
    """Each split its whole number of the units that are alike, in their order; −1: the rest of them."""
    dealt = np.full(len(counts), -1, np.int64)
    kinds = np.ascontiguousarray(counts).view(np.dtype((np.void, counts.shape[1] * counts.itemsize))).ravel()
    kind = np.unique(kinds, return_inverse=True)[1]
    many = np.bincount(kind)
    by_kind = np.argsort(kind, kind="stable")
    place = np.arange(len(counts)) - np.repeat(np.cumsum(many) - many, many)
    end = np.zeros(len(many), np.int64)
    for split, share in enumerate(whole):
        start, end = end, end + many * share // _SHARE
        of = kind[by_kind]
        dealt[by_kind[(place >= start[of]) & (place < end[of])]] = split
    return dealt


def _iterate(counts: Ints, dealt: Ints, need: Ints, whole: Ints) -> None:
    """The paper's rule for what is not dealt yet: the rarest class first, each unit to the split that needs that class most.

    Of splits that need it alike the one that needs most of all classes; units with many cells of the class come first. What has
    no class goes where most is needed.
    """
    needs: list[list[int]] = need.tolist()
    splits = range(len(whole))
    by_share = sorted(splits, key=lambda split: -int(whole[split]))
    while len(left := np.flatnonzero(dealt < 0)):
        remaining = counts[left].sum(axis=0)
        rare = int(np.argmin(np.where(remaining > 0, remaining, np.iinfo(np.int64).max)))
        units = left[counts[left, rare] > 0] if remaining[rare] else left
        units = units[np.argsort(-counts[units, rare], kind="stable")]
        for unit in units.tolist():
            row = counts[unit].tolist()
            most = max(needs[split][rare] for split in splits)
            best = [split for split in by_share if needs[split][rare] == most]
            if len(best) > 1:
                best.sort(key=lambda split: -sum(need for need, cells in zip(needs[split], row, strict=True) if cells))
            dealt[unit] = best[0]
            mine = needs[best[0]]
            for each, cells in enumerate(row):
                if cells:
                    mine[each] -= _SHARE * cells


def refine(counts: Ints, dealt: Ints, shares: NDArray[np.float64], order: Ints) -> Ints:
    """Move a unit to another split, or exchange two, while that lessens the sum of squared deviations of all classes' shares.

    Always the move that lessens it most; an exchange where no move does. A class's deviations are shares of itself, so that rare
    classes count as common ones do.

    Args:
        counts: as of `deal`, and `order` too.
        dealt: (unit,) the split of each unit now.
        shares: (split, class) that are wanted.
    """
    moved = dealt[order]
    total = counts.sum(axis=0)
    classes = total > 0
    part = counts[order][:, classes] * _PART // total[classes]
    over = np.stack([part[moved == split].sum(axis=0) for split in range(len(shares))])
    over -= np.rint(shares[:, classes] * _PART).astype(np.int64)
    state = _State(part[:_MOVED], moved[:_MOVED], over)
    for _ in range(_MOVES):
        if np.abs(state.over).max() <= _GOOD or not (state.move() or state.exchange()):
            break
    found = np.empty(len(order), np.int64)
    found[order] = moved
    return found


class _State:
    """Units that may move, where they are (a view: changed in place), and by how much each split has too much of each class."""

    def __init__(self, part: Ints, dealt: Ints, over: Ints) -> None:
        self.part, self.dealt, self.over = part, dealt, over
        self.own = (part * part).sum(axis=1)
        self.gain = part @ over.T  # (unit, split): how far a unit is what a split has too much of

    def _changes(self) -> Ints:
        """(unit, split) half of what the sum of squares changes by when the unit goes there; 0 where it is."""
        at = np.arange(len(self.part))
        change = self.own[:, None] - self.gain[at, self.dealt][:, None] + self.gain
        change[at, self.dealt] = 0
        return np.asarray(change)

    def _go(self, unit: int, to: int) -> None:
        start = int(self.dealt[unit])
        self.over[start] -= self.part[unit]
        self.over[to] += self.part[unit]
        self.dealt[unit] = to
        for split in (start, to):
            self.gain[:, split] = self.part @ self.over[split]

    def move(self) -> bool:
        """Make the best move; False where none is good."""
        change = self._changes()
        unit, to = divmod(int(np.argmin(change)), change.shape[1])
        if change[unit, to] >= 0:
            return False
        self._go(unit, to)
        return True

    def exchange(self) -> bool:
        """Make the best exchange of one of the units that would rather go with any other; False where none is good."""
        change = self._changes()[:_EXCHANGED]
        here = self.dealt[:_EXCHANGED]
        best = (0, 0, 0)
        for to in range(change.shape[1]):
            going = np.flatnonzero(here != to)
            going = going[np.argsort(change[going, to], kind="stable")[:_TRIED]]
            coming = np.flatnonzero(here == to)
            if not len(going) or not len(coming):
                continue
            # one goes to where the other comes from: what both share is then neither gained nor lost, twice
            both = change[going, to][:, None] + change[coming][:, here[going]].T
            both -= 2 * (self.part[going] @ self.part[coming].T)
            at = int(np.argmin(both))
            if both.flat[at] < best[0]:
                best = (int(both.flat[at]), int(going[at // len(coming)]), int(coming[at % len(coming)]))
        if best[0] >= 0:
            return False
        start, to = int(self.dealt[best[1]]), int(self.dealt[best[2]])
        self._go(best[1], to)
        self._go(best[2], start)
        return True
