"""The last good figures of each account: one immutable snapshot in memory, one file an account on disk."""

import threading

from exporter.model import Account, Figures, Snapshot
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.files import FiguresFiles


class Store:
    """Takes what polling learns, hands out snapshots, and writes figures to the state directory if there is one.

    `save` waits for the disk and belongs to one thread. Everything else is quick and may be called from any.
    """

    def __init__(self, directory: StateDirectory | None = None) -> None:
        self._directory = directory
        self._files = FiguresFiles(directory, "figures", Figures)
        self._snapshot: Snapshot = ()
        self._index: dict[str | None, int] = {}
        self._unsaved: dict[str | None, Secret] = {}
        """Accounts whose figures are not on disk yet, and the keys that brought them."""
        self._lock = threading.Lock()

    def use_api(self, base_url: str) -> None:
        """Take figures of this API from now on. Those of another one in the same directory are not loaded."""
        if base_url != self._files.base_url:
            with self._lock:
                self._unsaved = {}
                for known in self._snapshot:
                    self._files.forget(known.name)
                self._files = FiguresFiles(self._directory, "figures", Figures, base_url)

    @property
    def snapshot(self) -> Snapshot:
        """Everything known at this moment. It never changes: a new one takes its place."""
        return self._snapshot

    def replace(self, accounts: Snapshot) -> None:
        """Start over with these accounts."""
        with self._lock:
            for gone in {known.name for known in self._snapshot} - {account.name for account in accounts}:
                self._unsaved.pop(gone, None)
                self._files.forget(gone)
            self._snapshot = accounts
            self._index = {account.name: index for index, account in enumerate(accounts)}

    def account(self, name: str | None) -> Account:
        """Return one account as it is now."""
        return self._snapshot[self._index[name]]

    def publish(self, account: Account, key: Secret | None = None) -> None:
        """Replace the account of the same name. The next `save` writes new figures, which `key` brought."""
        with self._lock:
            index = self._index[account.name]
            if key and account.figures is not self._snapshot[index].figures:
                self._unsaved.pop(account.name, None)
                self._unsaved = {account.name: key, **self._unsaved}
            self._snapshot = (*self._snapshot[:index], account, *self._snapshot[index + 1 :])

    def save(self) -> None:
        """Write new figures to disk, up to the first that cannot be written. Those wait for the next time."""
        files = self._files  # what is unsaved now belongs to their API
        for name, key in tuple(self._unsaved.items()):
            with self._lock:
                if name not in self._index or self._unsaved.get(name) is not key or files is not self._files:
                    continue
                del self._unsaved[name]
                figures = self.account(name).figures
            if not files.save(name, figures, key):
                with self._lock:
                    if name in self._index and files is self._files:
                        # Behind the others, in case that its file alone is in trouble.
                        self._unsaved.setdefault(name, key)
                return

    def load(self, account: str | None, key: Secret) -> Figures:
        """Return the figures an earlier process saved; empty ones unless they surely are this account's."""
        return self._files.load(account, key) or Figures()
