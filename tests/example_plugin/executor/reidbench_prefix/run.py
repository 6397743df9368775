import json
import shlex
import subprocess
import sys

from reidbench.execution.executor import OneResult
from reidbench.stages.worker import environment
from reidbench.store.artifacts import Store


class Prefix:
    slots = 1
    winds_down = False  # Ctrl-C ends the running stage

    def __init__(self, options, settings):
        self.words = shlex.split(options.command)
        self.ended = []

    def submit(self, spec, on_event):
        key, store, result = spec.stage.key, Store(spec.store), None
        file = store.spec_file(key)
        file.write_text(json.dumps(spec.dump()))
        command = [*self.words, sys.executable, "-m", "reidbench.stages.run", str(file)]
        given = environment(spec.threads, 0)
        del given["REIDBENCH_EVENTS"]  # events are printed as JSON lines instead
        with (
            store.log(key) as log,
            subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=log, text=True) as done,
        ):
            for line in done.stdout:
                event = json.loads(line) if line.startswith('{"event"') else {"event": ""}
                if event["event"] in ("done", "busy", "failed", "damaged"):
                    words = (event.get(name, "") for name in ("error", "traceback", "key"))
                    result = OneResult(key, event["event"], *words)
                elif event["event"]:
                    on_event(key, event)
        file.unlink()
        self.ended.append(result or OneResult(key, "failed", f"exit code {done.returncode}", died=True))

    def wait(self):
        ended, self.ended = self.ended, []
        return ended

    def wind_down(self):
        pass

    def stop(self):
        pass
