# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Exporting a path on this host: looking, writing, and having exportfs read what was written.

exportfs has no way to try a file: it reads what is in place. So a file is put in place, and what was there before is
kept beside it until exportfs has taken the new one without a complaint. A run that was killed in between leaves that
copy, by which the next one knows that exportfs has to be run again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Operation, Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage import _export_plan as planning
from ansible_collections.stateful.kube.plugins.module_utils._storage._export_plan import Observed, Wish
from ansible_collections.stateful.kube.plugins.module_utils._storage._exports import SyntaxProblem, parse, rendered

EXPORTS = "/etc/exports"
FOLDER = "/etc/exports.d"
MOUNTS = "/proc/self/mountinfo"
# Where a shell without a login shell's PATH does not look.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
# Seconds. Names of clients are looked up, and a name server may be away.
EXPORTFS_TIMEOUT = 120


@dataclasses.dataclass(frozen=True)
class Host:
    """Where things are; other places than the usual ones are for tests."""

    exports: str = EXPORTS
    folder: str = FOLDER
    program: t.Optional[str] = None

    def exportfs(self) -> t.Optional[str]:
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS])
        return self.program or shutil.which("exportfs", path=path)


class Exporting(Operation[Observed]):
    """One path exported, or no longer."""

    wait_timeout = 0.0

    def __init__(self, wish: Wish, host: Host, warn: t.Callable[[str], None]) -> None:
        self.wish = dataclasses.replace(wish, file=os.path.join(host.folder, wish.file))
        self.host = host
        self.title = f"NFS export {wish.path}"
        self._warn = warn
        self._before: t.Optional[str] = None
        self._looked = False
        # The name is none that exportfs reads.
        self._copy = os.path.join(host.folder, f".{wish.file}.before")

    def observe(self) -> Observed:
        files = self._files()
        if not self._looked:
            self._before, self._looked = files.get(self.wish.file), True
        paths = {self.wish.path}
        for text in files.values():
            with contextlib.suppress(SyntaxProblem):
                paths.update(export.path for export in parse(text))
        return Observed(
            files=files,
            path_is=_what_is(self.wish.path),
            real={path: os.path.realpath(path) for path in paths},
            mounts=_mounts(),
            interrupted=os.path.exists(self._copy),
            exportfs=self.host.exportfs() is not None,
        )

    def _files(self) -> dict[str, str]:
        names = [self.host.exports]
        if os.path.isdir(self.host.folder):
            inside = sorted(name for name in os.listdir(self.host.folder) if name.endswith(".exports"))
            names += [os.path.join(self.host.folder, name) for name in inside if not name.startswith(".")]
        return {name: _read(name) for name in names if os.path.isfile(name)}

    def plan(self, observed: Observed) -> t.Union[Plan, Refusal]:
        return planning.plan(self.wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Observed) -> None:
        for step in steps:
            if step.action == planning.EXPORT:
                self._export()
                continue
            try:
                self._keep_copy(observed)
                if step.action == planning.WRITE:
                    _write(step.target, step.data["text"])
                else:
                    os.unlink(step.target)
            except OSError as error:
                raise Failure(
                    f"{self.wish.file} cannot be written: {error.strerror}. Run the task as root, as with become."
                ) from error

    def _keep_copy(self, observed: Observed) -> None:
        """What is exported now, unless a run that was broken off has left an older copy, which is what is exported."""
        os.makedirs(self.host.folder, mode=0o755, exist_ok=True)
        if not observed.interrupted:
            _write(self._copy, observed.files.get(self.wish.file, ""))

    def _export(self) -> None:
        """Have exportfs read everything; back to what was there when it complains of what is new."""
        complaints = self._run_exportfs()
        if complaints:
            new = _read(self.wish.file) if os.path.isfile(self.wish.file) else ""
            self._put(_read(self._copy))
            before = self._run_exportfs()
            if set(complaints) - set(before):
                os.unlink(self._copy)
                raise Failure(
                    f"exportfs does not accept {self.wish.path} as declared, so {self.wish.file} is as it was before. "
                    f"It said: {'; '.join(line for line in complaints if line not in before)}.",
                    changed=False,
                    done=[],
                )
            # It complains of lines that were there before, in the same words: those are not ours to judge.
            self._put(new)
            self._run_exportfs()
            self._warn(f"exportfs complains of what other lines export: {'; '.join(complaints)}")
        os.unlink(self._copy)

    def _put(self, text: str) -> None:
        if text:
            _write(self.wish.file, text)
        elif os.path.exists(self.wish.file):
            os.unlink(self.wish.file)

    def _run_exportfs(self) -> list[str]:
        """What exportfs complains of, in its own words; nothing where it took everything."""
        program = self.host.exportfs() or "exportfs"
        try:
            done = subprocess.run(  # noqa: S603 (the system's own program, without a shell)
                [program, "-ra"],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=EXPORTFS_TIMEOUT,
                env={**os.environ, "LC_ALL": "C"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failure(
                f"exportfs -ra could not be run to its end ({error}), so what {self.wish.file} says may not be "
                "exported yet. Run the same task again."
            ) from error
        return complaints_in(done.stdout, done.returncode)

    def facts(self, observed: Observed) -> dict[str, t.Any]:
        lines = []
        with contextlib.suppress(SyntaxProblem):
            lines = [
                rendered(export)
                for export in parse(observed.files.get(self.wish.file, ""))
                if observed.really(export.path) == observed.really(self.wish.path)
            ]
        return {"path": self.wish.path, "file": self.wish.file, "lines": lines}

    def diff(self, plan: Plan) -> t.Any:
        step = next((step for step in plan.steps if step.action != planning.EXPORT), None)
        if step is None:
            return super().diff(plan)
        return {
            "before_header": step.target,
            "after_header": step.target,
            "before": self._before or "",
            "after": step.data.get("text", ""),
        }


def complaints_in(output: str, code: int) -> list[str]:
    """The lines of exportfs that tell of an export that was not made. A name that is unknown leaves its code at 0."""
    lines = [line.partition("exportfs:")[2].strip() for line in output.splitlines() if line.startswith("exportfs:")]
    lines = [line for line in lines if "Neither 'subtree_check'" not in line]
    if code == 0:
        lines = [line for line in lines if line.startswith("Failed to resolve")]
    elif not lines:
        lines = [f"nothing, and ended with code {code}"]
    return list(dict.fromkeys(lines))


def _what_is(path: str) -> str:
    if os.path.isdir(path):
        return "folder"
    return "a file" if os.path.lexists(path) else "nothing"


def _mounts() -> tuple[str, ...]:
    """Where file systems are mounted; bind mounts too, which have the device of what they show."""
    try:
        lines = _read(MOUNTS).splitlines()
    except OSError:
        return ("/",)
    return tuple(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[4]) for line in lines)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    """Write a file that is whole or not there, also when the power fails."""
    folder, name = os.path.split(path)
    # exportfs reads nothing that begins with a dot. One name, so that runs that were killed leave one file at most.
    unfinished = os.path.join(folder, f".{name.lstrip('.')}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
