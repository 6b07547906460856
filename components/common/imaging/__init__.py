"""Image bytes: inspection, decoding, preparation for the network, thumbnails."""
