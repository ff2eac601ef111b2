"""Numbers that the workers of a service share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.shared import Pair, SharedNumbers

KEY = b"k" * 32


@pytest.fixture(params=["shared", "alone"])
def numbers(request: pytest.FixtureRequest, tmp_path: Path) -> SharedNumbers:
    return SharedNumbers(KEY, tmp_path / "shared" if request.param == "shared" else None)


def more(old: Pair | None) -> tuple[Pair, float]:
    count = 1.0 if old is None else old[0] + 1
    return (count, -count), count


def test_what_was_put_under_a_name_stands_there_and_nowhere_else(numbers: SharedNumbers) -> None:
    assert numbers.get("a", "b") is None
    assert [numbers.change(("a", "b"), more) for _ in range(3)] == [1, 2, 3]
    assert numbers.get("a", "b") == (3, -3)
    assert numbers.get("b", "a") is None


def test_two_workers_that_change_a_number_at_once_lose_no_change(tmp_path: Path) -> None:
    workers = [SharedNumbers(KEY, tmp_path / "shared") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        # flock(2) holds between files that were opened by themselves, in threads as in processes.
        counted = pool.map(lambda one: [one.change(("n",), more) for _ in range(500)], workers)
        seen = sorted(number for part in counted for number in part)
    assert seen == [float(number) for number in range(1, 2001)]


def test_who_asks_for_what_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    numbers = SharedNumbers(KEY, tmp_path / "shared")
    for number in range(10):
        assert numbers.get("deletion", str(number)) is None
    assert not list((tmp_path / "shared").iterdir())


def test_no_name_stands_in_the_directory(tmp_path: Path) -> None:
    numbers = SharedNumbers(KEY, tmp_path / "shared")
    numbers.change(("deletion", "acme", "db-password"), more)
    (file,) = (tmp_path / "shared").iterdir()
    assert "db-password" not in file.name
    assert b"db-password" not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    SharedNumbers(b"o" * 32, tmp_path / "shared").change(("deletion", "acme", "db-password"), more)
    assert len(list((tmp_path / "shared").iterdir())) == 2


def test_a_worker_whose_directory_is_gone_goes_on_by_itself(tmp_path: Path) -> None:
    numbers = SharedNumbers(KEY, tmp_path / "shared")
    (tmp_path / "shared").rmdir()
    assert [numbers.change(("n",), more) for _ in range(2)] == [1, 2]
    assert numbers.get("n") == (2, -2)
