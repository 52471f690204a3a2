"""What makes an update fast: a fused optimizer, CUDA graphs, compiled losses, an allocator that
keeps its memory."""
