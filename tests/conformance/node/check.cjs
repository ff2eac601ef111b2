// Checks C2SP tlog-proofs with @sigstore/verify and none of Muniment's code.
//
// Reads [{proof, origin, key}] as JSON, key being the raw Ed25519 key in base64, and prints [true, ...].
"use strict";

const { createHash, createPublicKey } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { verifyCheckpoint } = require("@sigstore/verify/dist/tlog/checkpoint.js");
const { verifyMerkleInclusion } = require("@sigstore/verify/dist/tlog/merkle.js");

const SPKI = Buffer.from("302a300506032b6570032100", "hex");

function holds({ proof, origin, key }) {
  const raw = Buffer.from(key, "base64");
  const hint = createHash("sha256").update(origin + "\n\x01").update(raw).digest();
  const log = {
    logID: hint,
    baseURL: origin,
    publicKey: createPublicKey({ key: Buffer.concat([SPKI, raw]), format: "der", type: "spki" }),
  };
  const gap = proof.indexOf("\n\n");
  const [header, extra, index, ...path] = proof.slice(0, gap).split("\n");
  if (header !== "c2sp.org/tlog-proof@v1" || !extra.startsWith("extra ") || !index.startsWith("index ")) {
    return false;
  }
  const entry = {
    canonicalizedBody: Buffer.from(extra.slice(6), "base64"),
    inclusionProof: {
      checkpoint: { envelope: proof.slice(gap + 2) },
      logIndex: index.slice(6),
      hashes: path.map((step) => Buffer.from(step, "base64")),
    },
  };
  const checkpoint = verifyCheckpoint(entry, [log]);
  verifyMerkleInclusion(entry, checkpoint);
  return checkpoint.origin === origin;
}

const verdicts = JSON.parse(readFileSync(0, "utf8")).map((question) => {
  try {
    return holds(question);
  } catch {
    return false;
  }
});
process.stdout.write(JSON.stringify(verdicts));
