"""Headless Chromium, driven over WebDriver's plain HTTP."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import requests

from tests.support.running import Started

_ARGUMENTS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One browser window. `console` returns what it logged since the last call, `requested` what it requested."""

    def __init__(self, started: Started, profile: Path) -> None:
        driver = started.command("chromedriver", "--port=0")
        url = "http://127.0.0.1:" + driver.line(r"started successfully on port (\d+)", within=60)[1]
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": [*_ARGUMENTS, *sandbox, f"--user-data-dir={profile}"]},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        self._session = f"{url}/session"
        opened = self._post("", {"capabilities": {"alwaysMatch": capabilities}})
        self._session += f"/{opened['sessionId']}"

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        reply = requests.post(self._session + path, json=body, timeout=120).json()["value"]
        assert not (isinstance(reply, dict) and "error" in reply), reply
        return reply

    def quit(self) -> None:
        requests.delete(self._session, timeout=60)

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def look(self, width: int, scheme: str) -> None:
        """Set the width in pixels and the colour scheme, `light` or `dark`."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=True
        )
        preference = {"name": "prefers-color-scheme", "value": scheme}
        self.devtools("Emulation.setEmulatedMedia", features=[preference])

    def open(self, url: str) -> None:
        self._post("/url", {"url": url})

    def run(self, script: str) -> Any:
        """Run the body of a JavaScript function and return its result. The page's policy does not apply to it."""
        return self._post("/execute/sync", {"script": script, "args": []})

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.devtools("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def console(self) -> list[str]:
        """Return the errors and policy violations logged since the last call."""
        return [entry["message"] for entry in self._post("/se/log", {"type": "browser"})]

    def requested(self) -> set[str]:
        """Return the addresses requested since the last call."""
        log = self._post("/se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in log]
        return {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        }

    def picture(self, file: Path) -> None:
        """Take a picture of the whole page."""
        width, height = self.run(
            "const { scrollWidth, scrollHeight } = document.documentElement; return [scrollWidth, scrollHeight]"
        )
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        file.write_bytes(base64.b64decode(shot))
