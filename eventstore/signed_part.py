"""Of a log that grows: what its newest checkpoint covers.

A service signs some times a second and commits more often, so that the head is nearly always ahead of
what is signed.  Whoever looks from outside then looks at the log as it was when it was signed.
"""

from __future__ import annotations

from eventstore import record
from eventstore.head import Epochs, Head
from eventstore.tree import Tree


def head_of(tree: Tree, size: int) -> Head:
    """The head as it was at *size*.  Raise RootMismatch if a record is missing."""
    last = record.read_leaf(tree.leaf(size - 1)).time if size else 0
    hashes, start = [], 0
    for height in reversed(range(size.bit_length())):
        width = 1 << height
        if size & width:
            hashes.append(tree.subtree(start, start + width))
            start += width
    return Head(size, last, tuple(hashes))


def epochs_of(epochs: Epochs, size: int) -> Epochs:
    """The epochs that had begun at *size*."""
    return Epochs(tuple(one for one in epochs.signing if one.start <= size))
