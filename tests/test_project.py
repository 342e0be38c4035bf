"""The one dependency list, its pins, the conda file, and the one test command agree with each
other.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.split("#")[0].split(" ; ")[0].strip() for line in lines]
    parsed = [re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)", line) or line for line in lines if line]
    wrong = [line for line in parsed if isinstance(line, str)]
    assert not wrong, f"not of the form name==version: {wrong}"
    return {canonicalize_name(match[1]): match[2] for match in parsed}


def test_every_dependency_is_pinned_within_its_range():
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in extras.values() for line in extra)]
    requirements = [Requirement(line) for line in lines]
    pinned = pins()
    for requirement in requirements:
        if requirement.name == PROJECT["name"]:  # an extra that includes another
            continue
        pin = pinned.get(canonicalize_name(requirement.name))
        assert pin, f"{requirement.name} is in pyproject.toml but not in constraints.txt"
        assert requirement.specifier.contains(pin), f"{requirement} does not admit the pinned {pin}"


def test_constraints_serve_every_system():
    for name, pin in pins().items():
        assert "+" not in pin, f"{name}=={pin} has a local version, which no package index serves"
        assert not re.match(r"nvidia|cuda|triton", name), (
            f"{name} exists only for machines with a CUDA GPU"
        )


def hashed(name):
    """{pin as written, with its marker: [hashes]} of a file for `pip --require-hashes`."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^([^#\s].*?)((?: \\\n {4}--hash=\S+)*)\n", text, flags=re.MULTILINE)
    return {pin: re.findall(r"--hash=(\S+)", hashes) for pin, hashes in blocks}


def test_every_pin_names_the_files_that_it_may_be():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert list(hashed("requirements.txt")) == [line for line in lines if line[0] != "#"]
    for name in ("requirements.txt", "requirements-cuda.txt"):
        for pin, hashes in hashed(name).items():
            assert hashes, f"{pin} has no hash: run tools/pin.py"
            assert all(re.fullmatch("sha256:[0-9a-f]{64}", value) for value in hashes), pin
            assert len(set(hashes)) == len(hashes), pin


def test_what_cuda_needs_is_for_linux_alone_and_no_list_names_an_index():
    for pin in hashed("requirements-cuda.txt"):
        assert re.match(r"(nvidia|cuda|triton)\S*==\S+ ; .*sys_platform == 'linux'", pin), pin
    for name in ("constraints.txt", "requirements.txt", "requirements-cuda.txt"):
        assert not re.search(r"^--|://", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)


def test_installed_versions_are_the_pinned_ones():
    different = {}
    for name, pin in pins().items():
        try:
            installed = version(name).split("+")[0]
        except PackageNotFoundError:  # for another operating system
            continue
        if (
            installed != pin and name != "setuptools"
        ):  # torch wants some setuptools; conda brings its own
            different[name] = (installed, pin)
    assert not different, f"installed and pinned versions differ (delete .venv?): {different}"


def test_environment_yml_adds_no_dependency_of_its_own():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (through_pip,) = [
        entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)
    ]
    assert through_pip == ["-c constraints.txt", "-e .[book,test]"]
    assert sorted(re.split("[=<>]", entry)[0] for entry in conda) == ["graphviz", "pip", "python"]
    (python,) = [entry.split("=")[1] for entry in conda if entry.startswith("python=")]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python)


def test_run_py_asks_for_the_same_python():
    sys.path.insert(0, str(ROOT))
    try:
        import run
    finally:
        sys.path.pop(0)
    assert PROJECT["requires-python"] == ">=" + ".".join(map(str, run.MINIMUM_PYTHON))


def test_the_readme_ci_and_the_workflow_run_one_command():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = "\n".join(re.findall(r"^```\w*\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE))
    (command,) = set(
        re.findall(r"python3? \S*run\.py test\b.*?(?=\s*(?:#|$))", commands, flags=re.MULTILINE)
    )
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert ci[-1] == command, "the last thing .ci/run does is the README's test command"
    workflow = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    )
    steps = [step.get("run", "") for step in workflow["jobs"]["test"]["steps"]]
    assert any(step.endswith(command.split(maxsplit=1)[1]) for step in steps)


def build(folder, what):
    """Build a "wheel" or an "sdist" from a folder into `built` beside it; returns the file."""
    built = folder.parent / "built"
    program = f"from setuptools import build_meta; print(build_meta.build_{what}({str(built)!r}))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return built / done.stdout.splitlines()[-1]


def test_a_source_distribution_holds_what_a_clone_does_and_builds_the_package_alone(tmp_path):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone")
    clone = tmp_path / "clone"
    files = {name for name in listed.stdout.split("\0") if (ROOT / name).is_file()}
    for name in files:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, clone / name)
    with tarfile.open(build(clone, "sdist")) as packed:
        inside = {name.split("/", 1)[1] for name in packed.getnames() if "/" in name}
        packed.extractall(tmp_path / "unpacked", filter="data")
    assert files - inside == set()
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    with zipfile.ZipFile(build(unpacked, "wheel")) as wheel:
        held = set(wheel.namelist())
    package = {name for name in held if ".dist-info/" not in name}
    assert package == {name for name in files if name.startswith("genie_mini/")}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in held)


def test_the_workflow_looks_for_faults_in_both_languages():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]
    steps = [step.get("uses", "").split("@")[0] for step in jobs["codeql"]["steps"]]
    assert steps == [
        "actions/checkout",
        "github/codeql-action/init",
        "github/codeql-action/analyze",
    ]
    assert jobs["codeql"]["strategy"]["matrix"]["language"] == ["python", "javascript-typescript"]
    assert jobs["codeql"]["permissions"] == {"contents": "read", "security-events": "write"}


def test_the_readmes_map_is_the_tree():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`genie_mini/(\w+(?:/|\.py))`", readme.split("## Map")[1]))
    package = ROOT / "genie_mini"
    modules = {path.name for path in package.glob("*.py") if path.name != "__init__.py"}
    rooms = {
        f"{path.name}/"
        for path in package.iterdir()
        if path.is_dir() and any(path.rglob("*")) and path.name != "__pycache__"
    }
    assert named == modules | rooms


def test_browser_packages_are_pinned_by_hash_and_not_by_address():
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert packages.pop("")["dependencies"] == wanted
    for name, pin in wanted.items():
        assert packages[f"node_modules/{name}"]["version"] == pin, (
            f"{name} is not pinned to one version"
        )
    for name, package in packages.items():
        assert package.get("integrity", "").startswith("sha512-"), f"{name} has no integrity hash"
        assert "resolved" not in package, (
            f"{name} holds a download address; npm's omit-lockfile-registry-resolved"
        )


def test_the_types_hold():
    command = [sys.executable, "-m", "mypy", "--no-error-summary"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_code_is_tidy():
    # a page shows 88 columns of a notebook's code
    narrow = ["--line-length", "88", *map(str, sorted((ROOT / "book").glob("*.ipynb")))]
    for words in (
        ["check", "--output-format", "concise", "."],
        ["check", "--output-format", "concise", *narrow],
        ["format", "--check", "--exclude", "*.ipynb", "."],
        ["format", "--check", *narrow],
    ):
        command = [sys.executable, "-m", "ruff", *words]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


def test_a_function_can_be_read_on_one_screen():
    long = []
    for folder in ("genie_mini", "tools", "book", "figures", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef):
                    lines = node.end_lineno - node.lineno + 1
                    if lines > 60:
                        long.append(f"{path.relative_to(ROOT)} {node.name}: {lines} lines")
    assert not long, "\n".join(long)


def is_property(node):
    names = [ast.unparse(decorator) for decorator in getattr(node, "decorator_list", ())]
    return any(
        name in ("property", "cached_property", "functools.cached_property") for name in names
    )


def test_no_docstring_of_a_value_reads_as_its_type():
    # "a word: the rest" on its first line is read by the reference's builder as "type: description"
    misread = []
    for path in sorted((ROOT / "genie_mini").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and is_property(node):
                first = (ast.get_docstring(node) or "").partition("\n")[0]
                if ":" in first:
                    misread.append(f"{path.relative_to(ROOT)}:{node.lineno} {first}")
    assert not misread, "\n".join(misread)
