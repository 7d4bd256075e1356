import math

import pytest

from bolide.core.minimongo.selectors.geometry import (
    EARTH_RADIUS_M,
    geojson_distance,
    plane_distance,
    point_of,
)

ORIGIN = (0.0, 0.0)
DEGREE_M = EARTH_RADIUS_M * math.pi / 180


@pytest.mark.parametrize("value", [[1, 2], [1.0, 2, "rest"], {"x": 1, "y": 2}])
def test_a_point_is_a_pair_of_numbers(value: object) -> None:
    assert point_of(value) == (1.0, 2.0)


@pytest.mark.parametrize(
    "value",
    [None, 5, "12", [], [1], [1, "2"], [1, True], [1, math.nan], [1, 10**400], {"x": 1}, {}],
)
def test_anything_else_is_no_point(value: object) -> None:
    assert point_of(value) is None
    assert plane_distance(ORIGIN, value) is None
    assert geojson_distance(ORIGIN, value) is None


def test_on_the_plane_distances_are_euclidean() -> None:
    assert plane_distance((1.0, 1.0), [4, 5]) == 5


@pytest.mark.parametrize(
    ("geometry", "degrees"),
    [
        ({"type": "Point", "coordinates": [0, 0]}, 0),
        ({"type": "Point", "coordinates": [0, 90]}, 90),
        ({"type": "Point", "coordinates": [180, 0]}, 180),
        ([1, 0], 1),
        ({"lng": 0, "lat": 1}, 1),
        ({"type": "LineString", "coordinates": [[1, 0], [3, 0]]}, 3),
        ({"type": "Polygon", "coordinates": [[[1, 0], [0, 2], [1, 0]], [[9, 9]]]}, 2),
    ],
)
def test_on_the_globe_distances_are_metres_to_the_farthest_vertex(
    geometry: object, degrees: float
) -> None:
    assert geojson_distance(ORIGIN, geometry) == pytest.approx(degrees * DEGREE_M)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point"},
        {"type": "Point", "coordinates": "here"},
        {"type": "LineString", "coordinates": [[1, 0], "there"]},
        {"type": "LineString", "coordinates": []},
        {"type": "LineString", "coordinates": 5},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [5]},
        {"type": "GeometryCollection", "geometries": []},
        {"type": 5},
    ],
)
def test_other_geometries_have_no_distance(geometry: object) -> None:
    assert geojson_distance(ORIGIN, geometry) is None
