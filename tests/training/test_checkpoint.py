import json

import pytest
import torch
from torch import nn

from flawsmith.errors import FlawsmithError
from flawsmith.training import checkpoint as ckpt


def trained_pair():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to(
        memory_format=torch.channels_last
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    network(torch.rand(2, 1, 8, 8)).square().mean().backward()
    optimizer.step()
    return network, optimizer


def test_optimizer_state_survives_safetensors_and_json(tmp_path):
    network, optimizer = trained_pair()
    tensors, plain = ckpt.optimizer_state(optimizer)
    ckpt.save_tensors(tmp_path / "o.safetensors", tensors)
    loaded = ckpt.load_tensors(tmp_path / "o.safetensors")
    fresh = torch.optim.Adam(network.parameters(), lr=0.5)
    ckpt.load_optimizer_state(fresh, loaded, json.loads(json.dumps(plain)))
    before, after = optimizer.state_dict(), fresh.state_dict()
    assert after["param_groups"] == json.loads(json.dumps(before["param_groups"])) or (
        after["param_groups"][0]["lr"] == 0.1
    )
    for index, state in before["state"].items():
        for key, value in state.items():
            assert torch.equal(after["state"][index][key], value)


def test_network_tensors_round_trip_exactly(tmp_path):
    network, _ = trained_pair()
    ckpt.save_tensors(tmp_path / "n.safetensors", ckpt.network_tensors({"net": network}))
    fresh = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    ckpt.load_network_tensors({"net": fresh}, ckpt.load_tensors(tmp_path / "n.safetensors"))
    for name, value in network.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value)


def test_load_refuses_another_network_and_damaged_files(tmp_path):
    network, _ = trained_pair()
    path = tmp_path / "n.safetensors"
    ckpt.save_tensors(path, ckpt.network_tensors({"net": network}))
    with pytest.raises(FlawsmithError, match="does not fit network 'net'"):
        ckpt.load_network_tensors({"net": nn.Conv2d(1, 2, 3)}, ckpt.load_tensors(path))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FlawsmithError, match="damaged"):
        ckpt.load_tensors(path)
    with pytest.raises(FlawsmithError, match="there is no"):
        ckpt.load_tensors(tmp_path / "absent.safetensors")


def test_only_the_newest_checkpoints_stay_and_half_written_ones_are_unseen(tmp_path):
    for images in (8, 16, 24):
        ckpt.write_checkpoint(tmp_path, images, {"networks": {"w": torch.ones(1)}}, {"n": images})
    (tmp_path / ckpt.FOLDER / ".0000000032.partial").mkdir()
    (tmp_path / ckpt.FOLDER / "0000000040").mkdir()  # no state: never finished
    found = ckpt.checkpoints(tmp_path)
    assert [path.name for path in found] == ["0000000016", "0000000024"]
    assert ckpt.read_state(found[-1]) == {"n": 24}
