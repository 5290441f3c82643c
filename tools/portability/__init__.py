"""What can be proved about systems other than this one, with their own headers and nothing of their kernels.

For each target (`targets.py`) the C is compiled with warnings as errors; each integer and each function that the
cdef names is held against the compiler's view of it (`asserts.py`); the layouts of the system's structs are read
from the object file (`notes.py`) and compared with the reviewed table (`table.py`, `layouts.txt`); and the module
is linked with the system's C library and no undefined symbol. Run it from the root of a checkout, where ziglang is
installed: ``python -m tools.portability``; or ``tox -e portability``.

Rule: nothing is skipped. What is missing, here or on a target, is a failure.
"""
