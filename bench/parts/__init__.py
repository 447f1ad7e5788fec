"""What the measurements share: how figures are summed up and written down."""
