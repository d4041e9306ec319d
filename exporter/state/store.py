"""The last good figures of each account: one immutable snapshot in memory, one file an account on disk."""

from exporter.model import Account, Figures, Snapshot
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.files import FiguresFiles


class Store:
    """Takes what the poller learns, hands out snapshots, and keeps the figures in the state directory if there is one.

    `base_url` tells figures of one API from those of another in the same directory.
    """

    def __init__(self, directory: StateDirectory | None = None) -> None:
        self._files = FiguresFiles(directory, "figures", Figures)
        self._snapshot: Snapshot = ()
        self._index: dict[str | None, int] = {}
        self._unsaved: dict[str | None, Secret] = {}
        """Accounts whose figures could not be kept yet, and the keys these belong to."""

    @property
    def base_url(self) -> str:
        """The API that is asked."""
        return self._files.base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        if url != self._files.base_url:
            self._unsaved.clear()
        self._files.base_url = url

    @property
    def snapshot(self) -> Snapshot:
        """Everything known at this moment. It never changes: a new one takes its place."""
        return self._snapshot

    def replace(self, accounts: Snapshot) -> None:
        """Start over with these accounts."""
        for gone in {known.name for known in self._snapshot} - {account.name for account in accounts}:
            self._unsaved.pop(gone, None)
            self._files.forget(gone)
        self._snapshot = accounts
        self._index = {account.name: place for place, account in enumerate(accounts)}

    def account(self, name: str | None) -> Account:
        """Return one account as it is now."""
        return self._snapshot[self._index[name]]

    def publish(self, account: Account, key: Secret | None = None) -> None:
        """Put an account in the place of the one with its name. New figures are kept, with the key they belong to.

        Those that cannot be kept now are kept with a later publication.
        """
        before = self.account(account.name)
        accounts = list(self._snapshot)
        accounts[self._index[account.name]] = account
        self._snapshot = tuple(accounts)
        if key and account.figures is not before.figures:
            self._unsaved.pop(account.name, None)
            self._unsaved = {account.name: key, **self._unsaved}
        for name, unsaved_key in tuple(self._unsaved.items()):
            del self._unsaved[name]
            if not self._files.save(name, self.account(name).figures, unsaved_key):
                self._unsaved[name] = (
                    unsaved_key  # behind the others, in case that its file alone is in trouble
                )
                break

    def load(self, account: str | None, key: Secret) -> Figures:
        """Return the figures an earlier process kept; empty ones where none surely are this account's."""
        return self._files.load(account, key) or Figures()
