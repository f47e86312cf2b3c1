"""What a run may use of requests, tokens and money; it is kept before it is exceeded.

Belongs here: counting, and deciding whether one more question may be asked. Does not belong here: asking.
"""

import threading
from dataclasses import dataclass

from arot_assets.captions.declaration import BudgetRule, Price
from resources.errors import ArotError

MILLION = 1_000_000


class BudgetSpentError(ArotError):
    """A run stopped because its budget is spent; what it has is kept."""


@dataclass(frozen=True)
class Use:
    """What was used: requests, tokens in and out, and their cost."""

    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0

    def __str__(self) -> str:
        """For people."""
        money = f", cost {self.cost:.4g}" if self.cost else ""
        return f"{self.requests:,} requests, {self.tokens_in + self.tokens_out:,} tokens{money}"


class Budget:
    """The budget of one run. Safe in threads.

    Questions under way count with the mean of those answered so far, so that many at once do not exceed the limit together.
    """

    def __init__(self, rule: BudgetRule, price: Price) -> None:
        self._rule, self._price = rule, price
        self._used = Use()
        self._answered = 0
        self._under_way = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> Use:
        """What was used so far."""
        with self._lock:
            return self._used

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost."""
        return (tokens_in * self._price.input + tokens_out * self._price.output) / MILLION

    def begin(self) -> bool:
        """Whether one more question may be asked; if so it counts as under way until ``end``."""
        with self._lock:
            expected = self._under_way + 1
            mean_tokens = (self._used.tokens_in + self._used.tokens_out) / max(1, self._answered)
            mean_cost = self._used.cost / max(1, self._answered)
            rule, used = self._rule, self._used
            fits = (
                (rule.requests is None or used.requests + expected <= rule.requests)
                and (rule.tokens is None or used.tokens_in + used.tokens_out + mean_tokens * expected <= rule.tokens)
                and (rule.money is None or used.cost + mean_cost * expected <= rule.money)
            )
            if fits and not self._answered and self._under_way and (rule.tokens or rule.money):
                return False  # nothing is known yet of what a question uses: the first goes alone
            self._under_way += fits
            return fits

    def waits(self) -> bool:
        """Whether a question that may not be asked now might be, once those under way are answered."""
        with self._lock:
            return self._under_way > 0

    def end(self, tokens_in: int, tokens_out: int, requests: int) -> None:
        """A question was answered, or given up."""
        with self._lock:
            self._under_way -= 1
            self._answered += 1
            self._used = Use(
                self._used.requests + requests,
                self._used.tokens_in + tokens_in,
                self._used.tokens_out + tokens_out,
                self._used.cost + self.cost(tokens_in, tokens_out),
            )
