"""What a run will cost, before any pixel is read: `tilewright plan`."""
