"""Run the builds for FreeBSD, NetBSD, OpenBSD and macOS here, over a stand-in for each system's kernel.

The extension is compiled with a system's own headers (`build.py`) and linked with a stand-in (`kernel/`) that takes
that system's structs and numbers, keeps its rules, ends the process at a number that it does not know, and does the
work with Linux's calls. What comes of it is a module that the interpreter of this machine imports, and the tests of the
project run over it (`selection.py`). What that proves, and what it cannot, is in ``docs/foreign-builds.md``.

Run it from the root of a checkout, where ziglang, cffi, pytest and hypothesis are installed:
``python -m tools.foreign``; or ``tox -e foreign``.

Rule: nothing is skipped. What is missing here is a failure.
"""
