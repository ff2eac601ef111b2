"""The file of providers, read when the first of them is needed: most commands need none."""

from __future__ import annotations

from pathlib import Path

from vault.providers import Providers, StorageProvider


class DeclaredIn(Providers):
    """The providers that the file *path* declares."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def of(self, resource_id: str, vault: str) -> StorageProvider:
        """Raise ProviderMissing, ProvidersInvalid or ProvidersExposed."""
        from vault.provider_file import load

        return load(self._path).of(resource_id, vault)
