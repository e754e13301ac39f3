"""The roofline's count of special functions, against the machine code."""

from __future__ import annotations

import pytest

from benchmarks.launches import SPECIAL_SLOPE, SPECIAL_VALUE
from tests import cases
from tests.engines.triton import verdict


@pytest.mark.skipif(cases.count(10) < 10, reason="compiles 32 kernels; runs with --all")
def test_evaluations_take_as_many_special_functions_as_the_roofline_counts() -> None:
    outcome = verdict.compiled("tests.engines.triton.special_kernels:calls", "sm_90", 2, machine_code=True)
    assert len(outcome.reports) == 2 * 2 * len(cases.ACTIVATIONS)
    wrong = []
    for report, _ in outcome.reports:
        act, tier, slope = (report.constants[name] for name in ("ACT", "TIER", "SLOPE"))
        counted = (SPECIAL_SLOPE if slope else SPECIAL_VALUE)[tier].get(act, 0)
        if sum(report.special.values()) != counted:
            wrong.append(f"{act} {tier} {'slope' if slope else 'value'}: {report.special}, not {counted}")
        wrong += [f"{act} {tier}: {fault}" for fault in report.faults() + report.spills()]
    assert not wrong, "\n".join(wrong)
