"""Pictures: each module draws plain numbers as a Matplotlib figure or into a PNG file."""
