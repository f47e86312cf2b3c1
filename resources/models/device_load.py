"""How busy a GPU is, as its driver says.

Belongs here: asking, now and then. Does not belong here: what is made of it (``runner.py``). It needs ``nvidia-ml-py``, which
comes with many environments for CUDA; without it nothing is said.
"""

import threading
import time

SECONDS = 0.25
"""Between two questions; the driver's answer is about the last sixth of a second to a second."""


class DeviceLoad:
    """Asks how busy a device is, at most every ``SECONDS``; for threads.

    Args:
        device: ``cuda`` or ``cuda:N``; of others nothing is known.

    Attributes:
        answers: how many there were.
        total: their sum, each 0-100: the percentage of the time in which the device computed.
    """

    def __init__(self, device: str) -> None:
        self.answers, self.total = 0, 0.0
        self._device, self._known = device, device.startswith("cuda")
        self._lock = threading.Lock()
        self._asked = 0.0

    def look(self) -> None:
        """Ask, unless that was just done."""
        if not self._known:
            return
        with self._lock:
            if time.monotonic() - self._asked < SECONDS:
                return
            self._asked = time.monotonic()
        import torch

        try:
            answer = torch.cuda.utilization(self._device)
        except Exception:  # no nvidia-ml-py, or a driver that does not say
            self._known = False
            return
        with self._lock:
            self.answers, self.total = self.answers + 1, self.total + answer
