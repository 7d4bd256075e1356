"""Mutations: each still fits the code, so that a run of them proves something."""

from pathlib import Path

import pytest
from tests.mutations.mutation import Mutation
from tests.mutations.mutations import MUTATIONS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_fits_the_code_and_names_tests(mutation: Mutation) -> None:
    assert (ROOT / mutation.path).read_text().count(mutation.before) == 1
    assert mutation.before != mutation.after
    for test in mutation.tests:
        assert (ROOT / test.partition("::")[0]).exists()


def test_mutations_have_names_of_their_own() -> None:
    names = [mutation.name for mutation in MUTATIONS]
    assert len(set(names)) == len(names)
