"""Roots and proofs from a log's rows are those of RFC 6962, with its memory of hashes or without."""

from hashlib import sha256
from pathlib import Path

import pytest

from eventstore import merkle, tiles
from eventstore.errors import HistoryForked, ProofInvalid, RootMismatch
from eventstore.export import export_tiles, public_log
from eventstore.merkle import EMPTY_ROOT, check_consistency, consistency_proof
from eventstore.storage import open_environment
from eventstore.transaction import RECORDS, Tables
from support.public import grow_log, leaf


def tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\1" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


LEAVES = [leaf(position) for position in range(1_300)]


def test_every_tree_is_consistent_with_every_smaller_one_and_no_other() -> None:
    leaves = LEAVES[:35]
    roots = [tree_hash(leaves[:size]) for size in range(36)]

    def subtree(start: int, stop: int) -> bytes:
        return tree_hash(leaves[start:stop])

    for new in range(36):
        for old in range(new + 1):
            path = consistency_proof(old, new, subtree)
            check_consistency(old, new, roots[old], roots[new], path)
            for wrong in (
                (old, new, bytes(32), roots[new], path),
                (old, new, roots[old], roots[new], [*path, bytes(32)]),
                *([(old, new, roots[old], bytes(32), path)] if old else []),
                *([(old, new, roots[old], roots[new], path[:-1])] if path else []),
                *([(old - 1, new, roots[old], roots[new], path)] if old else []),
            ):
                with pytest.raises(ProofInvalid):
                    check_consistency(*wrong)
    assert roots[0] == EMPTY_ROOT


@pytest.mark.parametrize("remember", [True, False], ids=["with memory", "without"])
def test_proofs_of_a_log_hold(tmp_path: Path, remember: bool) -> None:
    grow_log(tmp_path / "log", len(LEAVES), remember=remember)
    with public_log(tmp_path / "log") as log:
        for size in (1, 2, 255, 256, 257, 511, 512, 768, 1_024, 1_299, 1_300):
            root = tree_hash(LEAVES[:size])
            assert log.tree.root(size) == root
            assert log.tree.extends(size, root)
            assert not log.tree.extends(size, bytes(32))
            for position in {0, size // 2, size - 1}:
                path = log.tree.inclusion(position, size, root)
                hashed = merkle.leaf_hash(LEAVES[position])
                assert merkle.root_from_inclusion(position, size, hashed, path) == root
        assert not log.tree.extends(len(LEAVES) + 1, log.tree.root())


def test_a_wrong_memory_proves_nothing(tmp_path: Path) -> None:
    grow_log(tmp_path / "log", len(LEAVES))
    forget(tmp_path / "log", tiles.key(1, 2), bytes(32))
    with pytest.raises(RootMismatch), public_log(tmp_path / "log"):
        pytest.fail("the log was opened")


def test_a_lost_memory_costs_time_only(tmp_path: Path) -> None:
    grow_log(tmp_path / "log", len(LEAVES))
    forget(tmp_path / "log", tiles.key(1, 2), None)
    with public_log(tmp_path / "log") as log:
        assert log.tree.root(1_100) == tree_hash(LEAVES[:1_100])
        assert len(log.prove(1_000).path) == 11


def forget(path: Path, key: bytes, hashed: bytes | None) -> None:
    environment = open_environment(path, create=False)
    table = Tables.open(environment).tiles
    with environment.begin(write=True) as transaction:
        assert transaction.delete(key, db=table)
        if hashed is not None:
            transaction.put(key, hashed, db=table)
    environment.close()


def test_a_changed_leaf_is_not_exported(tmp_path: Path) -> None:
    grow_log(tmp_path / "log", len(LEAVES))
    environment = open_environment(tmp_path / "log", create=False)
    with environment.begin(write=True) as transaction:
        table = environment.open_db(RECORDS, txn=transaction)
        transaction.put((300).to_bytes(8, "big"), leaf(301), db=table)
    environment.close()
    with public_log(tmp_path / "log") as log, pytest.raises(RootMismatch):
        export_tiles(log, tmp_path / "out")
    assert not (tmp_path / "out" / "checkpoint").exists()


def test_an_export_that_was_cut_short_is_taken_up(tmp_path: Path) -> None:
    grow_log(tmp_path / "log", len(LEAVES))
    out = tmp_path / "out"
    with public_log(tmp_path / "log") as log:
        export_tiles(log, out)
        (out / "checkpoint").unlink()
        (out / "tile/0/001").unlink()
        (out / "tile/entries/003").write_bytes(b"torn")
        assert export_tiles(log, out).written == 4
        (out / "checkpoint").write_text(log.checkpoint.note.replace("changes", "chances"))
        with pytest.raises(HistoryForked):
            export_tiles(log, out)


def test_the_examples_of_the_specification() -> None:
    """C2SP tlog-tiles: a tree of 70,000, and one of 256."""
    found = list(tiles.tiles_of(70_000))
    assert sum(tile.level == 0 and tile.width == tiles.WIDTH for tile in found) == 273
    assert [tile.path for tile in found if tile.width != tiles.WIDTH or tile.level] == [
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert [tile.path for tile in tiles.tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert tiles.path("0", 1_234_067, tiles.WIDTH) == "tile/0/x001/x234/067"
