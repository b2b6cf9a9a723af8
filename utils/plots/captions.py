"""The pictures of a report in reading order: what each shows, and how to read it."""

from typing import NamedTuple


class Part(NamedTuple):
    """A part of the page: pictures by their names, with what they show, and how to read them."""

    title: str
    pictures: dict[str, str]
    text: str
    of_test: str = ""  # how to read them in a test, where that differs


UNEXPECTED = "In all pictures over epochs, U images could appear in those that are shaded."
PARTS = (
    Part(
        "Loss and accuracy",
        {"loss_and_accuracy": "Loss and top-k accuracy"},
        "Loss (left) and accuracy (right) of training and validation after each epoch; epoch 0 was "
        "measured before any training. Dashed lines are chance: guessing with equal scores. A run "
        "learns where its loss falls below chance, and it overfits where training goes on to "
        "improve and validation doesn't. Orange marks are the best validation top-1.",
        "Loss and accuracy over all that was tested, beside chance (dashed).",
    ),
    Part(
        "Scores by kind of pairs",
        {"scores": "Mean scores, and what wins where a prediction is wrong"},
        "Above: the mean score of a prediction with its true block (positive) and with each "
        "kind of wrong candidates. Below: which kind has the highest score where that isn't the "
        "true block's. Predictions that tell clips apart, and not yet positions, lose to spatial "
        "negatives; those that know where, and not when, lose to temporal ones.",
    ),
    Part(
        "By image type",
        {"gabor_types": "Loss and correct class, type and orientation by image type"},
        "The same predictions, averaged for each type of image. A prediction counts as the class "
        "that it chose; so it can be right about the type, the orientation, both or neither, and "
        "each has its own chance (dashed). An effect of the unexpected is a difference "
        "between U and D.",
        "Bars for each type of image, with the number of predictions below them. A prediction can "
        "be right about the type, the orientation, both or neither; lines are chance.",
    ),
    Part(
        "By orientation",
        {"gabor_orientations": "Loss and correct class, type and orientation by orientation"},
        "The same predictions, averaged for each orientation of the patches. Colours turn with the "
        "angle, and lines are dashed from 180° on, where the contrast is inverted.",
        "The same predictions, averaged for each orientation of the patches.",
    ),
    Part(
        "By training batch",
        {"loss_by_batch": "Loss of each training batch"},
        "The loss of one training batch after the other, with the share of predictions whose "
        "target is U. It shows within an epoch what the first figure shows between epochs: a step "
        "where the first U images appear, and how fast it goes away.",
    ),
    Part(
        "What is taken for what",
        {
            "confusion": "Confusion of classes",
            "confusion_by_type": "Confusion of classes, sorted by image type",
            "confusion_by_orientation": "Confusion of classes, sorted by orientation",
            "confusion_of_U": "What U images are taken for",
            "confusion_by_epoch": "Confusion of classes in the epochs whose checkpoints are kept",
        },
        "Each row is a true class and each column a predicted one; a cell is the share of the "
        "row's predictions, so that each row sums to 1 and right ones lie on the diagonal. Blocks "
        "along the diagonal mean that what sorts the classes is recognised, and columns that are "
        "dark throughout are classes that are guessed often. Rows without predictions are gray.",
    ),
    Part(
        "Nearest videos",
        {"retrieval": "Queries, each beside the training videos that are nearest to it"},
        "The middle frame of some test videos, and right of it those of the training videos with "
        "the most similar features, most similar first. Where wrong ones look alike (the same "
        "background or camera), the features follow the scene rather than the motion.",
    ),
)  # fmt: skip
