"""The report: tested inspection models as one page, and its numbers as JSON."""

from flawsmith.experiment.report.page import ReportResult, build_report

__all__ = ["ReportResult", "build_report"]
