"""A command that is forked is told from one of its own process by nothing but its speed."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.prepared import python
from tests.waiting import finish, until, work_of

SHOWS = (
    "import os, sys; print(os.getcwd(), os.environ.get('ONLY_HERE'), os.environ.get('HOME'), sys.argv, sys.path[:2])"
)
WAITS = "[time.sleep(0.1) for _ in range(6000)]"
"""Not one sleep: a signal that comes between Python's last look and the start of a sleep waits for its end."""
ENDS = {
    "nothing": "print('said')",
    "status": "import sys; print('said'); print('wrong', file=sys.stderr); sys.exit(7)",
    "message": "import sys; sys.exit('what to do')",
    "error": "raise ValueError('cause')",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "at exit": "import atexit; atexit.register(print, 'last')",
    "thread": "import threading; threading.Timer(0.01, print, ('later',)).start()",
}


def alone(arguments: list[str], folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """The same in a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, text=True, capture_output=True, check=False
    )


def environment(**more: str) -> dict[str, str]:
    """That of these tests, without HOME."""
    return {**{name: value for name, value in os.environ.items() if name != "HOME"}, **more}


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_output_errors_and_exit_status_are_those_of_the_interpreter(code: str, tmp_path: Path) -> None:
    forked, own = (run(["-c", code], tmp_path, environment()) for run in (python.run, alone))
    assert (forked.returncode, forked.stdout) == (own.returncode, own.stdout)
    assert forked.stderr.splitlines()[-1:] == own.stderr.splitlines()[-1:]


@pytest.mark.parametrize("arguments", [["-c", SHOWS, "a", "b"], ["-m", "shows", "a"], ["shows.py"], ["-E", "shows.py"]])
def test_folder_variables_arguments_and_places_of_modules_are_its_own(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "shows.py").write_text(SHOWS)
    own = environment(ONLY_HERE="yes", PYTHONPATH=str(tmp_path / "modules"))
    forked = python.run(arguments, tmp_path, own)
    assert forked.stdout == alone(arguments, tmp_path, own).stdout != ""


def test_a_variable_that_the_interpreter_reads_when_it_starts_has_its_effect(tmp_path: Path) -> None:
    shown = python.run(["-c", "import sys; print(sys.flags.utf8_mode)"], tmp_path, environment(PYTHONUTF8="1"))
    assert shown.stdout == "1\n"


def test_who_asks_and_goes_away_is_no_harm(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.connect(str(python.prepared_process()))
        gone.sendall(b'{"arguments": ')
    assert python.run(["-c", "print(1)"], tmp_path, environment()).stdout == "1\n"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A file that stands for `python` in a shell."""
    python.stand_in(tmp_path / "python")
    return tmp_path / "python"


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_in_a_shell_output_errors_and_exit_status_are_those_of_the_interpreter(code: str, program: Path) -> None:
    command = ["bash", "-c", '"$@"; exit $?', "bash"]
    forked, own = (
        subprocess.run([*command, interpreter, "-c", code], text=True, capture_output=True, check=False)
        for interpreter in (str(program), sys.executable)
    )
    assert (forked.returncode, forked.stdout) == (own.returncode, own.stdout)
    errors, expected = (
        [line for line in done.stderr.splitlines() if not line.startswith("bash:")] for done in (forked, own)
    )
    assert errors[-1:] == expected[-1:]


def test_in_a_shell_it_reads_writes_and_runs_where_the_shell_says(program: Path) -> None:
    text = "import os, sys; print(os.getcwd(), os.environ['ONLY_HERE'], sys.stdin.read())"
    line = f'mkdir inner; cd inner; echo read | ONLY_HERE=yes "{program}" -c "{text}" > ../written'
    subprocess.run(["bash", "-c", line], cwd=program.parent, check=True)
    assert (program.parent / "written").read_text().split() == [str(program.parent / "inner"), "yes", "read"]


def test_in_a_shell_a_signal_ends_both(program: Path) -> None:
    started = program.parent / "started"
    code = f"import os, time; open({str(started)!r}, 'w').write(str(os.getpid())); {WAITS}"
    process = subprocess.Popen([program, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until("its start", lambda: started.exists() and started.read_text(), work_of(python.prepared_process_id()))
    process.send_signal(signal.SIGINT)
    finish(process)
    assert process.returncode == 128 + signal.SIGINT
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_and_is_its_exit_status(number: signal.Signals, tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = f"import time; open({str(started)!r}, 'w').close(); {WAITS}"
    process = python.start(["-c", code], tmp_path, environment())
    until("its start", started.exists, work_of(process.pid))
    assert process.poll() is None
    process.send_signal(number)
    finish(process)
    assert process.returncode == -number
