"""The tables: medians over rounds, ratios within them, and marks for what must not be missed."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import RESULTS, TABLE, main
from benchmarks.results import Results
from benchmarks.summary import Summary
from benchmarks.table import markdown
from tests.benchmarks.fixed import results, run


def rows(text: str, title: str = "### Private") -> dict[str, dict[str, str]]:
    """Return the cells of a table by server and heading."""
    lines = text[text.index(title) :].split("\n\n")[1].splitlines()
    header, _, *body = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return {cells[0]: dict(zip(header, cells, strict=True)) for cells in body}


def test_ratios_are_of_runs_of_the_same_round() -> None:
    # Each round is twice as fast as the one before, for both: their ratio is always 1 to 4, which
    # neither a ratio of the medians nor one of the means would give here.
    found = results(
        run(1, "relay", 1000),
        run(2, "relay", 2000),
        run(3, "relay", 4000),
        run(1, "simple-chatting", 250),
        run(2, "simple-chatting", 500),
    )
    summary = Summary(found, "private", 8)
    assert summary.ratio("simple-chatting", "relay", "rate") == 0.25
    assert summary.median("simple-chatting", "rate") == 375
    assert summary.median("relay", "rate") == 2000
    row = rows(markdown(found))["simple-chatting"]
    assert row["messages/s ÷ relay"] == "0.25"
    assert row["rounds"] == "2"


def test_ours_is_compared_with_each_peer() -> None:
    found = results(
        run(1, "relay", 4000), run(1, "simple-chatting", 1000), run(1, "ejabberd-postgresql", 50)
    )
    table = rows(markdown(found))
    assert table["ejabberd-postgresql"]["simple-chatting ÷ this"] == "20"
    assert table["relay"]["simple-chatting ÷ this"] == "0.25"
    assert table["simple-chatting"]["simple-chatting ÷ this"] == ""


def test_the_cpu_of_the_server_is_told_for_each_delivery() -> None:
    # 99 % of a core for 9,900 messages a second.
    found = results(run(1, "relay", 9_900), run(2, "relay", 0, figures={"server_cpu": 5}))
    assert rows(markdown(found))["relay"]["µs of CPU each"] == "100"


def test_a_round_that_was_not_quiet_does_not_count_beside_quiet_ones() -> None:
    loud = {"others_cpu": 80}
    found = results(
        run(1, "relay", 100, figures=loud),
        run(2, "relay", 4000),
        run(1, "ejabberd", 10, figures=loud),
    )
    table = rows(markdown(found))
    assert table["relay"]["messages/s"] == "4,000"
    assert table["relay"]["notes"] == ""
    assert table["ejabberd"]["notes"] == "others were busy too"


def test_a_fault_is_marked_wherever_it_happened() -> None:
    found = results(
        run(1, "simple-chatting", 10, faults={"lost": 2}, figures={"others_cpu": 90}),
        run(2, "simple-chatting", 10, faults={"lost": 1, "wrong in the store": 1}),
    )
    notes = rows(markdown(found))["simple-chatting"]["notes"]
    assert notes == "**3 lost**; **1 wrong in the store**"


def test_an_exact_store_is_said_of_those_that_have_one() -> None:
    table = rows(markdown(results(run(1, "relay", 10), run(1, "simple-chatting", 10))))
    assert table["simple-chatting"]["notes"] == "store exact"
    assert table["relay"]["notes"] == ""


def test_a_busy_generator_makes_a_lower_bound() -> None:
    found = results(run(1, "relay", 10, figures={"generator_cpu": 95}), run(1, "ejabberd", 10))
    table = rows(markdown(found))
    assert "lower bound" in table["relay"]["notes"]
    assert "lower bound" not in table["ejabberd"]["notes"]


def test_a_server_that_cannot_follow_is_overloaded() -> None:
    found = results(
        run(1, "relay", 999, workload="open", size=1000, figures={"offered": 1000}),
        run(1, "ejabberd", 500, workload="open", size=1000, figures={"offered": 1000}),
    )
    table = rows(markdown(found))
    assert table["relay"]["notes"] == ""
    assert table["ejabberd"]["notes"] == "overloaded"


def test_a_run_that_failed_shows_why_and_spoils_no_median() -> None:
    found = results(run(1, "relay", 10), run(2, "relay", 0, figures={}, error="no | port"))
    row = rows(markdown(found))["relay"]
    assert (row["messages/s"], row["rounds"], row["notes"]) == ("10", "1", "**no / port**")


def test_shared_cores_are_said() -> None:
    assert "one core" not in markdown(results(run(1, "relay", 10)))


@pytest.mark.parametrize(
    "server, faults, code",
    [
        ("simple-chatting", {}, 0),
        ("simple-chatting", {"lost": 1}, 1),
        ("ejabberd", {"lost": 1}, 0),
    ],
)
def test_a_fault_of_our_own_server_makes_the_command_fail(
    tmp_path, capsys, server: str, faults: dict[str, int], code: int
) -> None:
    found = results(run(1, server, 10, faults=faults))
    (tmp_path / RESULTS).write_text("".join(found.lines()))
    assert main(["--again", "--out", str(tmp_path)]) == code
    shown = capsys.readouterr()
    assert ("FAILED: private 8 in round 1" in shown.err) == bool(code)
    assert shown.out.strip() == (tmp_path / TABLE).read_text().strip()


def test_results_survive_being_written(tmp_path) -> None:
    found = results(run(1, "relay", 10, faults={"lost": 1}), run(1, "ejabberd", 0, error="no"))
    path = tmp_path / RESULTS
    path.write_text("".join(found.lines()))
    assert Results.read(path) == found
