"""The classes of Gabor images: (image type, mean orientation), and their order."""

from typing import NamedTuple

import numpy as np

IMAGES = "ABCDUG"  # image types; a code is an index into this
A, D, U, G = (IMAGES.index(image) for image in "ADUG")
UNEXPECTED_TURN = 90  # degrees that U's mean orientation lies past its sequence's
GRAY_IMAGE = "G"


class GaborClass(NamedTuple):
    """`image` is A, B, C, D, D/U, U or G; `orientation` in degrees, None for G."""

    image: str
    orientation: int | None

    @property
    def name(self) -> str:
        return self.image if self.orientation is None else f"{self.image} {self.orientation}°"


class GaborClasses(NamedTuple):
    """`classes` in order; `index` [6, orientations] maps (image code, index of the sequence's
    mean orientation) to a class, -1 where there is none."""

    classes: tuple[GaborClass, ...]
    index: np.ndarray


def gabor_classes(
    orientations: tuple[int, ...], *, gray: bool, unexpected: bool, own_U_layout: bool
) -> GaborClasses:
    """The classes of a run with these mean orientations, in degrees.

    A, B, C, D, then U, orientations ascending, last G. With `unexpected`, U images may occur: on
    D's layout they share the classes D/U over the union of both sets of orientations (the label's
    is_U tells them apart); on their own layout they have classes of their own.
    """
    expected = sorted(orientation % 360 for orientation in orientations)
    turned = [(orientation + UNEXPECTED_TURN) % 360 for orientation in expected]
    by_image = dict.fromkeys("ABCD", expected)
    if unexpected and own_U_layout:
        by_image["U"] = sorted(turned)
    elif unexpected:
        del by_image["D"]
        by_image["D/U"] = sorted({*expected, *turned})
    classes = [GaborClass(image, angle) for image, angles in by_image.items() for angle in angles]
    if gray:
        classes.append(GaborClass(GRAY_IMAGE, None))

    position = {gabor_class: i for i, gabor_class in enumerate(classes)}
    index = np.full((len(IMAGES), len(orientations)), -1)
    for code, image in enumerate(IMAGES):
        for column, orientation in enumerate(orientations):
            angle = orientation % 360
            if image == "U":
                angle = (angle + UNEXPECTED_TURN) % 360
            for named in (image, "D/U" if image in "DU" else image):
                wanted = GaborClass(named, None if image == GRAY_IMAGE else angle)
                index[code, column] = max(index[code, column], position.get(wanted, -1))
    return GaborClasses(tuple(classes), index)
