"""The blur kernel from blurred frames alone, tap by tap."""
