"""The same image again, and a second one that nobody expected."""

from services import client_of, png, verdicts

from flawsmith.line.results import Verdict


def test_an_image_that_is_sent_again_is_neither_inspected_nor_stored_again(store):
    with client_of(store, views=["top", "bottom"]) as client:
        for _ in range(2):  # while the part waits
            assert client.post("/parts/a/views/top", content=png()).status_code == 202
        first = client.post("/parts/a/views/bottom", content=png(1)).json()
        for view, value in (("bottom", 1), ("top", 0)):  # after its verdict
            again = client.post(f"/parts/a/views/{view}", content=png(value)).json()
            assert again == {**first, "repeated": True}
        # A camera that is stuck sends the same image for another part: that one is inspected.
        other = client.post("/parts/b/views/top", content=png())
        assert other.status_code == 202
    assert verdicts(store) == [("a", Verdict.PASS), ("b", Verdict.REVIEW)]


def test_an_image_that_was_stored_before_images_were_kept_is_a_repeat(store, tmp_path):
    with client_of(store) as client:
        client.post("/parts/a/views/top", content=png())
        client.post("/parts/b/views/top", content=png())
    with client_of(store, keep=str(tmp_path / "kept")) as client:
        assert client.post("/parts/a/views/top", content=png()).json()["repeated"]


def test_what_other_rules_or_another_model_said_is_no_repeat(store):
    with client_of(store) as client:
        assert client.post("/parts/a/views/top", content=png()).json()["verdict"] == "PASS"
    with client_of(store, views=["top", "bottom"]) as client:
        again = client.post("/parts/a/views/top", content=png())
        assert (again.status_code, again.json()["missing"]) == (202, ["bottom"])
    assert verdicts(store) == [("a", Verdict.PASS), ("a", Verdict.REVIEW)]


def test_a_second_view_that_no_rule_expects_does_not_pass_for_the_part(store):
    with client_of(store) as client:
        assert client.post("/parts/a/views/left", content=png(255)).json()["verdict"] == "FAIL"
        refused = client.post("/parts/a/views/right", content=png(0))
        assert refused.status_code == 422
        assert "view left was judged alone" in refused.json()["detail"]
        answer = client.get("/parts/a").json()
        assert answer["verdict"] == "REVIEW"
        assert "view left was judged alone (result 1)" in answer["reasons"][0]["text"]
        client.post("/parts/b/views/right", content=png(1))  # one view a part is no trouble
        assert client.get("/parts/b").json()["verdict"] == "PASS"
