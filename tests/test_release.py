"""A release: every file names one version, the workflows run what is pinned and hold no token, and
the tools do what the workflows ask of them.
"""

import datetime
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import release  # noqa: E402
import try_wheel  # noqa: E402
import versions  # noqa: E402

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
TODAY = datetime.date(2030, 1, 2)


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def steps(job):
    return " ".join(
        f"{step.get('run', '')} {step.get('uses', '')}" for step in job.get("steps", [])
    )


def reaches(jobs, name):
    """The jobs that must have ended well before this one begins."""
    needs = jobs[name].get("needs", [])
    before = {needs} if isinstance(needs, str) else set(needs)
    return before.union(*(reaches(jobs, one) for one in before)) if before else before


# the files


def test_the_citation_is_of_this_version_and_licence():
    assert CITATION["cff-version"] == "1.2.0" and CITATION["message"]
    assert CITATION["version"] == PROJECT["version"] and CITATION["license"] == PROJECT["license"]
    assert CITATION["authors"] == [{"name": author["name"]} for author in PROJECT["authors"]]
    assert CITATION["title"] in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[0]


def test_the_citation_names_the_papers_authors_as_the_book_does():
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    entry = re.search(r"@inproceedings\{bruce2024genie,(.*?)\n\}", bibliography, re.DOTALL)[1]
    authors = re.search(r"author\s*=\s*\{(.*?)\},\n", entry, re.DOTALL)[1]
    families = [author.split(",")[0].strip() for author in re.split(r"\s+and\s+", authors)]
    (paper,) = CITATION["references"]
    found = [
        " ".join(filter(None, (one.get("name-particle"), one["family-names"])))
        for one in paper["authors"]
    ]
    assert found == [family.replace('{\\"a}', "ä") for family in families]
    assert paper["url"] in entry


def test_the_package_index_gets_a_text_a_licence_and_the_pythons_that_are_tried():
    assert PROJECT["readme"] == "README.md" and PROJECT["license-files"] == ["LICENSE"]
    named = {line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if " :: 3." in line}
    matrix = workflow("release.yml")["jobs"]["try"]["strategy"]["matrix"]
    assert set(matrix["python"]) <= named
    assert min(named, key=lambda text: int(text.split(".")[1])) in PROJECT["requires-python"]


def test_code_text_and_weights_have_a_licence_that_the_readme_names():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Licences\n")[2]
    for what in ("code", "text and pictures", "weights"):
        assert re.search(rf"^\| {what}[^|]*\| MIT", section, re.MULTILINE), what
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    card = (ROOT / "genie_mini" / "weights" / "mini" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| licence | MIT" in card


# the workflows


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit_and_says_its_version(path):
    for line in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8")):
        own = line.startswith("./") and (ROOT / line).is_file()
        assert own or re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_an_action_has_one_version_in_all_workflows():
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    found = set(re.findall(r"uses: ([\w-]+/[\w-]+)[^@\n]*@([0-9a-f]{40}) # (\S+)", text))
    assert len({action for action, _, _ in found}) == len(found), sorted(found)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_workflow_holds_a_secret_and_each_may_only_read_by_itself(path):
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text and "password" not in text
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_only_the_job_that_publishes_may_ask_for_an_identity_and_it_runs_nothing_of_ours():
    jobs = workflow("release.yml")["jobs"]
    job = jobs["pypi"]
    assert job["permissions"] == {"id-token": "write"} and job["environment"] == "pypi"
    actions = [step["uses"].split("@")[0] for step in job["steps"]]
    assert actions == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    others = [name for name in jobs if "id-token" in jobs[name].get("permissions", {})]
    assert others == ["pypi", "pages"]


def test_what_is_published_was_built_once_and_tried():
    jobs = workflow("release.yml")["jobs"]
    assert reaches(jobs, "pypi") == {"build", "try", "book"}
    assert [name for name in jobs if "-m build" in steps(jobs[name])] == ["build"]
    assert "twine check --strict" in steps(jobs["build"])
    assert "try_wheel.py dist/*.whl" in steps(jobs["try"])
    assert "pypi" in reaches(jobs, "github") and "github" in reaches(jobs, "pages")


def test_the_wheel_is_tried_on_every_system_with_the_oldest_packages_too():
    matrix = workflow("release.yml")["jobs"]["try"]["strategy"]["matrix"]
    ci = workflow("ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["os"] == ci["os"]
    assert (
        matrix["python"][0] == ci["python"][0]
        and f">={ci['python'][0]}" == (PROJECT["requires-python"])
    )
    assert matrix["include"] == [
        {"os": "ubuntu-latest", "python": ci["python"][0], "packages": "--oldest"}
    ]


def test_main_and_releases_publish_pages_in_one_way():
    for name, job in (("ci.yml", "publish"), ("release.yml", "pages")):
        assert workflow(name)["jobs"][job]["uses"] == "./.github/workflows/pages.yml"
    assert "tools/versions.py site" in steps(workflow("pages.yml")["jobs"]["deploy"])
    assert "book.tar.gz" in steps(workflow("release.yml")["jobs"]["github"])
    assert versions.ARCHIVE == "book.tar.gz"


# tools/release.py


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder that the tool takes for the repository."""
    for name in ("pyproject.toml", "CITATION.cff", "README.md"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- New: ä.\n\n## 0.0.1 (2020-01-01)\n\n- Old.\n", "utf-8"
    )
    monkeypatch.setattr(release, "ROOT", tmp_path)
    return tmp_path


def test_a_release_is_prepared_and_its_tag_agrees(project):
    release.prepare("9.8.7", TODAY)
    assert release.version() == "9.8.7"
    assert release.notes(release.read("CHANGELOG.md"), "9.8.7") == "- New: ä.\n"
    assert release.notes(release.read("CHANGELOG.md"), "0.0.1") == "- Old.\n"
    citation = yaml.safe_load(release.read("CITATION.cff"))
    assert (citation["version"], citation["date-released"]) == ("9.8.7", TODAY)
    release.check("v9.8.7")
    assert release.read("CHANGELOG.md").startswith("# Changelog\n\n## Unreleased\n\n## 9.8.7 (2030")


def test_the_release_after_it_has_one_date(project):
    release.prepare("9.8.7", TODAY)
    text = release.read("CHANGELOG.md").replace("Unreleased\n", "Unreleased\n\n- Newer.\n", 1)
    release.write("CHANGELOG.md", text)
    release.prepare("9.9.0", TODAY + datetime.timedelta(1))
    assert release.read("CITATION.cff").count("date-released") == 1
    assert release.notes(release.read("CHANGELOG.md"), "9.9.0") == "- Newer.\n"


@pytest.mark.parametrize(
    "new, told", [("1.2", "no version"), ("v1.2.3", "no version"), ("0.0.1", "already")]
)
def test_what_is_no_new_version_changes_nothing(project, new, told):
    before = {path.name: path.read_bytes() for path in project.iterdir()}
    with pytest.raises(SystemExit, match=told):
        release.prepare(new, TODAY)
    assert {path.name: path.read_bytes() for path in project.iterdir()} == before


def test_a_version_of_which_nothing_is_told_is_not_released(project):
    release.prepare("9.8.7", TODAY)
    with pytest.raises(SystemExit, match="has nothing below"):
        release.prepare("9.9.0", TODAY)


def test_a_tag_that_is_not_the_version_stops_the_release(project):
    release.prepare("9.8.7", TODAY)
    with pytest.raises(SystemExit, match="the tag is v9.8.6"):
        release.check("v9.8.6")
    release.write("CITATION.cff", release.read("CITATION.cff").replace("9.8.7", "9.8.6"))
    with pytest.raises(SystemExit, match="CITATION.cff"):
        release.check("v9.8.7")


def test_the_readmes_links_hold_on_the_package_index():
    text = release.with_links(
        "![a](figures/a.png) [b](CHANGELOG.md) [c](https://x.org/y) [d](#below)",
        "https://h/o/n",
        "v1",
    )
    assert text == (
        "![a](https://h/o/n/raw/v1/figures/a.png) [b](https://h/o/n/blob/v1/CHANGELOG.md) "
        "[c](https://x.org/y) [d](#below)"
    )
    readme = release.with_links((ROOT / "README.md").read_text(encoding="utf-8"), "https://h", "v1")
    assert not re.findall(r"\]\((?!https?://|#)", readme)


# tools/versions.py


def test_the_books_of_all_releases_lie_beside_todays(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    listed = [
        {"tagName": "v0.1.0", "publishedAt": "2027-01-01T00:00:00Z"},
        {"tagName": "v0.2.0", "publishedAt": "2027-02-01T00:00:00Z"},
        {"tagName": "../evil", "publishedAt": "2027-03-01T00:00:00Z"},
    ]
    for tag in ("v0.1.0", "v0.2.0"):
        (tmp_path / tag).mkdir()
        (tmp_path / tag / "index.html").write_text(f"the book of {tag}")
        with tarfile.open(tmp_path / f"{tag}.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / tag, ".")

    def gh(command, **options):
        if command[:3] == ["gh", "release", "list"]:
            return subprocess.CompletedProcess(command, 0, json.dumps(listed))
        assert command[:3] == ["gh", "release", "download"]
        folder = Path(command[command.index("--dir") + 1])
        os.link(tmp_path / f"{command[3]}.tar.gz", folder / "book.tar.gz")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(versions.subprocess, "run", gh)
    site = tmp_path / "site"
    site.mkdir()
    assert versions.fill(site) == ["v0.2.0", "v0.1.0"]
    for tag in ("v0.1.0", "v0.2.0"):
        assert (site / "versions" / tag / "index.html").read_text() == f"the book of {tag}"
    page = (site / "versions" / "index.html").read_text()
    assert re.findall(r'href="([^"]+)"', page) == [
        "../index.html",
        "v0.2.0/index.html",
        "v0.1.0/index.html",
    ]


# tools/try_wheel.py


def test_the_wheel_is_tried_without_a_network(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(try_wheel.NO_NETWORK)
    program = (
        "import socket, urllib.request\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "for ask in (lambda: socket.create_connection(('192.0.2.1', 80), 1),\n"
        "            lambda: urllib.request.urlopen('http://example.org')):\n"
        "    try:\n"
        "        ask()\n"
        "    except OSError as error:\n"
        "        print('shut' in str(error))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.stdout.split() == ["True", "True"], result.stderr


# the dev container


def test_the_dev_container_sets_up_by_the_one_command_and_with_a_python_that_will_do():
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    container = json.loads(text)
    version = re.fullmatch(r"python:(3\.\d+)-\w+", container["image"])[1]
    assert f">={version}" == PROJECT["requires-python"]
    sys.path.insert(0, str(ROOT))
    try:
        import run
    finally:
        sys.path.pop(0)
    words = container["postCreateCommand"].split()
    assert words[:2] == ["python3", "run.py"]
    run.parse(words[2:])
    assert run.parse(["book"])[0].port in container["forwardPorts"]
