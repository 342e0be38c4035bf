"""What the tests of both tokenizers share."""

import pytest
import torch


@pytest.fixture
def reconstructions():
    """Train a tokenizer for a few steps on the same clips; returns its errors, one a step."""

    def learn(tokenizer, clips):
        tokenizer.train()
        optimizer = torch.optim.Adam(tokenizer.parameters(), lr=1e-2)
        errors = []
        for _ in range(15):
            result = tokenizer(clips)
            errors.append(result["reconstruction"].item())
            optimizer.zero_grad()
            result["loss"].backward()
            optimizer.step()
        return errors

    return learn
