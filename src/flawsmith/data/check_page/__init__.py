"""The page of ``flawsmith data check``: what is in a data set, and a picture of every finding."""

from flawsmith.data.check_page.build import PAGE_FILE, build_check_page

__all__ = ["PAGE_FILE", "build_check_page"]
