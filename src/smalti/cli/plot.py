"""`smalti plot`: plots numbers of one or several runs over steps and over time."""

from collections.abc import Sequence

from smalti.cli.arguments import Parser, expanded_path
from smalti.cli.places import output_folder


def run(arguments: Sequence[str]) -> None:
    """Draw the plots of runs, and write them as PNG and SVG."""
    options = parser().read(arguments)
    out = output_folder(options.out)

    from smalti.report.plots import draw_plots, open_runs

    written = draw_plots(open_runs(options.runs), out)
    print(f"done: {', '.join(path.name for path in written)} in {out}")


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "plot",
        "Losses, NLL and use of the codes of runs, over steps and over time: PNG and SVG.",
    )
    parser.add_argument(
        "runs",
        type=expanded_path,
        nargs="+",
        metavar="run",
        help="runs of `smalti train`, also such as still train; several are drawn together",
    )
    parser.add_out("plots", "folder for the pictures; files of the same names are replaced")
    return parser
