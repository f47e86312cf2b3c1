"""What people see of films: changes over time, with the boundaries that were found."""

import io

import numpy as np
from PIL import Image

from arot_assets.drawing import timeline
from arot_assets.local_paths import LocalPaths
from arot_assets.report.timelines import section, timelines
from tests.clips.conftest import CLIPS, FILMS, ClipsOfFilms


def test_a_report_draws_changes_and_boundaries_of_each_film(of_films: ClipsOfFilms) -> None:
    r = of_films.resources
    with r.warehouse.connect() as con:
        drawn = list(timelines(con, r.tables, "films"))
    assert {one.uri.rsplit("/", 1)[-1] for one in drawn} == set(FILMS)
    assert sum(sum(one.boundaries.values()) for one in drawn) == CLIPS - len(FILMS)
    text = section(drawn, LocalPaths([of_films.films.source]))
    assert text.count("data:image/png") == len(FILMS) and of_films.films.source not in text


def test_peaks_and_places_are_where_they_were() -> None:
    values = np.zeros(900)
    values[300] = 10.0
    with Image.open(io.BytesIO(timeline(values, [(600, 600, "cut"), (700, 800, "dissolve")]))) as picture:
        row = np.asarray(picture.convert("RGB")).astype(int)[40]
    white = row.sum(axis=1) == 3 * 255
    assert np.flatnonzero(~white).tolist() == [300, 600, *range(700, 800)]


def test_a_cut_is_drawn_over_the_change_that_it_is() -> None:
    values = np.ones(100)
    values[50] = 10.0
    with Image.open(io.BytesIO(timeline(values, [(50, 50, "cut")]))) as picture:
        red, _, blue = np.asarray(picture.convert("RGB")).astype(int)[60, 450]
    assert red > blue
