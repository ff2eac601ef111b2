"""Every failure has an exit status, and the table has no row that nothing can reach."""

import importlib
import pkgutil

import pytest

import cli
import eventstore
import projections
import server
import vault
from cli.exits import EXITS, exit_status
from eventstore.errors import MunimentError, every_error

PUBLISHED = {0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 20, 21, 130}


def classes() -> list[type[MunimentError]]:
    for package in (eventstore, projections, vault, server, cli):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    return [error for error in every_error() if not error.__module__.startswith(("tests", "unit"))]


@pytest.mark.parametrize("error", classes(), ids=lambda error: error.code)
def test_every_error_stands_in_the_table(error: type[MunimentError]) -> None:
    assert error.code in EXITS


def test_every_row_is_of_an_error_that_exists() -> None:
    assert set(EXITS) == {error.code for error in classes()}


def test_a_code_belongs_to_one_class() -> None:
    codes = [error.code for error in classes()]
    assert len(codes) == len(set(codes))


def test_only_published_statuses_are_used() -> None:
    assert set(EXITS.values()) <= PUBLISHED


def test_every_error_has_something_to_say() -> None:
    assert all(error().message for error in classes())


def test_an_unknown_code_is_plain_failure() -> None:
    class Strange(MunimentError):
        """Not in the table."""

        code = "strange"

    assert exit_status(Strange()) == 1
