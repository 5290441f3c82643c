"""What the library costs, beside the standard library and beside the bare system calls in C.

Run it from the root of a checkout or of an unpacked source distribution, with the package installed:
``python -m benchmarks``.  `docs/benchmarks.md` says how to read what it prints.
"""
