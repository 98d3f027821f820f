"""Every command from end to end, on tiny runs of real photographs."""

import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from PIL import Image

import smalti
from helpers.signals import needs_requeue_signal
from smalti import hub
from smalti.cli import inspect, sample
from smalti.cli.decode import _file_names
from smalti.cli.main import COMMANDS, KEPT_BYTES, SPINS, console
from smalti.config import InputError
from smalti.sampling.sheet import MARGIN_PX

HELPS = [[command] for command in COMMANDS] + [["train", "vqgan"], ["train", "prior"]]


def pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


# Help


def test_help_names_every_command(succeed):
    text = succeed("--help").out
    assert all(re.search(rf"^  {command} ", text, re.MULTILINE) for command in COMMANDS)


def test_no_command_is_help_and_an_error(call):
    result = call()
    assert (result.code, result.out) == (2, call("--help").out)


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_every_command_has_help(succeed, command):
    text = succeed(*command, "--help").out
    assert f"smalti {' '.join(command)}" in text


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sample"], ["top-k", "0 is off", "default: 100", "name or number"]),
        (["encode"], ["pixels", "int32", "default: codes.safetensors"]),
        (["reconstruct"], ["default: 1024"]),
        (["train", "vqgan"], ["smalti presets", "Crop in pixels", "default 2000; at least 1"]),
        (["train", "prior"], ["smalti presets", "KIND=TOKENIZER", "above 0, auto or null"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_help_gives_units_defaults_and_allowed_values(succeed, command, words):
    text = " ".join(succeed(*command, "--help").out.split())
    for word in words:
        assert word in text


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_no_help_has_words_of_python(succeed, command):
    assert not re.search(r"\b(None|True|False)\b|SUPPRESS|default: \[", succeed(*command, "-h").out)


def test_names_of_options_are_read_with_underscores_too():
    words = ["run", "--top_k", "5", "--batch_size=3", "--guidance_schedule", "cosine"]
    options = sample.parser().read(words)
    assert (options.top_k, options.batch_size, options.guidance_schedule) == (5, 3, "cosine")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sample run --top-q 3", "unknown option --top-q; did you mean '--top-p'?"),
        ("sample run more", "'more' is one word too many"),
        ("sample run -n", "-n needs one value"),
        ("sample run -n many", "-n must be a whole number, got 'many'"),
        ("sample run --temperature hot", "--temperature must be a number, got 'hot'"),
        ("sample run --size 8x", "--size must be like 256 or 360x480, got '8x'"),
        ("evaluate run --data x --small no", "must be auto, error, skip or enlarge, got 'no'"),
        ("encode run", "encode: needs pictures, or --data;"),
    ],
)
def test_wrong_words_of_a_command_are_told_in_one_line(refused, line, words):
    refused(line.split(), words, "--help")


WITHOUT_TORCH = [
    ["--help"],
    ["help"],
    ["trian"],
    ["presets"],
    ["completion", "bash"],
    *([*command, "--help"] for command in HELPS),
    *([*command, "--sede", "3"] for command in HELPS),
    ["train", "vqgan", "--help", "all"],
    ["train", "vqgan", "--help", "vqgan.quantiser"],
    ["train", "vqgan", "--preset", "vqgan-dmo"],
    ["train", "vqgan", "--data", "x", "--seed", "-1"],
    ["train", "vqgan", "--data", "x", "--config", "nothing.yaml"],
    ["train", "vqgan", "--print-config"],
    ["train", "prior", "--data", "x", "--vqgan", "run", "--seed", "-1"],
    ["resume", "nothing"],
    ["sample", "run", "-n", "many"],
    ["sample", "run", "--temperature", "-1"],
    ["encode", "run", "photo.png", "--out", "codes.st"],
    ["reconstruct", "run", "photo.png", "--out", "pairs.foo"],
    *(
        [*line, "--out", __file__]
        for line in (["plot", "run"], ["decode", "run", "codes"], ["demo"])
    ),
    *([name, "run", "photo.png", "--out", __file__] for name in ("score", "complete")),
]


def test_help_and_wrong_options_are_answered_without_torch():
    program = (
        "import sys\nfrom smalti.cli.main import main\n"
        f"for line in {WITHOUT_TORCH}:\n"
        "    try:\n        main(line)\n    except SystemExit:\n        pass\n"
        "    assert 'torch' not in sys.modules, line\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(succeed, option):
    assert succeed(option).out == f"smalti {smalti.__version__}\n"


# train


def test_training_writes_the_run_folder_and_says_what_is_next(succeed, here, world):
    result = succeed("train", "vqgan", "--data", world.photos, "--out", "run", *world.tiny)
    names = {path.name for path in (here / "run").iterdir()}
    assert names >= {"config.yaml", "metrics.jsonl", "samples", "checkpoints", "curves.png"}
    assert "run.lock" not in names
    assert "smalti reconstruct run" in result.out
    assert "perceptual loss: none" in result.err


def test_same_command_goes_on_from_where_it_stopped(succeed, here, world):
    command = ["train", "vqgan", "--data", world.photos, "--out", "run", *world.tiny]
    shutil.copytree(world.vqgan, "run")
    config = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    assert "resuming from step 3" in succeed(*command).err
    assert "resuming from step 3" in succeed(*command, "--training.total_steps", "4").err
    assert Path("run/checkpoints/step_00000004").is_dir()
    assert config["training"]["total_steps"] == 3


def test_printed_config_is_a_config_file_that_says_the_same(succeed, here, world):
    command = ["train", "vqgan", "--data", world.photos, *world.tiny, "--out", "run"]
    printed = succeed(*command, "--print_config").out
    Path("config.yaml").write_text(printed, encoding="utf-8")
    again = succeed("train", "vqgan", "--config", "config.yaml", "--print_config").out
    assert again == printed
    assert yaml.safe_load(printed)["image"]["size"] == 16
    assert not Path("run").exists()


def test_auto_remedy_has_a_short_option(succeed):
    line = "train vqgan --data x --auto-remedy --print_config"
    assert yaml.safe_load(succeed(*line.split()).out)["training"]["auto_remedy"] is True


def test_later_values_win_over_earlier_ones(succeed, here):
    Path("config.yaml").write_text("training: {total_steps: 7, batch_size: 5}", encoding="utf-8")
    line = "train vqgan --data a --preset vqgan-demo --config config.yaml --training.batch_size 3"
    config = yaml.safe_load(succeed(*line.split(), "--print_config").out)
    preset = yaml.safe_load(succeed(*line.split()[:6], "--print_config").out)
    assert config["training"]["batch_size"] == 3
    assert config["training"]["total_steps"] == 7
    assert config["training"]["ema_decay"] == preset["training"]["ema_decay"] == 0.98


def test_config_file_wins_wherever_the_preset_stands(succeed, here):
    Path("config.yaml").write_text("training: {total_steps: 7}", encoding="utf-8")
    line = "train vqgan --config config.yaml --data a --preset vqgan-demo --print_config"
    assert yaml.safe_load(succeed(*line.split()).out)["training"]["total_steps"] == 7


def test_several_data_sets_are_joined(succeed, here, world):
    folders = world.photos / "cat", world.photos / "person"
    options = ["--out", "run", *world.tiny, "--data_weights", "[3,1]"]
    assert "data: 12 training images" in succeed("train", "vqgan", "--data", *folders, *options).err
    stored = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    assert stored["data"] == [str(folder) for folder in folders]


def test_prior_sees_images_as_its_tokenizer_did(succeed, here, world):
    command = ["train", "prior", "--data", world.photos, "--vqgan", world.vqgan, "--print_config"]
    assert yaml.safe_load(succeed(*command).out)["image"]["size"] == 16
    assert yaml.safe_load(succeed(*command, "--image.size", "20").out)["image"]["size"] == 20
    equals = ["train", "prior", "--data", "x", f"--vqgan={world.vqgan}", "--print_config"]
    assert yaml.safe_load(succeed(*equals).out)["image"]["size"] == 16
    Path("config.yaml").write_text(yaml.safe_dump({"vqgan": str(world.vqgan)}), encoding="utf-8")
    in_file = "train prior --data x --config config.yaml --print_config"
    assert yaml.safe_load(succeed(*in_file.split()).out)["image"]["size"] == 16


# sample


def samples(folder: str) -> list[np.ndarray]:
    return [pixels(path) for path in sorted(Path(folder).glob("0*.png"))]


def test_samples_are_files_and_a_grid(succeed, here, world):
    succeed("sample", world.prior, "-n", "3", "--out", "new/samples")
    names = sorted(path.name for path in Path("new/samples").iterdir())
    assert names == ["0000.png", "0001.png", "0002.png", "grid.png"]
    assert all(image.shape == (16, 16, 3) for image in samples("new/samples"))


def test_seed_decides_the_samples_and_batch_size_does_not(succeed, here, world):
    command = ["sample", world.prior, "-n", "3", "--seed", "5", "--out"]
    succeed(*command, "a")
    succeed(*command, "b", "--batch-size", "2")
    succeed(*command, "c", "--seed", "6")
    assert all(np.array_equal(*pair) for pair in zip(samples("a"), samples("b"), strict=True))
    assert not np.array_equal(samples("a"), samples("c"))


def test_greedy_samples_do_not_depend_on_the_seed(succeed, here, world):
    for seed in "12":
        options = ["-n", "1", "--temperature", "0", "--seed", seed, "--out", seed]
        succeed("sample", world.prior, *options)
    assert np.array_equal(samples("1"), samples("2"))


def test_top_k_of_zero_draws_among_all_codes(succeed, here, world):
    succeed("sample", world.prior, "-n", "2", "--top-k", "0", "--out", "off")
    succeed("sample", world.prior, "-n", "2", "--top-k", "16", "--out", "all")
    assert np.array_equal(samples("off"), samples("all"))


def test_class_by_name_and_by_number_is_the_same(succeed, here, world):
    command = ["sample", world.classes, "-n", "2", "--out"]
    succeed(*command, "name", "--condition", "person")
    succeed(*command, "number", "--condition", "1")
    succeed(*command, "guided", "--condition", "1", "--guidance", "30")
    assert np.array_equal(samples("name"), samples("number"))
    assert not np.array_equal(samples("name"), samples("guided"))


def test_classes_are_taken_in_turn(succeed, here, world):
    succeed("sample", world.classes, "-n", "2", "--out", "all")
    succeed("sample", world.classes, "-n", "2", "--condition", "cat", "person", "--out", "named")
    assert np.array_equal(samples("all"), samples("named"))


# reconstruct, encode, decode


@pytest.mark.parametrize("size", [(17, 9), (1, 1), (40, 16)])
def test_picture_of_any_size_is_reconstructed_beside_itself(succeed, here, world, size):
    Image.new("RGB", size, "orange").save("a.png")
    result = succeed("reconstruct", world.vqgan, "a.png", "--out", "new/pair.png")
    pair = pixels("new/pair.png")
    assert pair.shape == (size[1], 2 * size[0] + MARGIN_PX, 3)
    assert np.array_equal(pair[:, : size[0]], pixels("a.png"))
    assert "a.png: PSNR" in result.out


def test_pictures_of_a_folder_are_reconstructed_below_each_other(succeed, here, world):
    Image.new("RGB", (30, 8)).save("wide.png")
    succeed("reconstruct", world.vqgan, world.photos / "cat", "wide.png", "--out", "all.jpg")
    assert pixels("all.jpg").shape == (6 * 20 + 8, 2 * 30 + MARGIN_PX, 3)


def test_large_picture_is_shrunk_and_it_is_said(succeed, here, world):
    Image.new("RGB", (64, 32)).save("large.png")
    result = succeed(
        "reconstruct", world.vqgan, "large.png", "--longest-px", "32", "--out", "a.png"
    )
    assert pixels("a.png").shape == (16, 64 + MARGIN_PX, 3)
    assert "shrunk to 16x32" in result.out


def test_encoding_then_decoding_is_reconstruction(succeed, here, world):
    succeed("encode", world.vqgan, world.photos / "cat", "--out", "codes.safetensors")
    succeed("decode", world.vqgan, "codes.safetensors", "--out", "decoded")
    succeed("reconstruct", world.vqgan, world.picture, "--out", "pair.png")
    assert len(list(Path("decoded").iterdir())) == 6
    assert np.array_equal(pixels("decoded/1.png"), pixels("pair.png")[:, 24 + MARGIN_PX :])


def test_codes_are_integer_grids_that_say_whose_they_are(succeed, here, world):
    succeed("encode", world.vqgan, world.picture, "--size", "16")
    with safetensors.safe_open("codes.safetensors", "pt") as file:
        grid, metadata = file.get_tensor("1.png"), file.metadata()
    assert (grid.shape, grid.dtype) == ((8, 8), torch.int32)
    assert (metadata["codebook_size"], metadata["downsampling_factor"]) == ("16", "2")
    assert len(metadata["tokenizer"]) == 64


def test_codes_of_other_people_are_decoded_each_into_its_own_file(succeed, here, world):
    grid = torch.zeros(2, 3, dtype=torch.int64)
    safetensors.torch.save_file(
        {"a.png": grid, "a.jpg": grid + 1, "../b": grid + 2}, "own.safetensors"
    )
    succeed("decode", world.vqgan, "own.safetensors", "--out", "deep/decoded")
    names = sorted(path.name for path in Path("deep/decoded").iterdir())
    assert names == ["a.jpg.png", "a.png.png", "b.png"]
    assert pixels("deep/decoded/b.png").shape == (4, 6, 3)


def test_decoded_pictures_have_names_that_every_system_allows():
    names = ["data.parquet:1", "data.parquet:2", "A.png", "a.png", "x\\y.png", "a_.png", 'w"h?.png']
    found = _file_names(names)
    assert list(found.values()) == [
        "data.parquet_1.png",
        "data.parquet_2.png",
        "A.png.png",
        "a.png_.png",
        "y.png",
        "a_.png",
        "w_h_.png",
    ]


def test_models_are_read_from_a_model_folder_too(succeed, here, world):
    smalti.VQGAN.from_pretrained(world.vqgan).save_pretrained("vqgan")
    smalti.Pipeline.from_pretrained(world.prior).save_pretrained("pipeline")
    succeed("reconstruct", "vqgan", world.picture, "--out", "a.png")
    succeed("sample", "pipeline", "-n", "2", "--out", "a")
    succeed("sample", world.prior, "-n", "2", "--out", "b")
    assert np.array_equal(samples("a"), samples("b"))


# inspect


@pytest.mark.parametrize("held_out", [0.05, pytest.param(0, marks=pytest.mark.slow)])
def test_scores_of_training_images_are_never_called_held_out(succeed, here, world, held_out):
    """Twelve photographs are too few to hold any out."""
    train = ["train", "vqgan", "--data", world.photos, "--out", "run", *world.tiny]
    said = succeed(*train, "--held_out", held_out).err
    shown = succeed("inspect", "run").out
    page = (here / "run" / "report" / "index.html").read_text(encoding="utf-8")
    images = "12 training images, none held out: scores are of training images"
    assert f"data: {images};" in said
    assert "\ntraining images at step 3: " in said
    assert f"images:       {images}\n" in shown
    assert "scores:       of training images: " in shown
    assert re.search(r"best: +step 3, score [\d.]+ of training images\n", shown)
    assert "Scores of training images" in page
    for text in (said, shown, page):
        assert "held out" not in text.replace(images, "")
        assert "held-out" not in text.lower()


def test_data_is_described(succeed, world):
    text = succeed("inspect", world.photos, "--classes").out
    for word in ("12 images", "24 px", "20 px", "RGB 12", "cat: 6", "person: 6"):
        assert word in text


def test_broken_images_are_named(succeed, here):
    Path("photos").mkdir()
    Path("photos/a.png").write_text("text", encoding="utf-8")
    Image.new("RGB", (8, 8)).save("photos/b.png")
    text = succeed("inspect", "photos").out
    assert "photos/a.png: it is not a JPEG" in text


def test_run_of_a_tokenizer_is_described(succeed, world):
    text = succeed("inspect", world.vqgan).out
    for word in ("step 3 of 3", "f = 2, K = 16", "8x8", "16x16 pixels", "4 images", "psnr_db"):
        assert word in text
    vqgan = smalti.VQGAN.from_pretrained(world.vqgan)
    for network in (vqgan.encoder, vqgan):
        assert f"{sum(one.numel() for one in network.parameters()):,} parameters" in text


@pytest.mark.parametrize("name", ["hf://owner/name", "owner/name"])
def test_model_of_the_hub_is_described(succeed, here, world, stand_in_hub, monkeypatch, name):
    monkeypatch.setattr(hub, "is_reachable", lambda: True)
    model = smalti.VQGAN.from_pretrained(world.vqgan)
    model.save_pretrained(here / "model")
    stand_in_hub.add("owner/name", here / "model")
    text = succeed("inspect", name).out
    assert "f = 2, K = 16" in text
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    assert succeed("inspect", name).out == text  # as it was downloaded


def test_name_of_no_model_on_the_hub_is_that_of_a_data_set(
    refused, here, stand_in_hub, monkeypatch
):
    def describe(spec, classes):
        raise InputError(f"{spec}: the hub does not give it")

    monkeypatch.setattr("smalti.cli.inspect_data.describe_data", describe)
    line = "hf://owner/name: the hub does not give it; nor does it give a model of this name"
    refused(["inspect", "hf://owner/name"], line)


def test_run_is_judged_and_has_a_page(succeed, world):
    result = succeed("inspect", world.vqgan).out
    page = world.vqgan / "report" / "index.html"
    assert "health:       nothing wrong is seen" in result
    assert str(page) in result
    assert 'src="codes.png"' in page.read_text(encoding="utf-8")


def test_run_that_was_stopped_is_described_without_its_data(succeed, here, world):
    shutil.copytree(world.vqgan, here / "run")
    config = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    config["data"], config["training"]["total_steps"] = ["gone"], 9
    Path("run/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert "step 3 of 9" in succeed("inspect", "run").out


def test_early_stop_is_told(succeed, here, world):
    shutil.copytree(world.prior, here / "run")
    config = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    config["training"] |= {"early_stop": 2, "total_steps": 9}
    Path("run/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert "early stop" not in succeed("inspect", "run").out
    newest = max(Path("run/checkpoints").glob("step_*/training.json"))
    state = json.loads(newest.read_text(encoding="utf-8"))
    state["counters"]["without_gain"] = 2
    newest.write_text(json.dumps(state), encoding="utf-8")
    assert "early stop:   2 evaluations without gain" in succeed("inspect", "run").out


def test_config_may_begin_with_a_byte_order_mark(call, here):
    """As editors on Windows write it."""
    Path("config.yaml").write_text("out: größe\nseed: 7", encoding="utf-8-sig")
    options = ["--data", "photos", "--config", "config.yaml", "--print_config"]
    printed = yaml.safe_load(call("train", "vqgan", *options).out)
    assert (printed["out"], printed["seed"]) == ("größe", 7)


@pytest.mark.parametrize(
    ("number", "code"),
    [("SIGTERM", 143), pytest.param("SIGUSR1", 75, marks=needs_requeue_signal)],
)
def test_signal_leaves_nothing_half_written(here, number, code):
    """Where no run is there to finish its step and save."""
    program = textwrap.dedent(f"""
        import signal, sys
        from pathlib import Path
        from smalti.cli import inspect, main
        from smalti.files import atomic_folder

        def run(arguments):
            with atomic_folder(Path("codes")) as temporary:
                (temporary / "view").touch()
                signal.raise_signal(signal.{number})

        inspect.run = run
        sys.argv = ["smalti", "inspect"]
        main.console()
    """)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8"
    )
    assert ended.returncode == code
    assert ended.stderr.splitlines()[-1] == f"smalti: stopped by {number}"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "spins"),
    [
        ({}, SPINS),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "none"),
    ],
)
def test_waiting_threads_sleep_soon_unless_the_environment_says_otherwise(environment, spins):
    """On a machine that does other work, waiting threads would take the cores from others."""
    program = textwrap.dedent("""
        import os, sys
        from smalti.cli import inspect, main

        def run(arguments):
            is_in_time = "torch" not in sys.modules
            print(os.environ.get("GOMP_SPINCOUNT", "none"), is_in_time)

        inspect.run = run
        sys.argv = ["smalti", "inspect"]
        main.console()
    """)
    untold = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env=untold | environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    assert printed.split() == [spins, "True"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
@pytest.mark.parametrize(
    ("environment", "is_kept"), [({}, True), ({"MALLOC_MMAP_THRESHOLD_": "131072"}, False)]
)
def test_freed_memory_is_used_again_unless_the_environment_says_otherwise(environment, is_kept):
    """Memory from the system is zeroed page by page, which takes longer than many operations."""
    program = textwrap.dedent("""
        import resource, sys
        from smalti.cli import inspect, main

        def pages_of_a_block():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            b"x" * 2**26
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        def run(arguments):
            pages_of_a_block()
            print(pages_of_a_block() < 1000)

        inspect.run = run
        sys.argv = ["smalti", "inspect"]
        main.console()
    """)
    untold = {name: value for name, value in os.environ.items() if name not in KEPT_BYTES}
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env=untold | environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    assert printed.split() == [str(is_kept)]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_names_that_the_terminal_has_no_letters_for_are_escaped(monkeypatch, encoding):
    shown = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "argv", ["smalti", "inspect"])
    monkeypatch.setattr(inspect, "run", lambda _: print("cat 猫 \udcff"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # so that this process's is not changed
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")  # likewise
    with pytest.raises(SystemExit, match="0"):
        console()
    shown.flush()
    assert shown.buffer.getvalue().split() == [b"cat", b"\\u732b", b"\\udcff"]


def test_missing_folder_for_temporary_files_is_one_line(call, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])
    monkeypatch.setattr(inspect, "run", lambda _: tempfile.gettempdir())
    result = call("inspect")
    assert result.code == 2
    assert result.err == (
        "smalti: No usable temporary directory found in ['/proc/nowhere']; set TMPDIR to a folder "
        "that can be written\n"
    )


def test_killed_worker_is_one_line(call, monkeypatch):
    def run(_):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr(inspect, "run", run)
    result = call("inspect")
    assert (result.code, result.err) == (
        1,
        "smalti: a process that decodes images was ended from outside, as where memory runs out; "
        "lower training.workers\n",
    )


def test_process_that_does_not_speak_drops_any_name(call, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(inspect, "run", lambda _: print("cat 猫 \udcff"))
    result = call("inspect")
    assert (result.code, result.out) == (0, "")


def test_run_before_its_first_checkpoint_is_described(succeed, here, world):
    shutil.copytree(world.vqgan, here / "run")
    shutil.rmtree("run/checkpoints")
    text = succeed("inspect", "run").out
    assert "checkpoint:   none yet" in text
    assert "run/report/index.html" in text


@pytest.mark.slow
def test_memory_of_a_run_counts_its_discriminator(succeed, here, world):
    def trained_mib(what):
        return int(re.search(r"about (\d+) MiB to train", succeed("inspect", what).out)[1])

    shutil.copytree(world.vqgan, here / "run")
    config = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    config["discriminator"]["filters"] = 128
    Path("run/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert trained_mib("run") > trained_mib(world.vqgan)


def test_run_of_a_prior_is_described(succeed, world):
    text = succeed("inspect", world.classes).out
    for word in ("1 layers, 2 heads, 16 wide", "1 + 64 tokens", "cat, person", "16x16 pixels"):
        assert word in text


def test_model_folder_is_described(succeed, here, world):
    smalti.VQGAN.from_pretrained(world.vqgan).save_pretrained("model")
    assert "f = 2, K = 16" in succeed("inspect", "model").out


# How it ends


def test_our_own_error_is_not_hidden(call, world, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(smalti.VQGAN, "from_pretrained", fail)
    with pytest.raises(ZeroDivisionError):
        call("reconstruct", world.vqgan, world.picture)


def test_interrupted_command_ends_with_130(call, world, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(smalti.VQGAN, "from_pretrained", interrupt)
    result = call("reconstruct", world.vqgan, world.picture)
    assert (result.code, result.err) == (130, "smalti: stopped\n")
