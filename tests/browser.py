"""A headless Chromium driven over its DevTools pipe, and a loopback canary that answers for `canary.invalid`."""

import base64
import contextlib
import fcntl
import json
import os
import signal
import socketserver
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from waiting import readable

CANARY = "canary.invalid"
OURS = "asked-by-the-test"  # names the scripts of the test itself
BINDING = "ran"  # the function that a script calls to say that it runs
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --no-proxy-server "
    "--disable-background-networking --disable-component-update --disable-sync --disable-extensions "
    "--disable-breakpad --disable-domain-reliability --hide-scrollbars --remote-debugging-pipe"
).split()
# What a reader does: point at everything, press what can be pressed, unfold what is folded.
_USE = """addEventListener("load", () => {
  for (const each of document.querySelectorAll("body *")) {
    each.dispatchEvent(new MouseEvent("mouseover"));
    if (each.tabIndex >= 0) each.focus();
    if (each.matches("a, area, button, input")) each.click();
    if (each.matches("details")) each.open = true;
  }
})"""
_CODES = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36}
_CODES |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Delete": 46}
_READ, _WRITE = 3, 4  # where a browser started with a pipe reads its commands and writes its answers


class Canary:
    """A server on loopback that answers everything with nothing and notes who connects and what is asked for."""

    def __init__(self) -> None:
        self.connections = 0
        self.lines: list[str] = []
        canary = self

        class Note(socketserver.StreamRequestHandler):
            timeout = 5

            def handle(self) -> None:
                canary.connections += 1
                with contextlib.suppress(OSError):
                    line = self.rfile.readline(4096).decode("latin-1").strip()
                    if line:
                        canary.lines.append(line)
                        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Note)
        self._server.daemon_threads, self._server.block_on_close = True, False
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Seen(NamedTuple):
    """What a page did from its load on, apart from what the test itself asked it to do.

    Attributes:
        ran: What scripts passed to `ran`.
        scripts: Scripts that were compiled, among them event handlers and `javascript:` links.
        asked: URLs that were asked for, including those that a policy then blocked.
        complaints: What stands in the console: blocked loads and scripts, uncaught errors, what scripts wrote to it.
        opened: Frames and windows.
    """

    ran: list[str]
    scripts: list[str]
    asked: list[str]
    complaints: list[str]
    opened: list[str]


class Browser:
    """One browser with one page.

    Args:
        program: The browser.
        profile: A folder of its own.
        canary: Where the hosts under `canary.invalid` lead; no other name leads anywhere.
        uses: Whether every page is used as soon as it has loaded, as a reader would: pointed at, pressed, unfolded.
    """

    def __init__(self, program: str, *, profile: Path, canary: Canary, uses: bool = True) -> None:
        self._uses = uses
        self._events: list[dict[str, Any]] = []
        self._buffer, self._number, self._session = b"", 0, None
        # Other hosts are not found, or the canary would note what the browser asks for by itself.
        rules = f"MAP *.{CANARY} 127.0.0.1:{canary.port}, MAP {CANARY} 127.0.0.1:{canary.port}, MAP * ~NOTFOUND"
        flags = [*_FLAGS, f"--user-data-dir={profile}", f"--host-resolver-rules={rules}"]
        command_read, command_write = _high_pipe()
        answer_read, answer_write = _high_pipe()
        self._command, self._answer = command_write, answer_read
        ends = [(os.POSIX_SPAWN_DUP2, command_read, _READ), (os.POSIX_SPAWN_DUP2, answer_write, _WRITE)]
        log = (os.POSIX_SPAWN_OPEN, 2, str(profile / "log"), os.O_CREAT | os.O_WRONLY, 0o600)
        environment = {**os.environ, "HOME": str(profile)}
        self._process = os.posix_spawn(
            program, [program, *flags, "about:blank"], environment, file_actions=[*ends, log], setpgroup=0
        )
        os.close(command_read)
        os.close(answer_write)

    def __enter__(self) -> Self:
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log", "Debugger"):
                self.call(f"{domain}.enable")
            self.call("Page.setLifecycleEventsEnabled", enabled=True)
            self.call("Runtime.addBinding", name=BINDING)
            if self._uses:
                self.before_load(_USE)
            self.call("Target.setDiscoverTargets", discover=True)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._end()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and return its answer; what happens meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._command, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 120  # the machine may be busy
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert readable(self._answer, seconds=deadline - time.monotonic()), "the browser does not answer"
            chunk = os.read(self._answer, 2**20)
            assert chunk, "the browser ended"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        decoded = dict(json.loads(message))
        if "method" in decoded:
            self._events.append(decoded)
        return decoded

    def visit(self, url: str, *, seconds: float = 0.5) -> Seen:
        """Open a page, wait for it or one it leads to to load, and some seconds more, and tell what it did."""
        self._events.clear()
        opened = self.call("Page.navigate", url=url)
        deadline = time.monotonic() + 60
        while not _has_loaded(self._events, frame=opened["frameId"], loader=opened["loaderId"]):
            self._receive(deadline)
        return self.wait(seconds)

    def wait(self, seconds: float) -> Seen:
        """Wait, and tell what the page did since it was opened."""
        deadline = time.monotonic() + seconds
        while self._buffer or readable(self._answer, seconds=deadline - time.monotonic()):
            self._receive(deadline + 10)
        return self._seen()

    def evaluate(self, expression: str) -> Any:
        """Evaluate an expression in the page; its value has to be JSON."""
        source = f"{expression}\n//# sourceURL={OURS}"
        answer = self.call("Runtime.evaluate", expression=source, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def before_load(self, source: str) -> str:
        """Have every page that is opened from now on run a script before its own; returns what names it."""
        source = f"{source}\n//# sourceURL={OURS}"
        return str(self.call("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"])

    def until(self, expression: str, *, seconds: float = 60) -> Any:
        """Wait until an expression in the page is true, and return its value."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"in vain: {expression}"
            self.wait(0.02)
        return value

    def press(self, key: str, **parameters: Any) -> None:
        """Press a key: a character, or a name such as `ArrowDown`."""
        code = {"windowsVirtualKeyCode": _CODES.get(key, 0)}
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        down = "keyDown" if text else "rawKeyDown"
        for kind, more in ((down, text), ("keyUp", {})):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **(code | more | parameters))

    def write(self, text: str) -> None:
        """Write a text into the field that has the focus."""
        self.call("Input.insertText", text=text)

    def drag(self, start: tuple[float, float], end: tuple[float, float] | None = None) -> None:
        """Press the mouse at a place of the window and let it go at another one, or there."""
        (x, y), (to_x, to_y) = start, end or start
        button = {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **button)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=to_x, y=to_y, button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=to_x, y=to_y, **button)

    def click(self, selector: str) -> None:
        """Bring an element into sight and click its middle."""
        x, y = self.middle(selector)
        self.drag((x, y))

    def middle(self, selector: str) -> tuple[float, float]:
        """Bring an element into sight and tell where its middle is in the window."""
        x, y = self.evaluate(
            f"""(() => {{ const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{ block: "center", behavior: "instant" }});
            const {{ left, top, width, height }} = found.getBoundingClientRect();
            return [left + width / 2, top + height / 2]; }})()"""
        )
        return x, y

    def picture(self) -> bytes:
        """Take a picture of the window, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page a window of this size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def _seen(self) -> Seen:
        def of(method: str) -> list[dict[str, Any]]:
            return [event["params"] for event in self._events if event["method"] == method]

        targets = [each["targetInfo"] for each in of("Target.targetCreated")]
        return Seen(
            ran=[each["payload"] for each in of("Runtime.bindingCalled")],
            scripts=[each["url"] for each in of("Debugger.scriptParsed") if each["url"] != OURS],
            asked=[each["request"]["url"] for each in of("Network.requestWillBeSent")],
            complaints=[
                *(each["entry"]["text"] for each in of("Log.entryAdded")),
                *(each["exceptionDetails"]["text"] for each in of("Runtime.exceptionThrown")),
                *(str(each["args"]) for each in of("Runtime.consoleAPICalled")),
            ],
            opened=[
                *(each["frameId"] for each in of("Page.frameAttached")),
                *(each["url"] for each in targets if each["type"] != "worker"),
            ],
        )

    def _end(self) -> None:
        self._session = None
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        deadline = time.monotonic() + 5
        while os.waitpid(self._process, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.killpg(self._process, signal.SIGKILL)
            time.sleep(0.02)
        os.close(self._command)
        os.close(self._answer)


def _has_loaded(events: list[dict[str, Any]], *, frame: str, loader: str) -> bool:
    """Tell whether this page has loaded, or one that it led to meanwhile; the one before does not count."""
    begun = False
    for event in events:
        if event["method"] == "Page.lifecycleEvent" and event["params"]["frameId"] == frame:
            begun = begun or event["params"]["loaderId"] == loader
            if begun and event["params"]["name"] == "load":
                return True
    return False


def _high_pipe() -> tuple[int, int]:
    """Make a pipe whose ends are not the two numbers that the browser expects, so that moving one spares the other."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
