"""Distances for ``$near``: on the plane for coordinate pairs, on the globe for GeoJSON."""

import math

# Values have no static type here; what is no point has no distance.
from typing import Any, Final, TypeAlias

from bolide.core.minimongo.paths import is_array, is_document

__all__ = ["EARTH_RADIUS_M", "Point", "geojson_distance", "plane_distance", "point_of"]

EARTH_RADIUS_M: Final = 6_371_000.0
"""Mean radius of the Earth, metres; Meteor's, while MongoDB takes 6,378,100."""

_MAX_COORDINATE: Final = 1e150

Point: TypeAlias = tuple[float, float]
"""x and y, or longitude and latitude in degrees."""


def point_of(value: Any) -> Point | None:
    """Read a coordinate pair: an array of two numbers, or an object whose first two are numbers."""
    if is_array(value):
        pair = value[:2]
    elif is_document(value):
        pair = list(value.values())[:2]
    else:
        return None
    if len(pair) < 2 or not all(map(_is_coordinate, pair)):
        return None
    return float(pair[0]), float(pair[1])


def plane_distance(center: Point, value: Any) -> float | None:
    """Return how far a coordinate pair is from a point, in its own unit; None if it is none."""
    point = point_of(value)
    return None if point is None else math.dist(center, point)


def geojson_distance(center: Point, value: Any) -> float | None:
    """Return how far a geometry is from a point.

    Args:
        center: Longitude and latitude, degrees.
        value: A GeoJSON Point, LineString or Polygon, or a coordinate pair.

    Returns:
        Metres; of a line or polygon to its farthest vertex, since Meteor asks whether the whole
        is within a radius; None if the value is no such geometry.
    """
    points = _vertices(value)
    return max((_arc_m(center, point) for point in points), default=None)


def _vertices(value: Any) -> list[Point]:
    if not is_document(value) or "type" not in value:
        shapes = [value]
    else:
        coordinates = value.get("coordinates")
        match value["type"]:
            case "Point":
                shapes = [coordinates]
            case "LineString" if is_array(coordinates):
                shapes = coordinates
            case "Polygon" if is_array(coordinates) and coordinates and is_array(coordinates[0]):
                # The outer ring comes first, holes after it.
                shapes = coordinates[0]
            case _:
                return []
    points = [point_of(shape) for shape in shapes]
    return [] if None in points else [point for point in points if point is not None]


def _arc_m(a: Point, b: Point) -> float:
    """Return the length of the great circle's arc between two points (haversine formula)."""
    (lon_a, lat_a), (lon_b, lat_b) = (map(math.radians, point) for point in (a, b))
    chord = (
        math.sin((lat_b - lat_a) / 2) ** 2
        + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, chord)))


def _is_coordinate(value: object) -> bool:
    # Not isfinite(): it cannot take an int that is too big for a float.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -_MAX_COORDINATE <= value <= _MAX_COORDINATE
    )
