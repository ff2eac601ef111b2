// A program that uses npm's azure-keyvault 3.0.5 for managed storage accounts, and prints what it saw.
//
// node storage.cjs STORY JSON

const https = require("https");
const { KeyVaultClient, KeyVaultCredentials } = require("azure-keyvault");

const told = JSON.parse(process.argv[3]);
const { vault, name, template, resource } = told;

// Ask where the challenge says, as adal did.
function token(challenge, done) {
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: process.env.AZURE_CLIENT_ID,
    client_secret: process.env.AZURE_CLIENT_SECRET,
    resource: challenge.resource,
  }).toString();
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  const asked = https.request(
    `${challenge.authorization}/oauth2/token`,
    { method: "POST", headers },
    (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => {
        const { token_type, access_token } = JSON.parse(Buffer.concat(parts));
        done(null, `${token_type} ${access_token}`);
      });
    },
  );
  asked.on("error", done);
  asked.end(form);
}

const client = new KeyVaultClient(new KeyVaultCredentials(token));
const path = (id) => id.slice(vault.length);

function shown(bundle) {
  const saw = JSON.parse(JSON.stringify(bundle));
  const { enabled, recoveryLevel, created, updated } = saw.attributes;
  saw.attributes = [enabled, recoveryLevel, Boolean(created && updated)];
  for (const member of ["id", "secretId", "recoveryId"]) {
    if (saw[member]) saw[member] = path(saw[member]);
  }
  if (bundle.deletedDate) {
    saw.days = Math.round((bundle.scheduledPurgeDate - bundle.deletedDate) / 864e5);
    delete saw.deletedDate;
    delete saw.scheduledPurgeDate;
  }
  return saw;
}

// Every page, followed as the client does.
async function all(first, next) {
  const found = [...(await first)];
  for (let page = await first; page.nextLink; ) {
    page = await next(page.nextLink);
    found.push(...page);
  }
  return found;
}

async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    const body = error.body && error.body.error;
    const inner = body && (body.innererror || body.innerError);
    return [error.statusCode, body && body.code, (inner && inner.code) || null];
  }
  return ["nothing"];
}

const isMine = (one) => path(one).split("/")[2] === name;

async function life() {
  const saw = {};
  const set = await client.setStorageAccount(vault, name, resource, "key1", true, {
    regenerationPeriod: "P90D",
    storageAccountAttributes: { enabled: true },
    tags: { team: "a" },
  });
  saw.set = shown(set);
  saw.get = shown(await client.getStorageAccount(vault, name));
  saw.update = shown(
    await client.updateStorageAccount(vault, name, {
      activeKeyName: "key2",
      autoRegenerateKey: false,
      tags: { team: "b" },
    }),
  );
  saw.listed = (
    await all(client.getStorageAccounts(vault, { maxresults: 1 }), (link) =>
      client.getStorageAccountsNext(link),
    )
  )
    .map((one) => one.id)
    .filter(isMine)
    .map(path);
  saw.regenerate = (await client.regenerateStorageAccountKey(vault, name, "key1")).activeKeyName;
  const tags = { tags: { of: "c" } };
  saw["sas set"] = shown(
    await client.setSasDefinition(vault, name, "all", template, "account", "PT4H", tags),
  );
  saw["sas get"] = shown(await client.getSasDefinition(vault, name, "all"));
  saw["sas update"] = shown(
    await client.updateSasDefinition(vault, name, "all", {
      validityPeriod: "P1D",
      tags: { of: "d" },
    }),
  );
  await client.setSasDefinition(vault, name, "more", template, "account", "PT4H");
  saw["sas listed"] = (
    await all(client.getSasDefinitions(vault, name, { maxresults: 1 }), (link) =>
      client.getSasDefinitionsNext(link),
    )
  ).map((one) => path(one.id));
  const token = await client.getSecret(vault, `${name}-all`, "");
  saw.token = [
    token.value.split("&se=")[0],
    token.contentType,
    path(token.id),
    token.managed,
    Boolean(token.attributes.expires),
  ];
  saw["sas deleted"] = shown(await client.deleteSasDefinition(vault, name, "all"));
  saw["sas gone"] = await refusal(client.getSasDefinition(vault, name, "all"));
  saw["sas deleted get"] = path(
    (await client.getDeletedSasDefinition(vault, name, "all")).recoveryId,
  );
  saw["sas deleted listed"] = (
    await all(client.getDeletedSasDefinitions(vault, name), (link) =>
      client.getDeletedSasDefinitionsNext(link),
    )
  ).map((one) => path(one.recoveryId));
  saw["sas recovered"] = path((await client.recoverDeletedSasDefinition(vault, name, "all")).id);
  const blob = (await client.backupStorageAccount(vault, name)).value;
  saw.exists = await refusal(client.restoreStorageAccount(vault, blob));
  saw.deleted = shown(await client.deleteStorageAccount(vault, name));
  saw.gone = await refusal(client.getStorageAccount(vault, name));
  saw["deleted get"] = path((await client.getDeletedStorageAccount(vault, name)).recoveryId);
  saw["deleted listed"] = (
    await all(client.getDeletedStorageAccounts(vault), (link) =>
      client.getDeletedStorageAccountsNext(link),
    )
  )
    .map((one) => path(one.recoveryId))
    .filter((one) => one.endsWith(`/${name}`));
  saw.recovered = path((await client.recoverDeletedStorageAccount(vault, name)).id);
  await client.deleteStorageAccount(vault, name);
  await client.purgeDeletedStorageAccount(vault, name);
  saw["purged is gone"] = await refusal(client.getDeletedStorageAccount(vault, name));
  saw.restored = shown(await client.restoreStorageAccount(vault, blob));
  saw["restored sas"] = (await client.getSasDefinitions(vault, name)).map((one) => path(one.id));
  saw["wrong key"] = await refusal(client.regenerateStorageAccountKey(vault, name, "key3"));
  return saw;
}

({ life })[process.argv[2]]().then(
  (saw) => process.stdout.write(JSON.stringify(saw)),
  (error) => {
    process.stderr.write(`${error.stack}\n${JSON.stringify(error.body)}\n`);
    process.exitCode = 1;
  },
);
