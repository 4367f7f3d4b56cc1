"""What concerns parts, classes and the whole set."""

from flawsmith.data.checks.tally import Tally
from flawsmith.data.dataset import DefectDataset


def check_whole(dataset: DefectDataset, tally: Tally) -> None:
    """Report what concerns parts, classes and the whole set; all of it is information."""
    for record in dataset.records:
        if record.excluded is not None:
            tally.report("excluded", record.file_name, record.excluded)
    used = dataset.usable()
    for part, records in used.parts().items():
        real = [record for record in records if record.source == "real"]
        good = [record for record in real if record.is_good]
        if good and len(good) < len(real):
            shown = next(record for record in real if record.labels)
            tally.report(
                "views_disagree",
                good[0].file_name,
                f"part {part}: {len(good)} of {len(real)} views show no defect, but "
                f"{shown.file_name} shows {', '.join(shown.labels)}",
                others=[record.file_name for record in real if record is not good[0]],
            )
    labelled = {name for record in used for name in record.labels}
    for name in dataset.schema.defect_names:
        if name not in labelled:
            tally.report("empty_class", "", f"no image in use shows {name}")
    if len(tally.sizes) > 1:
        tally.report("several_sizes", "", f"the images have {len(tally.sizes)} sizes")
    if len(tally.pixel_types) > 1:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.pixel_types.items()))
        tally.report("several_pixel_types", "", f"the images differ: {kinds}")
