# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Start of `python tests/vm/vm COMMAND`."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LAB = FOLDER.parents[1] / "lab"

if sys.version_info < (3, 11):
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"This expected Python 3.11 or newer and found {found} at {sys.executable}. Use the project's venv.")

# The package's parent belongs on the path, and the lab's, whose small tools are used here too.
sys.path[:] = [str(FOLDER.parent), str(LAB)] + [entry for entry in sys.path if Path(entry or ".").resolve() != FOLDER]

if __name__ == "__main__":
    from vm.cli import main

    sys.exit(main(sys.argv[1:]))
