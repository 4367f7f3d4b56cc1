"""CVAT for video: tracks paint their frames, and all frames are one part."""

import numpy as np
import pytest

META = (
    "<meta><task><name>{name}</name><size>{size}</size><mode>interpolation</mode>"
    "<start_frame>0</start_frame><stop_frame>{last}</stop_frame>"
    "<original_size><width>16</width><height>12</height></original_size></task></meta>"
)
SQUARE = "4,3;8,3;8,6;4,6"


def _shape(kind: str, frame: int | str, *, outside=0, **attributes) -> str:
    more = " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return f'<{kind} frame="{frame}" keyframe="0" outside="{outside}" occluded="0" {more}></{kind}>'


def _track(label: str, *shapes: str, number=0) -> str:
    return f'<track id="{number}" label="{label}" source="manual">{"".join(shapes)}</track>'


@pytest.fixture
def video(source, put, picture, imported):
    """Import frames 0 to 3 with the given tracks."""

    def make(*tracks: str, frames=(0, 1, 2, 3), last=3, name="weld run 7", **options):
        for i in frames:
            put(source / f"images/frame_{i:06d}.PNG", picture(i))
        meta = META.format(size=len(frames), last=last, name=name)
        text = f"<annotations><version>1.1</version>{meta}{''.join(tracks)}</annotations>"
        (source / "annotations.xml").write_text(text)
        return imported(source, **options)

    return make


def frame(number: int) -> str:
    return f"images/frame_{number:06d}.PNG"


def test_tracks_paint_their_frames_until_they_leave(video, box, blank):
    done = video(
        _track(
            "crack",
            _shape("polygon", 0, points=SQUARE, z_order=0),
            _shape("polygon", 1, points="5,3;9,3;9,6;5,6", z_order=0),
            _shape("polygon", 2, points="5,3;9,3;9,6;5,6", outside=1, z_order=0),
        ),
        _track("pore", _shape("mask", 1, rle="0,4", left=1, top=9, width=2, height=2), number=1),
        _track("dent", _shape("box", 3, xtl=2, ytl=3, xbr=6, ybr=8), number=2),
    )
    assert done.report.format == "cvat"
    names = done.data.schema.defect_names
    assert names == ["crack", "dent", "pore"]
    np.testing.assert_array_equal(done.defects(frame(0)), box(3, 7, 4, 9, 1))
    expected = box(3, 7, 5, 10, 1) + box(9, 11, 1, 3, 3)
    np.testing.assert_array_equal(done.defects(frame(1)), expected)
    np.testing.assert_array_equal(done.defects(frame(2)), blank())
    np.testing.assert_array_equal(done.defects(frame(3)), box(3, 8, 2, 6, 255))
    assert [done.records[frame(i)].weak_labels for i in (0, 3)] == [[], ["dent"]]
    assert (done.records[frame(2)].labels, done.records[frame(2)].excluded) == ([], None)


def test_all_frames_are_one_part_unless_a_pattern_says_otherwise(video, source, tmp_path, imported):
    done = video(_track("crack", _shape("polygon", 0, points=SQUARE)))
    assert {record.part for record in done.data} == {"weld run 7"}
    assert {record.part_source for record in done.data} == {"origin"}
    assert any("'weld run 7'" in note and "--part-pattern" in note for note in done.report.notes)
    again = imported(source.rename(tmp_path / "again"), part_pattern=r"_0000(\d)")
    assert again.report.parts == 1
    apart = imported((tmp_path / "again").rename(tmp_path / "apart"), part_pattern=r"_\d+(\d)\.")
    assert apart.report.parts == 4


def test_frames_without_an_image_are_findings(video):
    done = video(
        _track("crack", *(_shape("polygon", i, points=SQUARE) for i in (1, 2))),
        _track("dent", _shape("polygon", 7, points=SQUARE, outside=1)),
        _track("dent", _shape("polygon", "x", points=SQUARE)),
        frames=(0, 1, 9),
        last=4,
    )
    (missing,) = [f for f in done.report.findings if f.kind == "missing image"]
    assert "frame 2" in missing.message
    assert done.files("unreadable labels") == ["annotations.xml"]
    assert done.records[frame(1)].labels == ["crack"]
    assert "no CVAT file lists it" in done.records[frame(9)].excluded


def test_frames_of_another_size_are_excluded(video, source, put, picture):
    put(source / frame(5), picture(5, shape=(10, 10)))
    done = video(_track("crack", _shape("polygon", 5, points=SQUARE)), last=5)
    assert "16 x 12" in done.records[frame(5)].excluded


def test_a_video_without_tracks_is_good_and_two_videos_are_two_parts(
    source, put, picture, imported
):
    for lot in ("a", "b"):
        for i in range(2):
            put(source / lot / f"images/frame_{i:06d}.png", picture(i + 10 * (lot == "b")))
        meta = META.format(size=2, last=1, name="")
        (source / lot / "annotations.xml").write_text(f"<annotations>{meta}</annotations>")
    (source / "b/annotations.xml").write_text(
        "<annotations><meta/>"
        + _track("dent", _shape("skeleton", 0), _shape("polygon", 1, points=SQUARE))
        + "</annotations>"
    )
    done = imported(source)
    assert {name: r.part for name, r in done.records.items()} == {
        f"{lot}/images/frame_00000{i}.png": f"{lot}/annotations" for lot in "ab" for i in range(2)
    }
    assert [done.records[f"a/images/frame_00000{i}.png"].labels for i in range(2)] == [[], []]
    assert done.records["b/images/frame_000000.png"].weak_labels == ["dent"]
    assert done.kinds() == ["unknown shape"]
