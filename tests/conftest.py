"""What every test shares.  The tests import the installed wheel: see unit/test_packaging.py."""

from hypothesis import settings

# A shared machine with two cores pauses at will, and a pause is no bug: the limit is pytest's, by
# the test and not by the example.
settings.register_profile("muniment", deadline=None)
settings.load_profile("muniment")
