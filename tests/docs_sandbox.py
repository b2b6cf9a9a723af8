"""A copy of the repository with an empty home, in which a page's commands run as they are typed.

Programs that would install, submit or take hours have stand-ins in .venv/bin, which is on the PATH:

- python: small sizes of the same programs, by docs_programs.py
- pip: checks that the requirements are there; make: that the target is there (make -n)
- sbatch: runs the script of each task of the array as far as the parsers of its programs
- srun, torchrun: check their own flags and run the command here, once
- git clone, conda, mypy, pre-commit: check their arguments
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import docs_data
from docs_pages import Page, is_whole, statements, tracked
from docs_text import PLAN, RUN, Fault

LIMIT = 480  # seconds, for all commands of a page
LAST_LINES = 8  # of a failed command's output
RUNNING: list[subprocess.Popen] = []  # the shells and servers of all pages
REAL = shlex.quote(sys.executable)
SLURM_FLAGS = (
    "array|partition|nodes|ntasks|ntasks-per-node|gres|gpus|gpus-per-node|cpus-per-task|time|mem|"
    "account|qos|constraint|job-name|output|export|dependency|exclusive"
)
OPTIONS = f"""options=()
    while [[ ${{1:-}} == -* ]]; do
        if ! [[ $1 =~ ^--({SLURM_FLAGS})(=|$) ]]; then
            echo "${{0##*/}}: unknown option $1" >&2
            exit 2
        fi
        if [[ $1 == *=* ]]; then options+=("$1"); shift; else options+=("$1=$2"); shift 2; fi
    done"""
COMMANDS = {
    "python": """exec {real} -I -S "$CLIENT" "$@" """,
    "pip": """[[ $1 == install ]] || exit 2
        shift
        [[ " $*" == *" -r "* ]] || exit 0
        exec {real} -m pip --disable-pip-version-check install --dry-run --no-index -q "$@" """,
    "make": """exec /usr/bin/make -n "$@" """,
    "srun": OPTIONS + """\nexec "$@" """,
    "sbatch": OPTIONS
    + """
        script=$1 status=0
        shift
        bash -n "$script" || exit
        array=$(printf '%s\\n' "${options[@]}" | sed -n 's/^--array=//p')
        array=${array:-$(sed -n 's/^#SBATCH --array=//p' "$script")}
        for part in $(tr ',' ' ' <<<"${array:-0}"); do
            for task in $(seq "${part%-*}" "${part#*-}"); do
                SLURM_ARRAY_TASK_ID=$task PLAN=yes PYTHON=python bash "$script" "$@" || status=$?
            done
        done
        exit "$status" """,
    "torchrun": """lines='import sys; from torch.distributed.run import parse_args
a = parse_args(sys.argv[1:]); print(a.training_script, *a.training_script_args, sep="\\n")'
        told=$(env -u PLAN python -c "$lines" "$@") || exit
        mapfile -t words <<<"$told"
        exec python "${words[@]}" """,
    "git": """[[ $1 == clone ]] || exec /usr/bin/git "$@"
        [[ $2 =~ ^(https://|git@)[^/:]+[/:].+ ]] || exit 2
        name=${2##*/}
        ln -s . "${name%.git}" """,
    "conda": """while [[ $# != 0 && $1 != -f ]]; do shift; done; [[ $# == 0 || -f $2 ]]""",
    "mypy": """for path; do [[ $path == -* || -e $path ]] || exit 2; done""",
    "pre-commit": """[[ -f .pre-commit-config.yaml && $1 =~ ^(install|run)$ ]]""",
    "ruff": """exec {real} -m ruff "$@" """,
}
HEAD = """
failed=()
set -o pipefail
trap 'failed+=("$? $BASH_COMMAND")' ERR
"""
ONE = """failed=() started=$EPOCHREALTIME
{{
{text}
}} </dev/null >"$RECORDS/{line}.out" 2>&1
printf '%s\\n' "$EPOCHREALTIME $started" "${{failed[@]//$'\\n'/ }}" >"$RECORDS/{line}.end"
"""


class Ran(NamedTuple):
    """What came of a page's commands. `times`: seconds of each statement, with its place."""

    commands: int
    faults: list[Fault]
    times: list[tuple[float, str]]


def make_sandbox(root: Path, folder: Path) -> Path:
    """Copy the tracked files, with an empty home and the stand-ins; return the copy."""
    repository = folder / "repository"
    for name in tracked(root):
        target = repository / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target)
    for name in ("home", "temporary", "records"):
        (folder / name).mkdir()
    (repository / ".venv/bin").mkdir(parents=True)
    for name, body in COMMANDS.items():
        stand_in(repository, name, body)
    stand_in(repository, "python3", COMMANDS["python"])
    return repository


def stand_in(repository: Path, name: str, body: str) -> None:
    path = repository / ".venv/bin" / name
    path.write_text("#!/usr/bin/env bash\n" + body.replace("{real}", REAL) + "\n")
    path.chmod(0o755)


def variables(folder: Path) -> dict[str, str]:
    """Return the variables of a shell in the sandbox: none of the user's own."""
    repository = folder / "repository"
    return {
        "HOME": str(folder / "home"),
        "PATH": f"{repository / '.venv/bin'}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": str(folder / "temporary"),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CLIENT": str(repository / "tests/docs_client.py"),
        "PROGRAMS": str(folder / "programs"),
        "RECORDS": str(folder / "records"),
    }


@contextmanager
def programs(folder: Path) -> Iterator[None]:
    """Start the server of programs, and end it with all that runs in it."""
    repository = folder / "repository"
    paths = os.pathsep.join(str(repository / n) for n in (".", "process_data", "tests"))
    with (folder / "server.txt").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "tests/docs_programs.py", str(folder / "programs")],
            cwd=repository, env={**variables(folder), "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    RUNNING.append(server)
    try:
        end = time.monotonic() + LIMIT
        while not (folder / "programs").exists():
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError((folder / "server.txt").read_text())
            time.sleep(0.05)
        yield
    finally:
        end_group(server)


def end_all() -> None:
    """End the shells and servers of all pages."""
    for process in list(RUNNING):
        end_group(process)


def end_group(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_page(root: Path, page: Page, data: Path, folder: Path) -> Ran:
    """Run a page's commands in order, in one shell of a sandbox in `folder`."""
    texts: dict[int, str] = {}
    repository = make_sandbox(root, folder)
    docs_data.fill(repository, data, page)
    script, faults, commands = [HEAD], [], 0
    for number, text in enumerate(docs_data.made_before(page)):
        texts[-number] = text
        script.append(ONE.format(text=text, line=-number))
    for block in page.blocks:
        script.append("export PLAN=yes" if block.mark == PLAN else "unset PLAN")
        if block.language == "bash":
            for statement in statements(block):
                if not is_whole(statement.text):
                    faults.append(Fault(page.place(statement.line), "is no whole command"))
                    continue
                texts[statement.line] = statement.text
                commands += statement.commands
                script.append(ONE.format(text=statement.text, line=statement.line))
        elif block.language == "python" and block.mark == RUN:
            (repository / f".lines_{block.line}.py").write_text("\n".join(block.lines) + "\n")
            texts[block.line] = f"python .lines_{block.line}.py"
            commands += 1
            script.append(ONE.format(text=texts[block.line], line=block.line))
    if texts:
        run_script(folder, "\n".join(script))
    times = []
    for line, text in sorted(texts.items()):
        seconds, told = outcome(folder / "records", line, text)
        times.append((seconds, f"{page.place(max(line, 1))}: {text.splitlines()[0][:90]}"))
        faults += [Fault(page.place(max(line, 1)), one) for one in told]
    return Ran(commands, faults, times)


def run_script(folder: Path, script: str) -> None:
    """Run the page's script to its end, or for as long as the limit lets it."""
    (folder / "page.sh").write_text(script)
    with programs(folder), (folder / "shell.txt").open("w") as log:
        shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc", str(folder / "page.sh")],
            cwd=folder / "repository", env=variables(folder), stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        RUNNING.append(shell)
        try:
            with suppress(subprocess.TimeoutExpired):
                shell.wait(LIMIT)
        finally:
            end_group(shell)


def outcome(records: Path, line: int, text: str) -> tuple[float, Sequence[str]]:
    """Return a statement's seconds, and for each command in it that failed what is to be told."""
    written = records / f"{line}.out"
    output = written.read_text(errors="replace").splitlines() if written.exists() else []
    last = "".join(f"\n    {row[:300]}" for row in output[-LAST_LINES:])
    end = records / f"{line}.end"
    if not end.exists():
        state = "has not ended in time" if written.exists() else "was not reached"
        return 0.0, [f"{state}: {text}{last}"]
    times, *failed = end.read_text().splitlines()
    until, since = map(float, times.split())
    told = []
    for one in dict.fromkeys(filter(None, failed)):
        status, _, command = one.partition(" ")
        told.append(f"status {status} of: {command}{last}")
        last = ""  # shown once
    return until - since, told
