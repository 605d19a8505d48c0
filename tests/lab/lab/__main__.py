# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Start of `python tests/lab/lab COMMAND` (and of `python -m lab COMMAND` in tests/lab)."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

if sys.version_info < (3, 11):
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"The lab expected Python 3.11 or newer and found {found} at {sys.executable}. Use the project's venv.")

# Python puts a folder that it runs itself on the path; the package's parent belongs there.
sys.path[:] = [str(FOLDER.parent)] + [entry for entry in sys.path if Path(entry or ".").resolve() != FOLDER]

if __name__ == "__main__":
    from lab.cli import main

    sys.exit(main(sys.argv[1:]))
