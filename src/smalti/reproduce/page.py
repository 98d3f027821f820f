"""Writes the page of a study: tables beside the paper's, verdicts, plots, pictures and commands."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smalti.environment import environment
from smalti.files import atomic_file, write_json
from smalti.reproduce.experiment import Experiment, PlannedRun, in_order
from smalti.reproduce.plots import draw_plot
from smalti.reproduce.results import Results
from smalti.reproduce.study import Study, Table
from smalti.reproduce.verdict import FEWEST_SEEDS, Verdict, judge, mean_and_error
from smalti.runs.state import read_run

PAGE = "README.md"
FIGURES = "figures.json"
NOTES = "notes.md"
"""File in the folder of the study with words of a person, which the page begins with."""

WORDS = {
    "holds": "**holds**",
    "reversed": "**reversed**",
    "undecided": "undecided",
    "too few seeds": "too few seeds",
}
HOW_TO_READ = (
    "A margin is the higher side less the lower side (or their ratio), so + is the paper's sign, "
    f"one sign for each seed. A claim holds, or is reversed, if all seeds, at least {FEWEST_SEEDS},"
    " have one sign and the mean is more than two standard errors from equality."
)


def write_page(
    name: str, study: Study, experiment: Experiment, results: Mapping[int, Results]
) -> Path:
    """Write the page of a study with all seeds that are complete, and `figures.json`.

    Args:
        name: name of the study.
        study: the study.
        experiment: its scale and folders.
        results: results of each complete seed, at least one.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written.
    """
    folder = experiment.folder
    machine = environment()
    verdicts = [judge(claim, results) for claim in study.claims(experiment.scale)]
    plots = study.plots(experiment.scale)
    for plot in plots:
        draw_plot(plot, results, folder / f"{plot.name}.png")
    parts = [
        _head(name, study, experiment, sorted(results)),
        *(_table(table, results) for table in study.tables(experiment.scale)),
        _verdicts(verdicts),
        *(f"![{plot.y} over {plot.x}]({plot.name}.png)" for plot in plots),
        *_pictures(folder, sorted(results)),
        f"## What to know\n\n{study.remarks}" if study.remarks else "",
        _runs(study, experiment, sorted(results)),
        _machine(machine),
    ]
    page = folder / PAGE
    with atomic_file(page) as temporary:
        temporary.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
    with atomic_file(folder / FIGURES) as temporary:
        write_json(temporary, _figures(name, experiment, results, verdicts, machine))
    return page


def _head(name: str, study: Study, experiment: Experiment, seeds: Sequence[int]) -> str:
    listed = ",".join(map(str, seeds))
    budget = "" if experiment.budget == 1 else f" --budget {experiment.budget:g}"
    command = f"smalti reproduce {name} --scale {experiment.scale}{budget} --seeds {listed}"
    notes = experiment.folder / NOTES
    own = f"\n\n{notes.read_text(encoding='utf-8').strip()}" if notes.is_file() else ""
    return (
        f"# {study.title}\n\n{study.paper}\n\n    {command} --data DATA --runs RUNS "
        "--out FOLDER\n\n"
        f"Scale {experiment.scale}, seeds {listed}. All numbers are in [{FIGURES}]({FIGURES})."
        + own
    )


def _table(table: Table, results: Mapping[int, Results]) -> str:
    has_paper = any(row.paper for row in table.rows)
    head = [""]
    for column in table.columns:
        head += [f"{column}: paper", f"{column}: here"] if has_paper else [column]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in table.rows:
        cells = [row.label]
        for number, figure in enumerate(row.figures):
            values = [one.figures[figure] for one in results.values()]
            paper = row.paper[number] if row.paper else ""
            cells += [paper, mean_and_error(values)] if has_paper else [mean_and_error(values)]
        lines.append(_line(cells))
    count = len(results)
    means = f"mean ± standard error of {count} seeds" if count > 1 else "one seed"
    return f"## {table.title}\n\n" + "\n".join(lines) + f"\n\nHere: {means}."


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    rows = [_line(["claim of the paper", "margin: paper", "margin: here", "signs", "verdict"])]
    rows.append(_line(["---"] * 5))
    for verdict in verdicts:
        claim = verdict.claim
        rows.append(
            _line(
                [
                    claim.text,
                    claim.paper_shown,
                    verdict.shown,
                    verdict.signs,
                    WORDS[verdict.outcome],
                ]
            )
        )
    return "\n".join(["## Whether the paper's ordering appears", "", *rows, "", HOW_TO_READ])


def _pictures(folder: Path, seeds: Sequence[int]) -> Iterator[str]:
    """The pictures of the first seed, and links to those of the others."""
    first, *others = seeds
    pictures = sorted((folder / "pictures" / f"seed-{first}").glob("*.png"))
    if pictures:
        yield f"## Pictures, seed {first}"
    for path in pictures:
        place = path.relative_to(folder).as_posix()
        also = ", ".join(
            f"[seed {seed}]({place.replace(f'seed-{first}', f'seed-{seed}')})" for seed in others
        )
        beside = f" ({also})" if also else ""
        yield f"{path.stem}{beside}\n\n![{path.stem}]({place})"


def _runs(study: Study, experiment: Experiment, seeds: Sequence[int]) -> str:
    rows = [_line(["run", "steps", "minutes"]), _line(["---"] * 3)]
    for run in planned(study, experiment, seeds):
        state = read_run(experiment.path(run))
        steps, minutes = (
            ("", "") if state is None else (f"{state.step:,}", f"{state.seconds / 60:.1f}")
        )
        rows.append(_line([run.name, steps, minutes]))
    # The page may be published, so it has no paths of the machine.
    shown = planned(study, experiment.with_folders_by_name("DATA", "RUNS"), seeds)
    commands = [f"    {run.command}" for run in shown]
    text = (
        "Tokenizers are trained once, with seed 0, for all seeds and all studies of a scale. DATA "
        "is the folder of the data sets, RUNS that of the runs."
    )
    return f"## Runs\n\n{text}\n\n" + "\n".join([*rows, "", *commands])


def planned(study: Study, experiment: Experiment, seeds: Sequence[int]) -> list[PlannedRun]:
    """All runs of some seeds of a study, each once, in the order of training."""
    return in_order([run for seed in seeds for run in study.runs(experiment, seed)])


def _machine(machine: Mapping[str, Any]) -> str:
    cards = ", ".join(card["name"] for card in machine["cards"]) or "no graphics card"
    return (
        f"## Machine\n\n{machine['processor']}, {machine['cores']} cores, {machine['threads']} "
        f"thread(s), {machine['memory_gib']} GiB of memory, {cards}; smalti {machine['smalti']}, "
        f"PyTorch {machine['libraries']['torch']}. This is the machine that wrote the page; each "
        "run has its own in `env.json`."
    )


def _figures(
    name: str,
    experiment: Experiment,
    results: Mapping[int, Results],
    verdicts: Sequence[Verdict],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "study": name,
        "scale": experiment.scale,
        "budget": experiment.budget,
        "machine": machine,
        "verdicts": [
            {
                "claim": verdict.claim.text,
                "paper": verdict.claim.paper,
                "is_ratio": verdict.claim.is_ratio,
                "margins": {str(seed): margin for seed, margin in verdict.margins.items()},
                "mean": verdict.mean,
                "standard_error": verdict.error,
                "outcome": verdict.outcome,
            }
            for verdict in verdicts
        ],
        "seeds": {
            str(seed): {"figures": dict(one.figures), "curves": dict(one.curves)}
            for seed, one in sorted(results.items())
        },
    }
