"""The services that may pass the boundary of a vault which lets trusted services in.  Pure.

Key Vault's list, by names of ours.  A name alone lets nobody in: a vault binds it to a client or a
principal of its own, and that one still needs a token and a permission.

Source: "Virtual network service endpoints for Azure Key Vault", trusted services, 2019-01-02.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LIST_VERSION: Final = "2019-01-02"


class Service(NamedTuple):
    """A service, and what it is let in for."""

    name: str
    title: str
    scenario: str


SERVICES: Final = {
    service.name: service
    for service in (
        Service(
            "vm-deployment",
            "Azure Virtual Machines deployment service",
            "Deploy certificates to VMs from customer-managed Key Vault",
        ),
        Service(
            "resource-manager-deployment",
            "Azure Resource Manager template deployment service",
            "Pass secure values during deployment",
        ),
        Service(
            "application-gateway",
            "Azure Application Gateway v2 SKU",
            "TLS termination with Key Vault certificates",
        ),
        Service(
            "disk-encryption",
            "Azure Disk Encryption volume encryption service",
            "Access to the BitLocker key (Windows VM) or the DM passphrase (Linux VM), and to the "
            "key encryption key, while a virtual machine is deployed",
        ),
        Service(
            "backup",
            "Azure Backup",
            "Back up and restore the relevant keys and secrets with Azure VM backup",
        ),
        Service(
            "exchange-and-sharepoint-online",
            "Exchange Online and SharePoint Online",
            "Access to the customer key for storage service encryption with Customer Key",
        ),
        Service(
            "information-protection",
            "Azure Information Protection",
            "Access to the tenant key of Azure Information Protection",
        ),
        Service(
            "app-service",
            "Azure App Service",
            "Deploy an Azure web app certificate through Key Vault",
        ),
        Service(
            "sql-database",
            "Azure SQL Database",
            "Transparent data encryption with bring your own key, for SQL Database and Synapse",
        ),
        Service(
            "storage",
            "Azure Storage",
            "Storage service encryption with customer-managed keys",
        ),
        Service(
            "data-lake-store",
            "Azure Data Lake Store",
            "Encryption of data in Data Lake Store with a customer-managed key",
        ),
        Service(
            "databricks",
            "Azure Databricks",
            "Fast, easy and collaborative analytics service based on Apache Spark",
        ),
        Service(
            "api-management",
            "Azure API Management",
            "Deploy certificates for a custom domain from Key Vault with a managed identity",
        ),
        Service(
            "data-factory",
            "Azure Data Factory",
            "Fetch the credentials of a data store from Key Vault",
        ),
        Service("event-hubs", "Azure Event Hubs", "Access for customer-managed keys"),
        Service("service-bus", "Azure Service Bus", "Access for customer-managed keys"),
        Service(
            "import-export",
            "Azure Import/Export",
            "Customer-managed keys for the Import/Export service",
        ),
        Service(
            "container-registry",
            "Azure Container Registry",
            "Registry encryption with customer-managed keys",
        ),
    )
}
