"""Prints the table of README.md from the files that evaluate.sh wrote."""

import json
from pathlib import Path

NAMES = [
    "cifar10",
    "class",
    "crops64",
    "low_resolution",
    "low_resolution_zeros",
    "edges",
    "segmentation",
    "coordinates",
    "completion",
    "depth",
]
COLUMNS = {
    "NLL": ("nll", "{:.3f}"),
    "knowing nothing": ("nll_uniform", "{:.3f}"),
    "bits a dimension": ("bits_per_dimension", "{:.4f}"),
    "FD-EfficientNet": ("fd_efficientnet", "{:.1f}"),
    "KD-EfficientNet": ("kd_efficientnet", "{:.4f}"),
    "precision": ("precision", "{:.2f}"),
    "recall": ("recall", "{:.2f}"),
    "class score": ("class_score_efficientnet", "{:.2f}"),
}


def main() -> None:
    """Print a line for each prior."""
    heads = ["prior", "samples", "reference", "images of the NLL", *COLUMNS]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for name in NAMES:
        path = Path(__file__).with_name(f"{name}.json")
        report = json.loads(path.read_text(encoding="utf-8"))
        protocol, figures = report["protocol"], report["figures"]
        images = protocol["images"], protocol["reference"]["images"], protocol["data"]
        counts = [f"{one['count']:,}" for one in images]
        values = [form.format(figures[key]["value"]) for key, form in COLUMNS.values()]
        print(f"| [{name}]({name}.json) | {' | '.join([*counts, *values])} |")


if __name__ == "__main__":
    main()
