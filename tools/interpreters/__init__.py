"""The library on every interpreter that Debian's and PyPI's packages supply: built, installed, tested.

Each interpreter of the list (`catalogue.py`) comes from this machine's PATH, from packages of another Debian
(`packaged.py`), or, free-threaded, from a package of PyPI that holds CPython for other purposes (`frozen.py`), and is
put into a folder of the run. A wheel is built there with `pip wheel`, as a user would, its tag is compared with the one
that the list expects, and the tests run against it (`trial.py`). Run it from the root of a checkout:
``python -m tools.interpreters NAME...``; or ``tox -e interpreters -- NAME...``.

Rule: nothing is skipped, and nothing is left on the machine. What cannot be had is a failure, no package is installed
there, and no folder is mounted.
"""
