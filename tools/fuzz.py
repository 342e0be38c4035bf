"""Give every public door values that it must refuse, for as long as it is let:

    python tools/fuzz.py --minutes 10 --seed 0

Values and doors are those of tests/doors.py. What a door does not refuse with a GenieError is
printed in its simplest form, with the command that tries it again.
"""

import argparse
import itertools
import shlex
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from doors import all_doors, find_escape  # noqa: E402

EXAMPLES = 50  # at a door, before the next one's turn


def main() -> int:
    """Fuzz; 1 if anything escaped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the values (default: 0)")
    parser.add_argument("--round", type=int, help="this round alone, whatever it takes")
    parser.add_argument("--door", help="this door alone, by its name")
    arguments = parser.parse_args()
    end, tries, escaped = time.monotonic() + 60 * arguments.minutes, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        rooms = all_doors(Path(folder))
        doors = {name: door for room in rooms.values() for name, door in room.items()}
        if arguments.door is not None:
            doors = {arguments.door: doors[arguments.door]}
        rounds = itertools.count() if arguments.round is None else [arguments.round]
        for number, (name, door) in ((n, item) for n in rounds for item in doors.items()):
            if arguments.round is None and time.monotonic() > end:
                break
            tries += EXAMPLES
            escape = find_escape(door, EXAMPLES, seed=1_000_003 * arguments.seed + number)
            if escape:
                escaped += 1
                again = f"--seed {arguments.seed} --round {number} --door {shlex.quote(name)}"
                print(
                    f"{name}: {escape[0]!r:.2000}\n    {type(escape[1]).__name__}: {escape[1]}\n"
                    f"    python tools/fuzz.py {again}",
                    flush=True,
                )
    print(f"{tries} tries at {len(doors)} doors, {escaped} escaped")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
