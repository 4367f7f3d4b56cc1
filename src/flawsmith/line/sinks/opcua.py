"""``opc.tcp://host:4840/?verdict=NODE&part=NODE&sequence=NODE``: nodes of a server are written."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from flawsmith.errors import FlawsmithError
from flawsmith.line.sinks.base import (
    SINKS,
    TIMEOUT_SECONDS,
    Message,
    Sink,
    UndeliveredError,
    credentials,
    public_name,
    require_package,
    split_url,
)

if TYPE_CHECKING:
    from asyncua import ua
    from asyncua.sync import Client

EXAMPLE = "opc.tcp://host:4840/?part=ns=2;s=Part&verdict=ns=2;s=Verdict&sequence=ns=2;s=Sequence"
ORDER = ("id", "part", "verdict", "sequence")
"""What can be written, in the order of writing: a PLC that waits for a new sequence number finds
everything that belongs to it."""

REQUIRED = ("part", "verdict", "sequence")


@SINKS.register("opc.tcp")
class OpcUaSink(Sink):
    """Writes part, verdict and sequence number to the nodes that the URL names.

    A verdict goes as text (PASS, REVIEW, FAIL) into a node of text, and as a number (1, 2, 3) into
    one of whole numbers; 0, which a node holds before anything is written, is no verdict. A repeat
    writes the same values again.
    """

    def __init__(self, url: str) -> None:
        self._parts = split_url(url, EXAMPLE)
        nodes = parse_qsl(self._parts.query)
        self._nodes = dict(nodes)
        missing = [name for name in REQUIRED if name not in self._nodes]
        unknown = [name for name in self._nodes if name not in ORDER]
        if missing or unknown or len(nodes) > len(self._nodes):
            raise FlawsmithError(
                f"the sink {public_name(self._parts)} needs one node each for "
                f"{', '.join(REQUIRED)} (and id, if wanted), such as {EXAMPLE}"
            )
        require_package("asyncua", "opcua", "an OPC UA sink")
        self.name = public_name(self._parts, query=True)
        self._client: Client | None = None
        self._kinds: dict[str, ua.VariantType] = {}
        self._require_node_ids()

    def deliver(self, message: Message) -> None:
        """Write the nodes one after the other."""
        from asyncua import ua

        try:
            client = self._connected()
            for name in ORDER:
                if name in self._nodes:
                    kind = self._kinds[name]
                    value = ua.DataValue(ua.Variant(_value(name, message, kind), kind))
                    client.get_node(self._nodes[name]).write_value(value)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the session; a server that is gone is no matter."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.disconnect()
        except Exception:  # asyncua raises many types when the other side is gone
            client.tloop.stop()

    def _connected(self) -> Client:
        if self._client is not None:
            return self._client
        from asyncua.sync import Client

        host = self._parts.netloc.rpartition("@")[2]
        client = Client(f"opc.tcp://{host}{self._parts.path}", timeout=TIMEOUT_SECONDS)
        if (found := credentials(self._parts)) is not None:
            client.set_user(found[0])
            client.set_password(found[1])
        try:
            client.connect()
        except BaseException:
            client.tloop.stop()  # connect does not end its thread when it fails
            raise
        self._client = client
        self._kinds = {
            name: client.get_node(node).read_data_type_as_variant_type()
            for name, node in self._nodes.items()
        }
        return client

    def _require_node_ids(self) -> None:
        from asyncua import ua
        from asyncua.ua.uaerrors import UaError

        for name, node in self._nodes.items():
            try:
                ua.NodeId.from_string(node)
            except (UaError, ValueError):
                raise FlawsmithError(
                    f"{name}={node} in the sink {public_name(self._parts)} is no node; expected "
                    f"one such as ns=2;s={name.title()} or ns=2;i=1001"
                ) from None


def _value(name: str, message: Message, kind: ua.VariantType) -> str | int:
    """Return what a node of this type is given."""
    from asyncua.ua import VariantType

    whole = (
        VariantType.SByte, VariantType.Byte, VariantType.Int16, VariantType.UInt16,
        VariantType.Int32, VariantType.UInt32, VariantType.Int64, VariantType.UInt64,
    )  # fmt: skip
    text = {
        "id": message.id,
        "part": message.part,
        "verdict": message.verdict.value,
        "sequence": str(message.sequence),
    }
    if kind is VariantType.String:
        return text[name]
    numbers = {"verdict": message.verdict.severity + 1, "sequence": message.sequence}
    if kind in whole and name in numbers:
        return numbers[name]
    raise UndeliveredError(f"the node of {name} is a {kind.name}; that cannot hold it")
