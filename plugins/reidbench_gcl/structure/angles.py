"""The angles of GCL's rendered bodies: the view as seen and seven turns (its eight folders)."""

ANGLES = (45, 90, 135, 180, 225, 270, 315)
