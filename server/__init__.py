"""The HTTPS edge: Azure Key Vault's data plane over a store.  Needs the extra `server`."""
