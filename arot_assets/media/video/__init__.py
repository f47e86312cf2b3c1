"""Films as a medium: probing, decoding with correct colours, and what one decode of a film measures."""
