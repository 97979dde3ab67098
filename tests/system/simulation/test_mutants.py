"""The simulation can fail: a safeguard that is taken out is noticed."""

from pathlib import Path

import pytest

from tests.system.simulation.mutants import copy_tree, survivors
from tests.system.simulation.mutations import MUTATIONS, Edit, Mutation, TextGoneError

pytestmark = pytest.mark.process


def test_every_safeguard_still_stands_where_its_mutation_looks_for_it(tmp_path: Path) -> None:
    for number, mutation in enumerate(MUTATIONS):
        copy = tmp_path / str(number)
        copy.mkdir()
        copy_tree(copy)
        mutation.apply(copy)


def test_a_mutation_whose_text_is_gone_says_so(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    gone = Mutation("nothing", (Edit("prices/refresh/claim.py", "this stands nowhere", ""),))
    with pytest.raises(TextGoneError, match=r"prices/refresh/claim.py has 0 times"):
        gone.apply(tmp_path)


@pytest.mark.parametrize("name", ["freshness, both ways", "the stash"])
def test_the_loss_of_a_safeguard_is_noticed_within_a_few_seeds(name: str) -> None:
    (mutation,) = [one for one in MUTATIONS if one.name == name]
    assert survivors(mutation, 40)["broke"] > 0
