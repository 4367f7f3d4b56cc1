"""Sinks: who is told of a verdict, at least once, without holding up inspection."""

from flawsmith.line.sinks import file, mqtt, opcua, webhook
from flawsmith.line.sinks.base import SINKS, Message, Sink, open_sink

__all__ = ["SINKS", "Message", "Sink", "file", "mqtt", "opcua", "open_sink", "webhook"]
