"""A stream that is stopped: what was taken from it gets a verdict."""

import io
import threading

from flawsmith.line.assembler import PartAssembler
from flawsmith.line.heartbeat import Heartbeat
from flawsmith.line.inspector import Inspector
from flawsmith.line.line_run import LineRun
from flawsmith.line.results import Verdict
from flawsmith.line.store import Store

from .spots import IDENTITY, SpotModel, png, rules
from .test_frames import frame


def streamed(store, frames, *, stop_after, **options):
    """Stop when so many parts were told of; return all that were, and the bytes not taken."""
    stop, told = threading.Event(), []

    def tell(_, record):
        told.append(record.verdict)
        if len(told) == stop_after:
            stop.set()

    inspector = Inspector(SpotModel(), IDENTITY, rules(**options), store)
    stream = io.BytesIO(b"".join(frames))
    LineRun(inspector, tell, Heartbeat(None), stop).stream(stream, PartAssembler(inspector))
    return told, len(stream.read())


def test_frames_that_were_taken_are_inspected_after_a_stop(tmp_path):
    frames = [frame(png(n, spot=n == 2), part=f"p{n}") for n in range(9)]
    with Store(str(tmp_path / "r.db")) as store:
        told, left = streamed(store, frames, stop_after=1)
        assert 1 <= len(told) < len(frames)
        assert [v.part for v in told] == [f"p{n}" for n in range(len(told))]
        assert left == sum(map(len, frames[len(told) :]))  # none was taken and forgotten
        assert len(list(store.find())) == len(told)


def test_a_second_view_that_no_rule_expects_is_never_a_pass(tmp_path):
    frames = [frame(png(n, spot=n == 0), part="a", view=v) for n, v in enumerate(("left", "right"))]
    with Store(str(tmp_path / "r.db")) as store:
        told, _ = streamed(store, frames, stop_after=99)
        assert [v.verdict for v in told] == [Verdict.FAIL, Verdict.REVIEW]
        assert "view left was judged alone" in told[1].reasons[0].text
