"""What is named is found, also when it comes later, and nothing else."""

import shutil

import pytest

from helpers.studio import TINY, make_run
from smalti.config import InputError
from smalti.studio.library import Library
from smalti.tokenizer.vqgan import VQGAN


def names(*roots):
    return [entry.name for entry in Library(roots).entries()]


def test_runs_are_found_below_a_folder(runs, photos):
    make_run(runs / "b", photos)
    make_run(runs / "deep" / "er" / "a", photos)
    assert names(runs) == ["b", "deep/er/a"]


def test_a_run_and_a_model_can_be_named_themselves(run, tmp_path):
    VQGAN(TINY).save_pretrained(tmp_path / "model")
    first, second = Library([run, tmp_path / "model"]).entries()
    assert (first.name, first.kind, first.is_run) == ("model", "vqgan", False)
    assert (second.name, second.kind, second.is_run) == ("vqgan", "vqgan", True)


def test_runs_below_several_folders_are_told_by_these(runs, run, tmp_path, photos):
    make_run(tmp_path / "more" / "vqgan", photos)
    assert names(runs, tmp_path / "more") == ["more/vqgan", "runs/vqgan"]


def test_runs_of_one_name_are_told_by_their_paths(run, tmp_path, photos):
    other = make_run(tmp_path / "other" / "vqgan", photos)
    assert names(run, other) == [str(other), str(run)]


def test_the_parts_of_a_run_are_no_entries_of_their_own(run, runs):
    shutil.copytree(run / "checkpoints" / "best", run / "tokenizer")
    assert names(runs) == ["vqgan"]


def test_what_comes_later_is_found_and_what_goes_is_gone(runs, photos):
    library = Library([runs / "later"])
    assert library.entries() == []
    run = make_run(runs / "later" / "new", photos)
    (entry,) = library.entries()
    assert library.find(entry.id) == entry
    shutil.rmtree(run)
    assert library.find(entry.id) is None
    with pytest.raises(InputError, match="new is no longer there"):
        entry.check_exists()


def test_ids_are_no_paths_and_stay_the_same(run, runs):
    (entry,) = Library([runs]).entries()
    assert entry.id == Library([runs.parent / "runs"]).entries()[0].id
    assert entry.id.isalnum()


@pytest.mark.parametrize("id", ["", "..", "/etc", "vqgan", "../vqgan"])
def test_other_ids_are_not_found(run, runs, id):
    assert Library([runs]).find(id) is None


def test_what_is_beside_the_named_folder_is_not_found(runs, photos, tmp_path):
    make_run(tmp_path / "private", photos)
    assert names(runs) == []


def test_a_link_is_followed_and_a_loop_of_links_ends(runs, photos, tmp_path):
    elsewhere = make_run(tmp_path / "disk" / "run", photos)
    (runs / "linked").symlink_to(elsewhere)
    (runs / "loop").symlink_to(runs)
    assert names(runs) == ["linked"]


@pytest.mark.parametrize("text", ["stage: [", "a: 1", "stage: nonsense", "", "stage: [vqgan]"])
def test_other_configs_are_no_runs(runs, text):
    (runs / "other").mkdir()
    (runs / "other" / "config.yaml").write_text(text, encoding="utf-8")
    assert names(runs) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"kind": ["vqgan"], "config": {}}', '{"kind": "a"}'])
def test_other_descriptions_are_no_models(runs, text):
    (runs / "other").mkdir()
    (runs / "other" / "config.json").write_text(text, encoding="utf-8")
    (runs / "other" / "model.safetensors").touch()
    assert names(runs) == []


def test_a_model_whose_weights_come_later_is_found(runs, tmp_path):
    VQGAN(TINY).save_pretrained(tmp_path / "model")
    (runs / "model").mkdir()
    library = Library([runs])
    for name, found in (("config.json", 0), ("model.safetensors", 1)):
        shutil.copy(tmp_path / "model" / name, runs / "model" / name)
        assert len(library.entries()) == found


def test_a_model_beside_another_programs_config_is_no_run(runs):
    VQGAN(TINY).save_pretrained(runs / "model")
    (runs / "model" / "config.yaml").write_text("model: 1", encoding="utf-8")
    (entry,) = Library([runs]).entries()
    assert not entry.is_run


def test_a_prior_brings_its_tokenizer(run, runs):
    text = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(text.replace("stage: vqgan", "stage: prior"), encoding="utf-8")
    (entry,) = Library([runs]).entries()
    assert entry.kind == "prior"
    assert entry.tokenizer == run / "tokenizer"
