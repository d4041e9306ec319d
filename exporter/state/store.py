"""The last good figures of each account: one immutable snapshot in memory, one file an account on disk."""

from exporter.model import Account, Figures, Snapshot
from exporter.secret import Secret
from exporter.state.directory import StateDirectory
from exporter.state.files import KeptFigures


class Store:
    """Takes what the poller learns, hands out snapshots, and keeps the figures in the state directory if there is one.

    `base_url` tells figures of one API from those of another in the same directory.
    """

    def __init__(self, directory: StateDirectory | None = None) -> None:
        self._kept = KeptFigures(directory, "figures", Figures)
        self._snapshot: Snapshot = ()
        self._places: dict[str | None, int] = {}
        self._unkept: dict[str | None, Secret] = {}
        """Accounts whose figures could not be kept yet, and the keys these belong to."""

    @property
    def base_url(self) -> str:
        """The API that is asked."""
        return self._kept.base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        if url != self._kept.base_url:
            self._unkept.clear()
        self._kept.base_url = url

    @property
    def snapshot(self) -> Snapshot:
        """Everything known at this moment. It never changes: a new one takes its place."""
        return self._snapshot

    def replace(self, accounts: Snapshot) -> None:
        """Start over with these accounts."""
        for gone in {known.name for known in self._snapshot} - {account.name for account in accounts}:
            self._unkept.pop(gone, None)
            self._kept.forget(gone)
        self._snapshot = accounts
        self._places = {account.name: place for place, account in enumerate(accounts)}

    def account(self, name: str | None) -> Account:
        """Return one account as it is now."""
        return self._snapshot[self._places[name]]

    def publish(self, account: Account, figures_of: Secret | None = None) -> None:
        """Put an account in the place of the one with its name. New figures are kept, with the key they belong to.

        Those that cannot be kept now are kept with a later publication.
        """
        before = self.account(account.name)
        accounts = list(self._snapshot)
        accounts[self._places[account.name]] = account
        self._snapshot = tuple(accounts)
        if figures_of and account.figures is not before.figures:
            self._unkept.pop(account.name, None)
            self._unkept = {account.name: figures_of, **self._unkept}
        for name, key in tuple(self._unkept.items()):
            del self._unkept[name]
            if not self._kept.save(name, self.account(name).figures, key):
                self._unkept[name] = key  # behind the others, in case that its file alone is in trouble
                break

    def load(self, account: str | None, key: Secret) -> Figures:
        """Return the figures an earlier process kept; empty ones where none surely are this account's."""
        return self._kept.load(account, key) or Figures()
