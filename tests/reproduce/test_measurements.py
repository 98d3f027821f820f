import pytest

from smalti.config import InputError
from smalti.prior.base import GridSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.reproduce.matching import check_matched, matched_pixelsnail, parameters_of
from smalti.reproduce.nll import lowest_until
from smalti.reproduce.results import Results
from smalti.reproduce.speed import seconds_in_turn


def test_a_measurement_is_done_once_and_kept(tmp_path):
    path = tmp_path / "0.json"
    Results(path).measure("a", lambda: {"nll": 2.5})
    again = Results(path)
    again.measure("a", lambda: pytest.fail("measured again"))
    assert again.figures == {"a/nll": 2.5}
    assert not again.is_complete


def test_a_damaged_file_of_results_is_named(tmp_path):
    (tmp_path / "0.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"0\.json is damaged: it is no JSON"):
        Results(tmp_path / "0.json")
    (tmp_path / "1.json").write_text('{"figures": 3}', encoding="utf-8")
    with pytest.raises(InputError, match=r"1\.json is damaged: figures"):
        Results(tmp_path / "1.json")


@pytest.mark.parametrize(
    ("until", "lowest"),
    [(10, 5.0), (15, 4.5), (20, 4.0), (30, 4.0), (5, 5.0)],
)
def test_the_lowest_nll_of_a_budget(until, lowest):
    assert lowest_until([(10, 5.0), (20, 4.0), (30, 6.0)], until) == lowest


@pytest.mark.parametrize(("layers", "heads", "width"), [(4, 4, 128), (12, 12, 768), (24, 16, 1024)])
def test_pixelsnail_has_as_many_parameters(layers, heads, width):
    sizes = GridSizes(1025, 256, 1, 16, 16)
    transformer = GPT2Config(layers=layers, heads=heads, width=width)
    matched = matched_pixelsnail(transformer, sizes)
    ratio = parameters_of(matched, sizes) / parameters_of(transformer, sizes)
    assert 0.95 < ratio < 1.05
    assert matched.dropout == transformer.dropout


def test_other_numbers_of_parameters_are_refused():
    check_matched(105, 100)
    with pytest.raises(InputError, match="106 parameters and the transformer 100"):
        check_matched(106, 100)


def test_calls_are_timed_in_turn():
    calls: list[str] = []
    seconds = seconds_in_turn({name: lambda n=name: calls.append(n) for name in "ab"}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert seconds.keys() == {"a", "b"}
    calls.clear()
    seconds_in_turn({"a": lambda: calls.append("a")}, rounds=1)
    assert calls == ["a"]
