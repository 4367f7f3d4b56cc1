"""The report of classification models: labels, figures and pictures are of whole images."""

from flawsmith.experiment.report.whole_images.collect import collect_images
from flawsmith.experiment.report.whole_images.facts import ImageReportFacts
from flawsmith.experiment.report.whole_images.sheets import WholeImagePages

__all__ = ["ImageReportFacts", "WholeImagePages", "collect_images"]
