"""Source folders: none, unknown, ambiguous, interrupted; names and order of what comes out."""

import pytest

from flawsmith.data.dataset import lead_with_types
from flawsmith.data.formats import FORMATS, import_folder
from flawsmith.data.formats.folder import MAX_LABEL_BYTES, SourceFolder
from flawsmith.data.formats.naming import UniqueNames
from flawsmith.errors import FlawsmithError


def test_nothing_usable_is_an_error_and_leaves_nothing(source, imported):
    for name in ("OK/a.png", "dent/b.png"):
        (source / name).parent.mkdir()
        (source / name).write_bytes(b"hello")
    with pytest.raises(FlawsmithError, match=r"no usable image .*a\.png.*2 \.png in OK, dent"):
        imported(source)
    assert [path.name for path in source.parent.iterdir()] == ["source"]


def test_unknown_and_ambiguous_folders_name_what_was_seen(
    source, put, picture, write_json, labelme, coco, imported
):
    put(source / "a.png", picture(0))
    (source / "notes.txt").write_text("x")
    with pytest.raises(FlawsmithError, match=r"no known format; it has 1 \.png, 1 \.txt.*coco, "):
        imported(source)
    write_json(source / "a.json", labelme("a.png", []))
    write_json(source / "b.json", coco(["a.png"], []))
    with pytest.raises(FlawsmithError, match=r"could be 2 formats: coco .*; labelme .*--format"):
        imported(source)
    assert imported(source, format="labelme").report.format == "labelme"


def test_wrong_sources_and_names_are_explained(source, tmp_path, class_folders, imported):
    with pytest.raises(FlawsmithError, match="has no files"):
        imported(source)
    with pytest.raises(FlawsmithError, match="there is no folder"):
        import_folder(tmp_path / "gone", tmp_path / "out")
    class_folders(source)
    with pytest.raises(FlawsmithError, match="is a file"):
        import_folder(source / "OK/p1_top.png", tmp_path / "out")
    with pytest.raises(FlawsmithError, match="did you mean 'labelme'"):
        import_folder(source, tmp_path / "out", format="labelm")
    done = imported(source)
    with pytest.raises(FlawsmithError, match="already; use it as it is"):
        import_folder(done.out, tmp_path / "again")
    with pytest.raises(FlawsmithError, match="exists already"):
        imported(source)


def test_data_set_inside_the_source_is_not_imported_again(source, class_folders, imported):
    class_folders(source)
    import_folder(source, source / "out")
    done = imported(source)
    assert done.report.images == 3
    assert done.files("data set inside") == ["out"]


def test_links_that_lead_in_a_circle_end(source, class_folders):
    class_folders(source)
    (source / "OK/again").symlink_to(source, target_is_directory=True)
    assert len(SourceFolder.scan(source).images) == 3


def test_json_over_the_limit_is_refused_unread(source, put, picture, write_json, labelme, imported):
    put(source / "a.png", picture(0))
    write_json(source / "a.json", labelme("a.png", []))
    with (source / "huge.json").open("wb") as stream:
        stream.truncate(MAX_LABEL_BYTES + 1)
    done = imported(source)
    assert done.files("unreadable labels") == ["huge.json"]


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_has_a_summary_and_ignores_a_folder_of_text(source, name):
    (source / "readme.txt").write_text("nothing here")
    entry = FORMATS.get(name)
    assert entry.summary
    assert entry().detect(SourceFolder.scan(source)) is None


def test_names_are_unique_portable_and_no_split_of_hugging_face():
    files = ["train/a b/1.png", "test/a b/1.png", "test/a b/1.jpg", "x/test_7.png", "x/test.png"]
    files += ["x/latest.png", "x/Ünïcode.png", "x/.png"]
    names = UniqueNames(files)
    taken = [names.take(file) for file in files]
    assert taken == ["a_b_1", "a_b_1_2", "a_b_1_3", "7", "x", "latest", "Ünïcode", "png"]


def test_records_that_show_types_come_first(source, class_folders, imported):
    class_folders(source)
    records = imported(source).data.records
    plain = [
        r.model_copy(update={"labels": [], "weak_labels": [], "excluded": None}) for r in records
    ]
    telling = records[0].model_copy(update={"mask_file_name": "masks/x.png"})
    ordered = lead_with_types([*plain, telling])
    assert ordered == [plain[0], telling, *plain[1:]]
