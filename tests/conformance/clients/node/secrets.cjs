// A program that uses @azure/keyvault-secrets as its documentation shows, and prints what it saw.
//
// node secrets.cjs STORY JSON

const identity = require("@azure/identity");
const { SecretClient } = require("@azure/keyvault-secrets");

const told = JSON.parse(process.argv[3]);
const env = process.env;
const SOON = new Date("2030-01-02T03:04:05Z");
// The client sends dates after January 2038 as 32 bits, so that this is as late as it goes.
const LATE = new Date("2037-01-02T03:04:05Z");

function credential() {
  const offline = { disableInstanceDiscovery: true };
  const who = [env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID];
  switch (told.credential ?? "ClientSecretCredential") {
    case "ClientSecretCredential":
      return new identity.ClientSecretCredential(...who, env.AZURE_CLIENT_SECRET, offline);
    case "ClientCertificateCredential":
      return new identity.ClientCertificateCredential(
        ...who,
        env.AZURE_CLIENT_CERTIFICATE_PATH,
        offline,
      );
    case "WorkloadIdentityCredential":
      return new identity.WorkloadIdentityCredential(offline);
    case "ManagedIdentityCredential":
      return new identity.ManagedIdentityCredential({ clientId: env.AZURE_CLIENT_ID });
    case "DefaultAzureCredential":
      return new identity.DefaultAzureCredential();
    default:
      return { getToken: async () => ({ token: told.token, expiresOnTimestamp: 4e12 }) };
  }
}

const known = credential();
const secrets = new SecretClient(told.vault, known, told.options);
const other = new SecretClient(told.other, known, told.options);
const name = told.name;
const POLL = { intervalInMs: 500 };

const seconds = (date) => date && Math.floor(date.getTime() / 1000);

function of(properties) {
  return {
    name: properties.name,
    version: properties.version ?? null,
    contentType: properties.contentType ?? null,
    tags: properties.tags ?? null,
    enabled: properties.enabled,
    notBefore: seconds(properties.notBefore) ?? null,
    expires: seconds(properties.expiresOn) ?? null,
    recovery: [properties.recoveryLevel, properties.recoverableDays],
    dated: Boolean(properties.createdOn && properties.updatedOn),
  };
}

const whole = (secret) => ({ value: secret.value, ...of(secret.properties) });

async function all(pager) {
  const found = [];
  for await (const one of pager) found.push(one);
  return found;
}

async function sizes(pager, options) {
  return (await all(pager.byPage(options))).map((page) => page.length);
}

// The class, the status and the code of the error that a promise ends with.
async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    if (error.statusCode === undefined) return [error.name];
    const inner = error.details?.error?.innerError;
    return [error.name, error.statusCode, error.code ?? null, inner?.code ?? null];
  }
  return ["nothing"];
}

async function remove() {
  return (await secrets.beginDeleteSecret(name, POLL)).pollUntilDone();
}

async function recover() {
  return (await secrets.beginRecoverDeletedSecret(name, POLL)).pollUntilDone();
}

const stories = {
  async life() {
    const saw = {};
    const first = await secrets.setSecret(name, "first \u2603", {
      contentType: "text/plain",
      tags: { team: "a", Owner: "\u00fc" },
      notBefore: SOON,
      expiresOn: LATE,
    });
    saw.set = whole(first);
    saw.second = whole(await secrets.setSecret(name, ""));
    saw.latest = whole(await secrets.getSecret(name));
    const version = first.properties.version;
    saw["by version"] = whole(await secrets.getSecret(name, { version }));
    saw.updated = of(
      await secrets.updateSecretProperties(name, version, {
        contentType: "application/json",
        tags: {},
        enabled: true,
      }),
    );
    saw.versions = (await all(secrets.listPropertiesOfSecretVersions(name))).map(of);
    const mine = (one) => one.name === name;
    saw.listed = (await all(secrets.listPropertiesOfSecrets())).filter(mine).map(of);
    const deleted = await remove();
    const { recoveryId, scheduledPurgeDate, deletedOn } = deleted;
    saw.deleted = [deleted.name, recoveryId, Math.floor((scheduledPurgeDate - deletedOn) / 864e5)];
    saw["deleted shown"] = (await secrets.getDeletedSecret(name)).name;
    saw["deleted listed"] = (await all(secrets.listDeletedSecrets()))
      .map((one) => one.name)
      .filter((one) => one === name);
    saw.gone = await refusal(secrets.getSecret(name));
    saw.recovered = (await recover()).name;
    saw.again = whole(await secrets.getSecret(name, { version }));
    await remove();
    await secrets.purgeDeletedSecret(name);
    saw.purged = await refusal(secrets.getDeletedSecret(name));
    saw.anew = whole(await secrets.setSecret(name, "new"));
    return saw;
  },

  async pages() {
    const names = (found) => found.map((one) => one.name);
    return {
      names: names(await all(secrets.listPropertiesOfSecrets())),
      pages: await sizes(secrets.listPropertiesOfSecrets()),
      "of ten": await sizes(secrets.listPropertiesOfSecrets(), { maxPageSize: 10 }),
      versions: (await all(secrets.listPropertiesOfSecretVersions("many"))).length,
      deleted: names(await all(secrets.listDeletedSecrets())),
    };
  },

  async states() {
    const first = (await secrets.setSecret(name, "first")).properties.version;
    await secrets.setSecret(`${name}-expired`, "old", { expiresOn: new Date("2020-01-01") });
    const last = (await secrets.setSecret(name, "last", { enabled: false })).properties.version;
    const saw = {
      expired: (await secrets.getSecret(`${name}-expired`)).value,
      latest: await refusal(secrets.getSecret(name)),
      version: await refusal(secrets.getSecret(name, { version: last })),
      older: (await secrets.getSecret(name, { version: first })).value,
      listed: (await all(secrets.listPropertiesOfSecrets()))
        .filter((one) => one.name === name)
        .map((one) => one.enabled),
    };
    await remove();
    saw.deleted = await refusal(secrets.getDeletedSecret(name));
    await recover();
    await secrets.updateSecretProperties(name, last, { enabled: true });
    saw.enabled = (await secrets.getSecret(name)).value;
    return saw;
  },

  async refusals() {
    await secrets.setSecret(name, "v");
    const blob = await secrets.backupSecret(name);
    const many = Object.fromEntries([...Array(16).keys()].map((at) => [`${at}`, ""]));
    const version = "0".repeat(32);
    const saw = {
      exists: await refusal(secrets.restoreSecretBackup(blob)),
      "no backup": await refusal(secrets.restoreSecretBackup(Buffer.from("noise"))),
      missing: await refusal(secrets.getSecret("nobody")),
      "missing version": await refusal(secrets.getSecret(name, { version })),
      "no update": await refusal(
        secrets.updateSecretProperties("nobody", "", { tags: { a: "b" } }),
      ),
      "no delete": await refusal(secrets.beginDeleteSecret("nobody")),
      "not deleted": await refusal(secrets.getDeletedSecret(name)),
      "no purge": await refusal(secrets.purgeDeletedSecret("nobody")),
      "no recovery": await refusal(secrets.beginRecoverDeletedSecret("nobody")),
      name: await refusal(secrets.setSecret("under_score", "v")),
      "too long": await refusal(secrets.setSecret(name, "v".repeat(25_601))),
      tags: await refusal(secrets.setSecret(name, "v", { tags: many })),
      "no versions": await all(secrets.listPropertiesOfSecretVersions("nobody")),
      longest: (await secrets.setSecret(name, "v".repeat(25_600))).value.length,
    };
    await remove();
    saw.deleted = await refusal(secrets.setSecret(name, "v"));
    return saw;
  },

  // What somebody sees who may get and list in one vault.
  async turned_away() {
    return {
      get: (await secrets.getSecret(name)).value,
      set: await refusal(secrets.setSecret(name, "v")),
      delete: await refusal(secrets.beginDeleteSecret(name)),
      backup: await refusal(secrets.backupSecret(name)),
      elsewhere: await refusal(other.getSecret(name)),
    };
  },

  async backup() {
    for (const value of ["first", "second"]) {
      await secrets.setSecret(name, value, { tags: { of: value } });
    }
    const blob = await secrets.backupSecret(name);
    const restored = await other.restoreSecretBackup(blob);
    const latest = await other.getSecret(name);
    const values = [];
    for await (const { version } of other.listPropertiesOfSecretVersions(name)) {
      values.push((await other.getSecret(name, { version })).value);
    }
    const saw = {
      restored: restored.name,
      value: whole(latest),
      versions: values.sort(),
      conflict: await refusal(other.restoreSecretBackup(blob)),
      "same version":
        latest.properties.version === (await secrets.getSecret(name)).properties.version,
    };
    await remove();
    saw.deleted = await refusal(secrets.restoreSecretBackup(blob));
    await secrets.purgeDeletedSecret(name);
    saw["after purge"] = (await secrets.restoreSecretBackup(blob)).name;
    return saw;
  },

  // How pollers go on while the service takes its time.
  async pollers() {
    await secrets.setSecret(name, "v");
    const deleting = await secrets.beginDeleteSecret(name, POLL);
    const saw = {
      "under way": !deleting.isDone(),
      busy: await refusal(secrets.purgeDeletedSecret(name)),
      "not yet": await refusal(secrets.getDeletedSecret(name)),
    };
    await deleting.pollUntilDone();
    saw.deleted = (await secrets.getDeletedSecret(name)).name;
    const recovering = await secrets.beginRecoverDeletedSecret(name, POLL);
    saw.recovering = [!recovering.isDone(), await refusal(secrets.getSecret(name))];
    await recovering.pollUntilDone();
    saw.recovered = (await secrets.getSecret(name)).value;
    return saw;
  },

  async sign_in() {
    await secrets.setSecret(name, "v");
    return whole(await secrets.getSecret(name));
  },

  async attempt() {
    return refusal(secrets.getSecret("nobody"));
  },
};

stories[process.argv[2]]().then((saw) => process.stdout.write(JSON.stringify(saw)));
