"""The library on other Linuxes, run on one machine: other processors, other kernels, and gVisor.

Each guest (`systems.py`) gets a root of Debian's packages with the library, cross-compiled, and the tests
(`roots.py`, `packing.py`), and is started (`starting.py`) with one program (`guest.py`) that runs what the guest is
for: the exercises (`exercises.py`), which hold what `features()` says there against what the features really do, and
a part of the tests (`selection.py`). What was found is compared with the reviewed table (`table.py`,
`features.txt`). Run it as root on a Debian, from the root of a checkout: ``python -m tools.emulated``, or
``tox -e emulated``.

Rule: nothing is skipped and nothing assumed. A tool that is missing, a guest that does not start, does not end in
time or ends without its verdict is a failure; and nothing of a guest is left on the machine, neither files nor mounts
nor processes.
"""
