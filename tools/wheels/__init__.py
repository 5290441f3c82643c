"""The wheel for all CPythons on Linux with glibc, as one would publish it: built, checked, and used.

It is built against the C library of 2012 (`build.py`), whatever this machine has. What its name promises is then held
against what is in it (`check.py`): auditwheel looks which versions of the C library its symbols need, abi3audit whether
all that it takes from Python is in the stable ABI of the version that it names; and it is installed and used on the
oldest and on the newest interpreter that are here. Run it from the root of a checkout: ``python -m tools.wheels``; or
``tox -e wheels``.

Rule: nothing is skipped, and the wheel that is checked is the file that is left.
"""
