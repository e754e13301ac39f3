"""What is shown of each kind of signal, and that it is the signal that is shown."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from fastsnf.analysis.run_report import reconstructed
from fastsnf.analysis.run_report.gallery import GALLERIES, error_spectra, gallery, middle, middle_words
from fastsnf.analysis.run_report.of_solid import EXTRA, INSIDE, MISSING, OUTSIDE
from fastsnf.analysis.run_report.of_sound import spectrogram
from fastsnf.analysis.run_report.picture import ERRORS
from fastsnf.analysis.run_report.wave import envelope
from fastsnf.signals import Audio, Image, Occupancy, PointCloud, Samples, Sphere, Video, Volume
from fastsnf.signals.bits import BitGrid
from fastsnf.signals.kinds import KINDS


def pixels(picture):
    """The pixels of a `Picture`, decoded."""
    return np.asarray(Pillow.open(io.BytesIO(picture.png)))


def result(signal, values=None, **rendering):
    """A fit whose values are given: only what a gallery reads of one."""
    kept = SimpleNamespace(signal=signal, **rendering)
    return SimpleNamespace(kind=signal.kind, values=values, rendering=kept, metrics={})


def random_of(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def signals():
    """A small signal of every kind that makes itself without a file."""
    array = random_of(6, 8, 3).numpy()
    solid = np.zeros((9, 8, 7), dtype=bool)
    solid[2:6, 3:7, 1:5] = True
    latitudes, longitudes = np.linspace(-90, 90, 6), np.linspace(0, 315, 8)
    return {
        "image": Image.from_array(array),
        "gray": Image.from_array(array[:, :, 0]),
        "audio": Audio.from_array(random_of(500, 2) - 0.5, 8000),
        "occupancy": Occupancy.from_grid(solid),
        "volume": Volume.from_array(random_of(5, 6, 7).numpy()),
        "sphere": Sphere.from_array(array[:, :, 0], latitudes, longitudes, unit="K"),
        "video": Video.from_array(random_of(4, 6, 8, 3).numpy()),
        "line": Samples.from_array(random_of(50, 1)),
        "plane": Samples.from_array(random_of(6, 8, 2)),
        "block": Samples.from_array(random_of(5, 6, 7, 1)),
        "point": Samples.from_array(random_of(1, 1)),
        "four axes": Samples.from_array(random_of(2, 3, 2, 3, 1)),
    }


@pytest.mark.parametrize("name", signals())
def test_every_kind_has_pictures_that_decode(name, fitted):
    signal = signals()[name]
    shown = gallery(fitted(signal), signal)
    pictures = [picture for group in shown.groups for picture in group.pictures]
    assert bool(pictures) == (name != "four axes")
    for picture in pictures:
        assert pixels(picture).shape[:2] == (picture.height, picture.width)
    if name not in ("point", "four axes"):
        assert set(shown.spectra) == {"target", "error"}
        assert shown.spectrum_of


def test_kinds_are_known():
    assert set(GALLERIES) <= set(KINDS)


def test_an_image_is_shown_as_it_is_and_a_perfect_fit_has_no_error():
    signal = Image.from_array(random_of(6, 8, 3).numpy())
    before, after, error = gallery(result(signal, signal.values), signal).groups[0].pictures
    np.testing.assert_array_equal(pixels(before), signal.to_array())
    np.testing.assert_array_equal(pixels(after), signal.to_array())
    assert (pixels(error) == ERRORS[0]).all()


def test_the_error_of_an_image_is_where_it_is_and_holes_are_grey():
    values = torch.full((16, 3), 0.5)
    signal = Image.from_array(values.reshape(4, 4, 3).numpy(), mask=np.arange(16).reshape(4, 4) != 5)
    found = values.clone()
    found[10] += 0.3
    found[5] = 100.0
    shown = gallery(result(signal, found), signal)
    error = pixels(shown.groups[0].pictures[2]).reshape(16, 3)
    assert error[10].tolist() == list(ERRORS[-1])
    assert error[5].tolist() == [128, 128, 128]
    assert (error[0] == ERRORS[0]).all()
    assert float(shown.spectra["error"].amplitudes.nan_to_num().max()) < 0.3


def test_a_large_image_is_reduced(monkeypatch):
    from fastsnf.analysis.run_report import of_image

    monkeypatch.setattr(of_image, "factor_of", lambda height, width: 4)
    signal = Image.from_array(random_of(9, 8).numpy())
    shown = gallery(result(signal, signal.values), signal).groups[0].pictures
    assert {(picture.height, picture.width) for picture in shown} == {(3, 2)}
    assert all("1/4" in picture.note for picture in shown)


def test_slices_of_a_solid_say_what_is_missing_and_what_is_extra():
    solid = np.zeros((3, 4, 4), dtype=bool)
    solid[1, 0, :2] = True
    found = np.zeros_like(solid)
    found[1, 0, 1:3] = True
    signal = Occupancy.from_grid(solid)
    shown = gallery(result(signal, bits=BitGrid.from_bool(found)), signal)
    cut = pixels(shown.groups[-1].pictures[0])
    assert [tuple(colour) for colour in cut[0]] == [MISSING, INSIDE, EXTRA, OUTSIDE]
    assert "12.500 % differ" in shown.groups[-1].pictures[0].note
    assert [len(group.pictures) for group in shown.groups] == [2, 2, 3]
    before, after = (pixels(picture) for picture in shown.groups[0].pictures)
    assert (before != after).any()


def test_values_that_no_rendering_keeps_come_from_the_field(fitted):
    signal = Occupancy.from_grid(np.indices((5, 6, 7)).sum(axis=0) < 8)
    fit = fitted(signal, loss="bce")
    index = torch.arange(0, signal.size, 3)
    out = torch.sigmoid(fit.field(signal.batch(index)[0]))
    torch.testing.assert_close(reconstructed.evaluated(fit, signal, index), out.detach())
    bits = reconstructed.at(fit, signal, index)
    torch.testing.assert_close(bits, (out >= 0.5).float())


def test_a_map_is_in_the_units_of_its_file():
    table = np.array([[200.0, 210.0, 220.0], [230.0, 240.0, 300.0]])
    signal = Sphere.from_array(table, [-30.0, 30.0], [0.0, 120.0, 240.0], unit="K")
    shown = gallery(result(signal, signal.values), signal).groups[0].pictures
    assert (shown[0].scale.low, shown[0].scale.high) == ("200 K", "300 K")


@pytest.mark.parametrize("down", [1, -1])
@pytest.mark.parametrize("across", [1, -1])
def test_a_map_has_north_up_and_east_to_the_right_whatever_the_order_of_the_file(down, across):
    table = np.array([[200.0, 210.0, 220.0], [230.0, 240.0, 300.0]])  # the warmest is in the north-east
    latitudes, longitudes = np.array([-30.0, 30.0]), np.array([0.0, 120.0, 240.0])
    signal = Sphere.from_array(table[::down, ::across], latitudes[::down], longitudes[::across])
    for shown in gallery(result(signal, signal.values), signal).groups[0].pictures[:2]:
        brightness = pixels(shown).sum(axis=2)
        assert np.unravel_index(brightness.argmax(), brightness.shape) == (0, 2)
        assert np.unravel_index(brightness.argmin(), brightness.shape) == (1, 0)


def test_slices_are_in_the_units_of_the_file():
    numbers = 270 + 30 * random_of(3, 4, 5).numpy()
    numbers[1, 0, :2] = 270, 300
    signal = Volume.from_array(numbers)
    shown = gallery(result(signal, signal.values + 0.1), signal).groups[0].pictures
    assert (shown[1].scale.low, shown[1].scale.high) == ("270", "300")
    assert shown[2].scale.high == "3"  # a tenth of the range everywhere


def test_of_vectors_of_one_length_the_first_component_is_seen():
    directions = torch.nn.functional.normalize(random_of(60, 3) - 0.5, dim=1)
    lengths = torch.linspace(1, 2, 60)[:, None]
    for values, said in ((directions, "the first component"), (directions * lengths, "the length of")):
        cloud = PointCloud.from_arrays(random_of(60, 3), values)
        group = gallery(result(cloud, cloud.values), cloud).groups[0]
        assert group.note.startswith(said)
        shown = values[:, 0] if "first" in said else values.norm(dim=1)
        ends = (group.pictures[0].scale.low, group.pictures[0].scale.high)
        assert ends == (f"{shown.min():.3g}", f"{shown.max():.3g}")
        block = Samples.from_array(values.reshape(3, 4, 5, 3))
        assert gallery(result(block, block.values), block).groups[0].note.startswith(said)


def test_a_tone_is_one_line_of_the_spectrogram():
    rate, tone = 8000, 1000.0
    sound = torch.sin(2 * torch.pi * tone * torch.arange(rate) / rate)
    power = spectrogram(sound)
    height = power.shape[0]
    assert power.shape[1] <= 600 + 1
    assert (power.argmax(axis=0) == round(tone / (rate / 2) * (height - 1))).all()


def test_an_envelope_has_every_peak():
    values = torch.zeros(10_007)
    values[4321], values[9999] = 5.0, -3.0
    lowest, highest = envelope(values, 100)
    assert len(lowest) == 100
    assert highest.max() == highest[43] == 5.0
    assert lowest.min() == lowest[99] == -3.0
    assert len(envelope(values[:7], 100)[0]) == 7


@pytest.mark.parametrize("shape", [(5,), (100, 10), (3, 300), (20, 20, 20), (1, 1)])
def test_the_middle_is_in_the_middle(shape):
    part = middle(shape, most=64)
    sizes = [piece.stop - piece.start for piece in part]
    assert np.prod(sizes) <= 64
    for n, piece in zip(shape, part, strict=True):
        assert abs((piece.start + piece.stop) - n) <= 1
    whole = all(size == n for size, n in zip(sizes, shape, strict=True))
    assert bool(middle_words(shape, part, "points")) == (not whole)


def test_spectra_of_what_is_not_finite_are_left_out():
    values = random_of(8, 1)
    assert error_spectra(values * torch.nan, values) == {}
    assert error_spectra(values[:1], values[:1]) == {}
    assert set(error_spectra(values, values)) == {"target", "error"}
