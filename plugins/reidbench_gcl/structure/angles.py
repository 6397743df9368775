"""The angles of GCL's rendered bodies: seven turns beside the view as seen (its eight folders)."""

ANGLES = (45, 90, 135, 180, 225, 270, 315)
