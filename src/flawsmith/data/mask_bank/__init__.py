"""The mask bank: real defect masks of the training images, varied and placed where they occur."""

from flawsmith.data.mask_bank.bank import DrawnLabelMap, MaskBank

__all__ = ["DrawnLabelMap", "MaskBank"]
