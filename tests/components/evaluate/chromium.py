"""Chromium without a window, spoken to over a pair of pipes (the DevTools protocol); needs no package."""

import json
import os
import subprocess


class Chromium:
    """One browser with one page. `session` names another target, such as a sandboxed frame."""

    def __init__(self, binary, profile):
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        # the browser reads its commands from descriptor 3 and answers on 4
        command = f'exec "$@" 3<&{read} 4>&{write}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", binary, "--headless=new", "--no-sandbox", "--disable-gpu",
             "--hide-scrollbars", "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._sent, self._rest, self._page, self.events = 0, b"", None, []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._page = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)

    def send(self, method, session=None, **params):
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if session or self._page:
            message["sessionId"] = session or self._page
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def open(self, url, width):
        """Loads a page as on a screen `width` pixels wide; under 500 as a phone."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.events.clear()
        self.send("Page.navigate", url=url)
        self.wait(lambda e: e.get("method") == "Page.loadEventFired")

    def wait(self, wanted):
        """The first event that is `wanted`, of those seen or still to come."""
        for event in self.events:
            if wanted(event):
                return event
        while True:
            self.events.append(self._next())
            if wanted(self.events[-1]):
                return self.events[-1]

    def evaluate(self, expression, session=None):
        """The value of a JavaScript expression in the page or in a frame's session."""
        found = self.send("Runtime.evaluate", session, expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def close(self):
        self._process.terminate()
        self._process.wait(20)
        os.close(self._write)
        os.close(self._read)

    def _next(self):
        while b"\0" not in self._rest:
            more = os.read(self._read, 1 << 16)
            assert more, "the browser ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
