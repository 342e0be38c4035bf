"""One place decides processor, precision and threads; a seed gives the same frames on every
device.
"""

import numpy as np
import pytest
import torch
from fake_device import FAKE, Elsewhere, FakeDevice, move

from genie_mini import GenieEnv
from genie_mini.device import choose_device, choose_precision, has_bf16, threads
from genie_mini.errors import GenieError
from genie_mini.models.lookback import LOOKBACKS

CPU = torch.device("cpu")


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    for cuda, mps, expected in ((True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert choose_device("auto").type == expected
    with pytest.raises(GenieError, match="no cuda device; it has cpu"):
        choose_device("cuda")
    with pytest.raises(GenieError, match="one of auto, cpu, cuda, mps, got 'tpu'"):
        choose_device("tpu")


@pytest.mark.parametrize("capability", ["avx512_bf16", "amx_bf16"])
def test_auto_is_bf16_only_where_the_processor_has_it(monkeypatch, capability):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_f": True}, raising=False
    )
    assert not has_bf16(CPU) and choose_precision("auto", CPU) == torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True}, raising=False)
    assert has_bf16(CPU) and choose_precision("auto", CPU) == torch.bfloat16
    assert choose_precision("fp32", CPU) == torch.float32
    # as ONEDNN_MAX_CPU_ISA sets it
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert choose_precision("auto", CPU) == torch.float32
    with pytest.raises(GenieError, match="auto, fp32, bf16, got 'fp8'"):
        choose_precision("fp8", CPU)


def test_threads_are_those_of_before_afterwards():
    before = torch.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_the_fake_device_refuses_what_a_gpu_refuses():
    with FakeDevice():
        there = torch.ones(3).to(FAKE)
        assert isinstance(there, Elsewhere) and there.device == FAKE
        assert (there + 1).cpu().tolist() == [2, 2, 2] and there.sum().item() == 3
        with pytest.raises(AssertionError, match="beside one of the CPU"):
            there + torch.ones(3)
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()


def played(genie, clips, device, actions=(1, 6, 2, 0, 5)):
    """Frames past the end of the window, which is six long."""
    session = genie.play(clips[0, :3].to(device), seed=3)
    frames = [session.frame] + [session.step(action, maskgit_steps=3) for action in actions]
    return torch.stack([frame.cpu() for frame in frames])


@pytest.mark.parametrize("lookback", LOOKBACKS)
def test_a_seed_gives_the_same_frames_on_every_device(make_genie, clips, lookback):
    ours = played(make_genie().with_lookback(lookback), clips, CPU)
    with FakeDevice():
        genie = move(make_genie().with_lookback(lookback))
        assert genie.device == FAKE
        theirs = played(genie, clips, FAKE)
        # a picture may come from the CPU
        torch.testing.assert_close(played(genie, clips, CPU, actions=[1]), theirs[:2])
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)


def test_tokens_latent_actions_and_losses_are_the_same_on_every_device(make_genie, clips):
    def computed(genie, clips):
        torch.manual_seed(0)
        tokens, actions = genie.tokenizer.encode(clips), genie.latent_action_model.infer(clips)
        decoded = genie.tokenizer.decode(tokens)
        predicted = genie.latent_action_model.predict(clips[:, :-1], actions)
        losses = [
            genie.tokenizer(clips)["loss"],
            genie.latent_action_model(clips)["loss"],
            genie.dynamics.loss(tokens, actions)["loss"],
        ]
        return [value.detach().cpu() for value in (tokens, actions, decoded, predicted, *losses)]

    ours = computed(make_genie(), clips)
    with FakeDevice():
        theirs = computed(move(make_genie()), clips.to(FAKE))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4)


def test_the_environment_plays_on_every_device(make_genie):
    def observations(genie):
        environment = GenieEnv(genie, maskgit_steps=2)
        pictures = [environment.reset(seed=1)[0]] + [
            environment.step(action)[0] for action in (1, 2, 3)
        ]
        return np.stack(pictures)

    ours = observations(make_genie(size=32, patch_size=8))
    with FakeDevice():
        theirs = observations(move(make_genie(size=32, patch_size=8)))
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("lookback", LOOKBACKS)
def test_torchs_default_type_changes_nothing(make_genie, clips, lookback):
    def computed():
        genie = make_genie().with_lookback(lookback)
        tokens, actions = genie.tokenizer.encode(clips), genie.latent_action_model.infer(clips)
        torch.manual_seed(0)
        losses = [
            genie.tokenizer(clips)["loss"],
            genie.latent_action_model(clips)["loss"],
            genie.dynamics.loss(tokens, actions)["loss"],
        ]
        return [played(genie, clips, CPU), *losses, *genie.state_dict().values()]

    before = computed()
    torch.set_default_dtype(torch.float64)
    try:
        after = computed()
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(before, after, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_seed_gives_the_same_frames_on_the_gpu(make_genie, clips):
    ours = played(make_genie(), clips, CPU)
    theirs = played(make_genie().to("cuda"), clips, torch.device("cuda"))
    torch.testing.assert_close(theirs, ours, atol=1e-3, rtol=0)
