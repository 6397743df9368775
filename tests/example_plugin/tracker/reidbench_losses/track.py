import csv

from reidbench import Tracker


class Losses(Tracker):
    def __init__(self, ctx):
        self.file = ctx.params.file
        self.last = {}
        ctx.note(f"losses are in {self.file}")

    def logged(self, stage, line, step, metrics):
        self.last[stage.key] = metrics.get("loss")

    def stage_ended(self, stage, status, seconds, error):
        with self.file.open("a", newline="") as file:
            csv.writer(file).writerow([stage.key, stage.label, status, self.last.pop(stage.key, None)])
