"""`python -m deblur.cli.warm`: load everything, wait for the words of one command on stdin, and run it.

Who starts it (`deblur.worker`) saves the seconds that loading takes when the command comes.
"""

from __future__ import annotations

import json
import os
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command that the first line of stdin names, `{"words": [...], "folder": ...}`; none where none comes."""
    from deblur.cli import main as run
    from deblur.cli.jobs import apply, fit  # noqa: F401 - what takes long to load

    line = sys.stdin.readline()
    if not line:
        return 0
    asked = json.loads(line)
    if asked.get("folder"):
        os.chdir(asked["folder"])
    sys.argv = ["deblur", *asked["words"]]
    return run()


if __name__ == "__main__":
    sys.exit(main())
