"""Networks that are trained apart, on frames: detection, segmentation, classification."""
