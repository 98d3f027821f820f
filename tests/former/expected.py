"""Print the numbers of all steps after the fourth, by run, as JSON."""

import json
from pathlib import Path

NO_NUMBERS = {"group", "seconds", "data_wait", "images_per_second"}

expected = {}
for path in sorted(Path("former").glob("*/metrics.jsonl")):
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    later = [line for line in lines if line["step"] > 4 and line["group"] in ("train", "eval")]
    expected[path.parent.name] = [
        {name: value for name, value in line.items() if name not in NO_NUMBERS} for line in later
    ]
print(json.dumps({run: lines for run, lines in expected.items() if lines}, indent=1))
