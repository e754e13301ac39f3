"""Claims and their verdicts."""

import doctest

import pytest

from fastsnf.studies.ws import claims, fits, initial_claims, measures, optimal
from fastsnf.studies.ws.claims import COLUMNS, Claim, claims_table


@pytest.mark.parametrize(
    "module", [claims, fits, initial_claims, measures, optimal], ids=lambda m: m.__name__
)
def test_the_examples_of_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    ("holds", "verdict", "why"), [(True, "yes", "-"), (False, "no", "too small"), (None, "open", "-")]
)
def test_a_reason_stands_only_where_a_claim_fails(holds, verdict, why):
    table = claims_table([Claim("rises", "positive", "1 -> 2", "none", holds, "too small")])
    row = dict(zip(COLUMNS, table.rows[0], strict=True))
    assert row["holds"] == verdict
    assert row["why not"] == why
    assert any(note.startswith("open: ") for note in table.notes) == (holds is None)
