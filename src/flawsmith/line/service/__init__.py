"""Inspection over HTTP."""

from flawsmith.line.service.service import Service, ServiceSettings

__all__ = ["Service", "ServiceSettings"]
