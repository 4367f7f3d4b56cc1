import json

import pytest

from flawsmith.experiment.ledger import append, code_hash, ledger_line
from flawsmith.experiment.train_model import configure_model, evaluate_run, train_model
from flawsmith.training.loop import Hooks


@pytest.fixture(scope="module")
def tested(pouch_folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "rules"
    config = configure_model(
        "machine_vision", "tiny", pouch_folder, fold=0, synthetic=[], arm=None, overrides=[]
    )
    train_model(config, run, Hooks(), resume=False)
    return run, evaluate_run(run, Hooks())


def test_line_says_what_was_found(tested):
    run, evaluation = tested
    line = ledger_line(run)
    assert line["arm"] == "machine_vision"
    assert line["escape"] == [evaluation.escape.count, evaluation.escape.total]
    assert len(line["missed"]) == evaluation.escape.count
    assert set(line["tp_fp_fn_parts"]) == {c.name for c in evaluation.classes}
    assert line["code"] == code_hash()
    assert len(json.dumps(line)) < 2048


def test_a_run_is_entered_once(tested, tmp_path):
    run, _ = tested
    ledger = tmp_path / "ledger" / "x.jsonl"
    append(ledger, run)
    append(ledger, run)
    assert len(ledger.read_text().splitlines()) == 1
