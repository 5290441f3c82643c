"""``python -m uds_cffi``: what this build and this kernel can do, a demonstration, and a list of sockets."""

from __future__ import annotations

import argparse
import sys

from . import listing
from .printing import PROGRAM


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status (int)."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage="%(prog)s [-h] [--json] [demo | list ...]",
        description="Say what this build of uds_cffi and this kernel can do, demonstrate it, or list sockets.",
    )
    parser.add_argument("--json", action="store_true", help="print the capabilities as JSON")
    commands = parser.add_subparsers(dest="command", metavar="demo | list")
    commands.add_parser("demo", help="two processes pass descriptors and credentials and show each step")
    lister = commands.add_parser(
        "list",
        help="list the Unix sockets of this network namespace, and who is connected to whom",
        description=listing.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        prog=listing.COMMAND,
    )
    lister.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print them as JSON")
    listing.add_arguments(lister)
    options = parser.parse_args(arguments)
    if options.command == "demo":
        if options.json:
            parser.error("--json is for the capabilities, not for the demo")
        from .demo import run

        return run()
    if options.command == "list":
        return listing.run(options)
    from . import report

    return report.run(options.json)


if __name__ == "__main__":
    sys.exit(main())
