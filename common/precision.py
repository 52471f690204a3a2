"""Which arithmetic a device is made for."""

import torch


def has_fast_bf16(device_type: str) -> bool:
    """Whether this machine's processor, or its GPU, has instructions for bfloat16 rather than
    emulating it."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
