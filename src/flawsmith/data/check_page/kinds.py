"""What each kind of finding is called on the page, what it means and what to do."""

from dataclasses import dataclass

from flawsmith.data.check_report import INFORMATION, Kind


@dataclass(frozen=True)
class KindText:
    """A title for the list of contents, and one sentence or two below it."""

    title: str
    advice: str


KIND_TEXTS: dict[Kind, KindText] = {
    "unreadable_image": KindText(
        "Images that cannot be read",
        "The file is missing, cut off or no image: copy it again from its origin, or exclude it.",
    ),
    "changed_file": KindText(
        "Images changed after the import",
        "The bytes are not those that were imported, so the label may belong to another picture: "
        "restore the file, or import again.",
    ),
    "image_size": KindText(
        "Images of another size than recorded",
        "The metadata says another width or height: the file was probably scaled or turned after "
        "the import; restore it, or import again.",
    ),
    "bit_depth": KindText(
        "Images of another depth than the schema",
        "8-bit and 16-bit images have different white levels: convert these to the depth of the "
        "others, or set the depth in dataset.toml.",
    ),
    "missing_mask": KindText(
        "Masks that are gone",
        "The metadata names a mask that is not there: copy it back, or import again; an image "
        "without its mask must not train as a good one.",
    ),
    "unreadable_mask": KindText(
        "Masks that cannot be read",
        "The file is cut off or no index image: copy it again from its origin, or import again.",
    ),
    "mask_size": KindText(
        "Masks of another size than their image",
        "Labels and pixels do not match: export the mask again at the size of the image.",
    ),
    "mask_value": KindText(
        "Masks with unknown values",
        "A pixel value stands for no class (pink in the mask shown): correct the mask, or add "
        "the class to dataset.toml.",
    ),
    "misaligned_mask": KindText(
        "Masks that seem shifted",
        "The outline lies beside the visible edge: compare the two, and move or redraw the mask if "
        "the defect is outside its line.",
    ),
    "empty_mask": KindText(
        "Labelled images without a labelled pixel",
        "The image is called defective and nothing says where: draw the mask, or correct the "
        "label.",
    ),
    "label_not_in_mask": KindText(
        "Labels that the mask does not show",
        "The image is labelled with a class of which its mask has no pixel: draw the missing "
        "region, or remove the label.",
    ),
    "mask_not_in_labels": KindText(
        "Masks that show more than the labels say",
        "The mask has a class that the image's labels leave out: add the label, or correct the "
        "mask.",
    ),
    "unknown_label": KindText(
        "Labels that are no class",
        "The schema does not have this name: correct the spelling, or add the class to "
        "dataset.toml.",
    ),
    "similar_class_names": KindText(
        "Class names that look like one",
        "Two spellings of one defect split its examples: join them if they mean the same.",
    ),
    "duplicate_image": KindText(
        "The same picture in two parts",
        "One of them could train while the other tests, which flatters every result: give both "
        "one part, or remove one.",
    ),
    "views_in_two_parts": KindText(
        "Views of one piece in two parts",
        "They seem to show the same physical piece, so training and test would share it: give "
        "them one part.",
    ),
    "orphaned_image": KindText(
        "Images that nothing refers to",
        "They lie in the folder, but neither train nor test: import them, or remove the files.",
    ),
    "orphaned_mask": KindText(
        "Masks that nothing refers to",
        "They lie in the folder without an image: a renamed image may have lost its label; rename "
        "the file back, or remove it.",
    ),
    "empty_class": KindText(
        "Classes without an image",
        "No image in use shows them, so they can be neither learned nor tested.",
    ),
    "meaningless_class_name": KindText(
        "Class names that say nothing",
        "A number or a word such as 'defect' tells nobody what was labelled: rename the class.",
    ),
    "several_sizes": KindText(
        "Images of several sizes",
        "This is fine; training cuts tiles of one size.",
    ),
    "several_pixel_types": KindText(
        "Images of several pixel types",
        "Mixed colour and grey or mixed depths are easily told apart by a network: make sure that "
        "the type does not go with the defect.",
    ),
    "views_disagree": KindText(
        "Parts with good and defective views",
        "Normal if a defect is seen from one side only; look whether a view lacks its label.",
    ),
    "view_labels_differ": KindText(
        "Views of one part with different labels",
        "Look whether the views show different defects, or were labelled by different habits.",
    ),
    "suggested_part": KindText(
        "Images that may show one part",
        "They look alike: 'data split' gives them one part, so that one cannot train while the "
        "other tests; look whether they are one piece.",
    ),
    "tiny_regions": KindText(
        "Very small labelled regions",
        "Look whether they are defects or slips of the brush; small defects train and count like "
        "all others.",
    ),
    "out_of_focus": KindText(
        "Images that look out of focus",
        "They are blurred compared with the others: look whether their defects can still be seen, "
        "and exclude them if not.",
    ),
    "badly_exposed": KindText(
        "Images that are too dark or too bright",
        "Detail is lost in black or white pixels: correct the exposure on the line, and exclude "
        "images in which nothing is to be seen.",
    ),
    "excluded": KindText(
        "Excluded images",
        "They are neither trained on nor tested, for the reason given with each.",
    ),
}
"""All kinds in the order of the page; problems come before information."""


def text_of(kind: Kind) -> KindText:
    """Return the words for a kind."""
    return KIND_TEXTS[kind]


def ordered(kinds: set[Kind]) -> list[Kind]:
    """Return kinds in the order of the page, problems first."""
    return sorted(kinds, key=lambda kind: (kind in INFORMATION, list(KIND_TEXTS).index(kind)))
