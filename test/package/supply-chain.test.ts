/**
 * @file What is installed is what was reviewed: no new install script, a checksum for every package, the usual registry, and
 * licences that ask for nothing but their text. What is new is let in by an edit of the lists here.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

/** Packages that may have an install script; `allowScripts` of package.json says which of them may run it. */
const WITH_SCRIPTS = ["koffi", "node", "onnxruntime-node"];
const LICENCES = new Set(["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT"]);
const REGISTRY = "https://registry.npmjs.org/";

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
}
type Lock = Readonly<Record<string, Locked>>;

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
}

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(join(import.meta.dirname, "../..", name), "utf8"));
}

/** A licence, or a choice of several of which one is enough. */
function isPermissive(licence: string): boolean {
  const choices = licence.replace(/^\((.*)\)$/, "$1").split(" OR ");
  return choices.some((choice) => choice.split(" AND ").every((part) => LICENCES.has(part)));
}

/** Everything that is wrong with the packages of a lock file. */
function problemsOf(lock: Lock): string[] {
  return Object.entries(lock).flatMap(([place, found]) => {
    if (place === "") return [];
    const name = place.slice(place.lastIndexOf("node_modules/") + "node_modules/".length);
    const { version, resolved, integrity, license, link, hasInstallScript } = found;
    // A lock file may leave the registry out; what is there says where else a package comes from.
    const usual = `${REGISTRY}${name}/-/${name.replace(/^@.*\//, "")}-${version}.tgz`;
    const isUsual = resolved === undefined || resolved === usual;
    return [
      ...(hasInstallScript && !WITH_SCRIPTS.includes(name) ? [`${name} has an install script`] : []),
      ...(/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? "") ? [] : [`${name} has no SHA-512`]),
      ...(isUsual && !link && place.startsWith("node_modules/")
        ? []
        : [`${name} comes from ${resolved ?? place}`]),
      ...(isPermissive(license ?? "none") ? [] : [`${name} has the licence ${license ?? "none"}`]),
    ];
  });
}

const { packages: lock, lockfileVersion } = readJson("package-lock.json") as {
  packages: Lock;
  lockfileVersion: number;
};
const manifest = readJson("package.json") as Manifest;

describe("what is installed", () => {
  test("has no new install script, checksums, the usual registry and permissive licences", () => {
    assert.equal(lockfileVersion, 3);
    assert.ok(Object.keys(lock).length > 50);
    assert.deepEqual(problemsOf(lock), []);
  });

  test("install scripts are allowed or forbidden one by one, and one alone runs", () => {
    const found = Object.keys(lock).filter((place) => lock[place]?.hasInstallScript);
    assert.deepEqual(found.map((place) => place.replace("node_modules/", "")).sort(), WITH_SCRIPTS);
    const { allowScripts } = manifest;
    assert.deepEqual(Object.keys(allowScripts).sort(), WITH_SCRIPTS);
    assert.deepEqual(
      Object.keys(allowScripts).filter((name) => allowScripts[name]),
      ["node"],
    );
  });

  test("direct dependencies are pinned, and the lock file is that of package.json", () => {
    for (const kind of ["dependencies", "devDependencies"] as const) {
      for (const [name, version] of Object.entries(manifest[kind])) {
        assert.match(version, /^\d+\.\d+\.\d+$/, name);
        assert.equal(lock[`node_modules/${name}`]?.version, version, name);
      }
      assert.deepEqual((lock[""] as unknown as Manifest)[kind], manifest[kind]);
    }
  });
});

test("the check sees each kind of fault", () => {
  const good: Locked = { version: "1.0.0", integrity: `sha512-${"A".repeat(86)}==`, license: "MIT" };
  const problems = (place: string, changed: Locked): string[] =>
    problemsOf({ [place]: { ...good, ...changed } });
  assert.deepEqual(problems("node_modules/a", {}), []);
  assert.deepEqual(problems("node_modules/a", { resolved: `${REGISTRY}a/-/a-1.0.0.tgz` }), []);
  assert.deepEqual(problems("node_modules/@s/a", { resolved: `${REGISTRY}@s/a/-/a-1.0.0.tgz` }), []);
  assert.deepEqual(problems("node_modules/a", { license: "(GPL-3.0 OR MIT)" }), []);
  assert.match(problems("node_modules/a", { hasInstallScript: true })[0] ?? "", /install script/);
  assert.deepEqual(problems("node_modules/b/node_modules/koffi", { hasInstallScript: true }), []);
  for (const integrity of ["", "sha1-AAAA", "sha512-short"])
    assert.match(problems("node_modules/a", { integrity })[0] ?? "", /no SHA-512/);
  for (const resolved of [
    "https://elsewhere.example/a/-/a-1.0.0.tgz",
    "git+ssh://git@host/a.git#1",
    "http://registry.npmjs.org/a/-/a-1.0.0.tgz",
    "https://registry.npmjs.org.elsewhere.example/a/-/a-1.0.0.tgz",
    `${REGISTRY}other/-/other-1.0.0.tgz`,
  ])
    assert.match(problems("node_modules/a", { resolved })[0] ?? "", /comes from/);
  assert.match(problems("node_modules/a", { link: true })[0] ?? "", /comes from/);
  assert.match(problems("packages/a", {})[0] ?? "", /comes from/);
  for (const license of ["GPL-3.0", "MIT AND GPL-3.0", "SEE LICENSE IN LICENSE", "UNLICENSED", ""])
    assert.match(problems("node_modules/a", { license })[0] ?? "", /licence/);
});
