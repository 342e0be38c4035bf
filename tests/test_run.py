"""run.py: its command line, JupyterLab's words, and a build that is done when something changed."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
import set_up  # noqa: E402

import run  # noqa: E402


@pytest.mark.parametrize(
    "words, here, further",
    [
        ("lab", False, []),
        ("--here lab", True, []),
        ("lab --here", True, []),
        ("lab --port 9999 world.ipynb --help", False, ["--port", "9999", "world.ipynb", "--help"]),
        ("book --here --port 9000 --no-serve", True, []),
    ],
)
def test_the_command_line(words, here, further):
    options, rest = run.parse(words.split())
    assert ("here" in options, rest) == (here, further)


@pytest.mark.parametrize("words", ["book --prot 9000", "test --allow-root", "", "boook"])
def test_a_word_that_means_nothing_is_refused(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        run.parse(words.split())
    assert stopped.value.code == 2 and "run.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    "user, words, passed_on",
    [
        (0, ["--no-browser"], ["--allow-root", "--no-browser"]),
        (0, ["--allow-root"], ["--allow-root"]),
        (1000, ["world.ipynb"], ["world.ipynb"]),
    ],
)
def test_jupyterlab_gets_further_words_and_starts_for_root(monkeypatch, user, words, passed_on):
    called = []
    monkeypatch.setattr(run, "call", lambda *words, **options: called.append(words))
    monkeypatch.setattr(run.os, "geteuid", lambda: user, raising=False)
    run.lab(Path("python"), words)
    assert called == [(Path("python"), "-m", "jupyterlab", *passed_on)]


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A repository whose build only says that it was called and writes what `book.pages` names."""

    class Book:
        folder, builds, pages = tmp_path, 0, ["index", "world"]

    def call(python, *words, problem):
        if words[0] != "figures/draw.py":
            Book.builds += 1
            for page in Book.pages:
                (tmp_path / "_build" / "html" / f"{page}.html").write_text("")

    (tmp_path / "_build" / "html").mkdir(parents=True)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "_toc.yml").write_text("root: index\nchapters:\n  - file: world\n")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(set_up, "ROOT", tmp_path)
    monkeypatch.setattr(run, "SITE", tmp_path / "_build" / "html")
    monkeypatch.setattr(run, "SITE_SOURCES", ["book"])
    monkeypatch.setattr(run, "call", call)
    return Book


def test_what_has_not_changed_is_not_built_again(book, capsys):
    run.build(Path("python"))
    run.build(Path("python"))
    assert book.builds == 1 and "Nothing has changed" in capsys.readouterr().out


def test_a_change_or_a_missing_page_is_built(book):
    run.build(Path("python"))
    (book.folder / "book" / "world.ipynb").write_text("changed")
    run.build(Path("python"))
    (book.folder / "_build" / "html" / "world.html").unlink()
    run.build(Path("python"))
    assert book.builds == 3


def test_a_build_that_leaves_a_chapter_out_fails_and_is_tried_again(book):
    book.pages = ["index"]
    for tries in (1, 2):
        with pytest.raises(SystemExit, match="no HTML page for world"):
            run.build(Path("python"))
        assert book.builds == tries


def test_all_that_a_page_is_made_of_is_there():
    assert [name for name in run.SITE_SOURCES if not (ROOT / name).exists()] == []


def test_a_command_beside_the_others_is_waited_for_and_its_failure_told(capsys):
    good = run.Check("good", Path(sys.executable), "-c", "print('fine')")
    bad = run.Check("bad", Path(sys.executable), "-c", "import sys; sys.exit('broken')")
    assert good.passed() and not bad.passed()
    assert "fine" in good.output and "broken" in capsys.readouterr().out


def commands_of(monkeypatch, broken):
    """Where `run.test` then writes its commands; the one that `broken` names fails."""
    commands = []

    class Check:
        def __init__(self, what, python, *words, **variables):
            kernels = "older" if variables else "native"
            self.what, self.words = what, " ".join(words).replace("--nbval", f"nbval {kernels}", 1)
            self.polls = 3 if kernels == "native" else 1000
            commands.append(self.words)

        def running(self):
            self.polls -= 1
            return self.polls > 0

        def passed(self):
            return broken is None or broken not in self.words

    def tests(command, **options):
        commands.append(" ".join(command))
        return SimpleNamespace(returncode=int(broken is not None and broken in commands[-1]))

    monkeypatch.setattr(run, "Check", Check)
    monkeypatch.setattr(run, "build", lambda python: commands.append("build"))
    monkeypatch.setattr(run.time, "sleep", lambda seconds: commands.append("waited"))
    monkeypatch.setattr(run.subprocess, "run", tests)
    return commands


@pytest.mark.parametrize(
    "broken, told",
    [
        (None, None),
        ("pytest tests", "tests"),
        ("nbval native", "every notebook"),
        ("nbval older", "every notebook, older kernels"),
        ("get_cpu_capability", "the setting for an older processor"),
    ],
)
def test_whatever_fails_fails_the_whole_and_is_named(monkeypatch, broken, told):
    monkeypatch.setenv("CI", "true")
    commands = commands_of(monkeypatch, broken)
    if broken is None:
        run.test(Path("python"))
    else:
        with pytest.raises(SystemExit, match=told):
            run.test(Path("python"))
    order = [
        next(i for i, words in enumerate(commands) if part in words)
        for part in ("nbval native", "nbval older", "build", "waited", "pytest tests")
    ]
    assert order == sorted(order), "the tests come when one run of the notebooks has ended"


@pytest.mark.parametrize("broken", [None, "nbval native", "pytest tests"])
def test_outside_of_ci_every_notebook_runs_once_beside_the_tests(monkeypatch, broken):
    monkeypatch.delenv("CI", raising=False)
    commands = commands_of(monkeypatch, broken)
    if broken is None:
        run.test(Path("python"))
    else:
        with pytest.raises(SystemExit):
            run.test(Path("python"))
    parts = ("nbval native", "build", "pytest tests")
    assert [part in words for part, words in zip(parts, commands, strict=True)] == [True] * 3


def test_what_runs_beside_the_build_ends_when_the_build_fails(tmp_path):
    beside = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(120)"
    program = f"""if True:
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        import run
        run.ROOT = Path.cwd()
        run.Check("slow", Path(sys.executable), "-c", {beside!r})
        while not Path("pid").exists() or not Path("pid").read_text():
            time.sleep(0.05)
        sys.exit("the book did not build")
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    pid = int((tmp_path / "pid").read_text())
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    pytest.fail("it still runs")
