"""What tests of metrics share: counting the images that are decoded."""

import pytest


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each image that is decoded."""
    from arot_assets.media.image import decode as module

    counted: list[int] = []
    real = module.decode

    def counting(data: bytes, **settings: float):  # type: ignore[no-untyped-def]
        counted.append(len(data))
        return real(data, **settings)

    monkeypatch.setattr(module, "decode", counting)
    return counted
