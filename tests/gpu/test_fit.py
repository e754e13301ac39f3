"""`fastsnf.fit` on a GPU: the same code as on the CPU, steps as CUDA graphs, no waiting in between."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch

import fastsnf
from fastsnf.errors import RunError
from fastsnf.signals.samples import Samples
from fastsnf.train import plan as plans
from fastsnf.train.config import FitConfig
from fastsnf.train.cuda_graphs import CudaGraphs
from fastsnf.train.evaluate import predict
from fastsnf.train.optimizers import make_optimizer, set_rates
from fastsnf.train.points import Points
from fastsnf.train.samplers.passes import hashed_order
from fastsnf.train.step import Step, trainable
from fastsnf.train.storage import compact
from fastsnf.train.updates import WARM_UP, RecordedUpdates
from tests.train.samples import BATCHES, fit_small, holey_samples, same_state, small_field, small_image

pytestmark = pytest.mark.gpu

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Counted(CudaGraphs):
    """CUDA graphs that count what they are asked to do, and record only where they are told to."""

    records = replays = 0
    refuse = False

    def record(self, work):
        if Counted.refuse:
            raise RuntimeError("not recorded")
        replay, result = super().record(work)
        Counted.records += 1

        def counted() -> None:
            Counted.replays += 1
            replay()

        return counted, result


@pytest.fixture(autouse=True)
def counted(monkeypatch) -> Iterator[type[Counted]]:
    Counted.records = Counted.replays = 0
    Counted.refuse = False
    monkeypatch.setattr(plans, "CudaGraphs", Counted)
    yield Counted
    torch.cuda.synchronize()


def one_by_one(**options):
    """The same fit without graphs."""
    Counted.refuse = True
    with pytest.warns(RuntimeWarning, match="not recorded"):
        return fit_small(**options)


def test_a_fit_needs_no_change_and_learns():
    field, image = small_field(), small_image()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.filterwarnings("error", message=".*capturable.*")
        result = fastsnf.fit(field, image, steps=300, lr=1e-2)
    assert (result.engine, result.device, result.precision) == ("triton", "cuda", "fp32")
    assert result.psnr > 30
    assert result.values.device.type == "cpu"
    assert torch.equal(result.values, predict(field, image))
    x = image.coords.to(CUDA)
    torch.testing.assert_close(result.values, field(x).detach().cpu(), rtol=1e-4, atol=1e-4)


FITS = {
    "adam": {},
    "last batch of another size": {"batch_size": 110},
    "whole signal": {"batch_size": "full"},
    "adamw": {"optimizer": "adamw", "schedule": "step:10:0.5"},
    "sgd": {"optimizer": "sgd", "lr": 0.1},
    "tf32": {"precision": "tf32"},
    "fast": {"precision": "fast"},
}


@pytest.mark.parametrize("options", FITS.values(), ids=FITS)
def test_graphs_give_the_bits_of_single_steps(options, counted):
    graph = fit_small(**options)
    sizes = 2 if 480 % _batch(options) else 1
    assert counted.records == sizes
    assert counted.replays == 40 - WARM_UP * sizes
    single = one_by_one(**options)
    assert same_state(graph.field, single.field)
    assert [row["loss"] for row in graph.history] == [row["loss"] for row in single.history]
    assert graph.precision == options.get("precision", "fp32")


def _batch(options) -> int:
    size = options.get("batch_size", BATCHES["batch_size"])
    return 480 if size == "full" else size


def test_complex_parameters_are_recorded(counted):
    fields = []
    for refuse in (False, True):
        counted.refuse = refuse
        field = small_field(activation="gabor", scale=5.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            fastsnf.fit(field, small_image(), **{**BATCHES, "batch_size": 120})
        fields.append(field)
    assert counted.replays == 40 - WARM_UP
    assert same_state(*fields)


def test_weights_and_holes_are_recorded(counted):
    result = fastsnf.fit(small_field(), holey_samples(), **{**BATCHES, "batch_size": 100})
    assert counted.replays == 40 - WARM_UP
    assert torch.isfinite(result.values).all()


def test_a_resumed_fit_gives_the_same_bits(tmp_path, counted):
    options = {"batch_size": 120, "schedule": "exponential:0.1"}
    whole = fit_small(**options)

    class Stop(fastsnf.train.Callback):
        def on_log(self, row, state):
            if row["step"] == 15:
                state.stop()

    fit_small(tmp_path / "run", callbacks=[Stop()], **options)
    resumed = fit_small(tmp_path / "run", resume=True, **options)
    assert resumed.steps == 40
    assert same_state(whole.field, resumed.field)


def fitted(device: str, **options) -> fastsnf.FitResult:
    """Return a fit of a smooth picture from fixed weights."""
    t = torch.linspace(-1, 1, 128)
    values = 0.5 + 0.3 * torch.sin(9 * t)[:, None] * torch.cos(5 * t)[None, :] + 0.1 * torch.sin(31 * t)
    field = fastsnf.SNF(2, 1, 64, 2, generator=torch.Generator().manual_seed(1))
    settings = {"steps": 100, "batch_size": 4096, "seed": 3, "device": device, "preview_every": 0}
    return fastsnf.fit(field, Samples.from_array(values[..., None]), **{**settings, **options})


def test_gpu_and_cpu_fit_alike():
    gpu, cpu = fitted("cuda", precision="fp32"), fitted("cpu")
    assert gpu.engine == "triton"
    assert abs(gpu.psnr - cpu.psnr) < 0.5
    assert gpu.psnr > 20


@pytest.mark.parametrize(("precision", "most_db"), [("tf32", 0.3), ("fast", 0.6)])
def test_precisions_fit_alike(precision, most_db):
    exact, found = (fitted("cuda", precision=name, steps=300) for name in ("fp32", precision))
    assert found.precision == precision
    assert exact.psnr - found.psnr < most_db


def test_seeds_repeat():
    for precision in ("fp32", "tf32"):
        assert same_state(*(fit_small(precision=precision).field for _ in range(2)))
    assert not same_state(fit_small().field, fit_small(seed=1).field)


class Recorded:
    """The updates of a fit, without its loop."""

    def __init__(self, step: type[Step] = Step) -> None:
        config = FitConfig(batch_size=120)
        self.field = small_field().to(CUDA)
        self.points = Points(small_image(), None, CUDA, torch.float32)
        self.optimizer = make_optimizer(config, trainable(self.field), recorded=True)
        self.step = step(self.field, self.optimizer, config)
        self.updates = RecordedUpdates(self.points, self.step, self.field, CudaGraphs(CUDA))

    def advance(self, steps: int, graph: bool = True) -> None:
        for number in range(steps):
            set_rates(self.optimizer, [1e-3], 1.0 / (1 + number))
            self.updates.gradients(hashed_order(480, number, CUDA)[:120])
            self.updates.update()


def test_nothing_waits_for_the_device():
    run = Recorded()
    run.advance(1)  # kernels are compiled, tables of constants are copied
    try:
        torch.cuda.set_sync_debug_mode("error")
        run.advance(WARM_UP - 1)
        torch.cuda.set_sync_debug_mode("default")
        run.advance(1)  # recording waits
        torch.cuda.set_sync_debug_mode("error")
        run.advance(20)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(parameter.grad.isfinite().all() for parameter in run.field.parameters())


class ReadsTheLoss(Step):
    """A step that waits for the device, which no recording can."""

    def gradients(self, x, y, w=None):
        loss = super().gradients(x, y, w)
        loss.item()
        return loss


def test_a_failed_recording_warns_once_and_leaves_torch_as_it_was():
    run, single = Recorded(ReadsTheLoss), Recorded()
    stream = torch.cuda.current_stream()
    with pytest.warns(RuntimeWarning, match="CUDA graph") as caught:
        run.advance(8)
    assert len(caught) == 1
    assert torch.cuda.current_stream() == stream
    single.advance(8)
    assert same_state(run.field, single.field)
    assert torch.rand(4, device=CUDA).isfinite().all(), "the random generator is not waiting for a graph"
    single.advance(4)


EAGER = {
    "a loss callable": {"loss": lambda out, target, weights: (out - target).square().mean()},
    "bce": {"loss": "bce"},
    "an optimizer callable": {"optimizer": lambda parameters: torch.optim.Adam(parameters, lr=1e-3)},
    "the reference engine": {"engine": "reference"},
}


@pytest.mark.parametrize("options", EAGER.values(), ids=EAGER)
def test_other_fits_run_one_kernel_after_another(options, counted):
    result = fit_small(**options)
    assert counted.records == 0
    assert result.device == "cuda"
    assert result.loss is not None


def test_a_signal_that_stays_on_the_host(monkeypatch, counted):
    resident = fit_small()
    counted.records = 0
    monkeypatch.setattr("fastsnf.train.points.CACHED_POINTS", 10)
    computed = fit_small()
    assert counted.records == 2
    assert same_state(computed.field, resident.field), "coordinates from the index are the same"
    monkeypatch.setattr("fastsnf.train.points.DEVICE_BYTES", 10)
    counted.records = 0
    assert fit_small().loss is not None
    assert counted.records == 0


def test_orders_are_those_of_the_cpu():
    for size in (1, 17, 5000, 300_000):
        assert torch.equal(hashed_order(size, 42 - size, CUDA).cpu(), hashed_order(size, 42 - size, CPU))


@pytest.mark.parametrize(
    "values",
    [
        torch.arange(256).float()[:, None] / torch.full((256, 1), 255.0),
        (torch.arange(1001)[:, None] % 3 == 0).float(),
        torch.linspace(-1, 1, 777).half().float().reshape(-1, 3),
        torch.linspace(0, 1, 777).reshape(-1, 3),
    ],
    ids=["bytes", "bits", "halves", "floats"],
)
def test_values_on_the_device_are_lossless(values):
    column = compact(values, CUDA, torch.float32)
    index = torch.randint(0, len(values), (500,))
    assert torch.equal(column.at(index.to(CUDA)).cpu(), values[index])
    assert torch.equal(column.at(slice(0, len(values))).cpu(), values)


def test_targets_and_rows_by_step_are_kept():
    result = fastsnf.fit(small_field(), small_image(), target_psnr=25.0, batch_size=100, lr=1e-2, steps=5000)
    assert result.steps < 5000
    assert result.steps % 5 == 0
    assert result.psnr >= 25.0
    rows = fit_small(log_every=7).history
    assert [row["step"] for row in rows] == [7, 14, 21, 28, 35, 40]


def test_a_loss_that_turns_nan_stops(tmp_path):
    options = {
        **BATCHES,
        "steps": 500,
        "lr": 1e38,
        "optimizer": "sgd",
        "schedule": "constant",
        "log_every": None,
    }
    with pytest.raises(RunError, match=r"NaN or infinity at step \d+.*: the learning rate of 1e\+38"):
        fastsnf.fit(small_field(), small_image(), run=tmp_path / "run", **options)
    assert all(p.isfinite().all() for p in fastsnf.load(tmp_path / "run").parameters())


def test_a_full_gpu_is_an_error_that_says_what_to_do():
    total = torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(min(1.0, (64 << 20) / total))
        with pytest.raises(RunError, match="lower batch_size or hidden_features"):
            fastsnf.fit(small_field(hidden_features=2048, hidden_layers=3), small_image(), steps=1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_signal_of_bits_fits():
    values = (torch.rand(64, 64, 1) > 0.5).float()
    result = fastsnf.fit(small_field(), Samples.from_array(values), steps=20)
    assert result.loss is not None
    assert result.steps == 20
