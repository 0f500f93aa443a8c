/** @file What deploy/ starts exists: commands, their flags, and files. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { loadCommands } from "../../src/cli/commands.ts";
import { flagsOf } from "../../src/cli/flags/flags.ts";
import { SERVE_OPTIONS } from "../../src/cli/serving/serve-flags.ts";
import { ROUTES } from "../../src/server/routes.ts";

const DEPLOY = join(import.meta.dirname, "../../deploy");
const read = (name: string): string => readFileSync(join(DEPLOY, name), "utf8");

interface Service {
  readonly command?: string[];
  readonly build?: { readonly dockerfile: string };
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: string | readonly string[] };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
}
const compose = parse(read("compose.yaml"), { merge: true }) as Compose;
const services = Object.values(compose.services);
const units = readdirSync(DEPLOY).filter((name) => name.endsWith(".service"));
const calls = [
  ...services.flatMap(({ command }) => (command ? [command] : [])),
  ...units.map(
    (name) => /^ExecStart=\/usr\/local\/bin\/graft (.+)$/m.exec(read(name))?.[1]?.split(" ") ?? [],
  ),
];
const commands = await loadCommands();

test("every command and flag that is started is one of the program", () => {
  assert.equal(calls.length, 4);
  for (const [name, ...words] of calls) {
    const command = commands.find((each) => each.name === name);
    assert.ok(command, name);
    const known = new Set(flagsOf(command).map(({ name }) => `--${name}`));
    const used = words.filter((word) => word.startsWith("--")).map((word) => word.split("=")[0] ?? "");
    assert.ok(used.includes("--database") && used.includes("--model"), words.join(" "));
    assert.deepEqual(
      used.filter((flag) => !known.has(flag)),
      [],
    );
  }
});

test("servers and workers of a file share a folder, and what is built is there", () => {
  const folders = calls.map((words) => /--(?:state|files)[= ](\S+)/.exec(words.join(" "))?.[1]);
  assert.deepEqual(folders, ["/var/lib/graft/state", "/var/lib/graft/state", "/srv/graft", "/srv/graft"]);
  for (const unit of units) assert.match(read(unit), /^RequiresMountsFor=\/srv\/graft$/m);
  for (const { build } of services) if (build) assert.ok(existsSync(join(DEPLOY, "..", build.dockerfile)));
});

test("passwords are in the environment, where others do not see them and any character may be in them", () => {
  for (const words of calls) assert.doesNotMatch(words.join(" "), /:\/\/[^@/\s]*:[^@/\s]*@/);
  for (const { command, environment } of services) if (command) assert.ok(environment?.["PGPASSWORD"]);
});

test("the check of the server's health asks a route that everybody may call", () => {
  const asked = String(compose.services["server"]?.healthcheck?.test);
  const path = /http:\/\/127\.0\.0\.1:8080(\/\w+)/.exec(asked)?.[1];
  assert.equal(ROUTES.find((route) => route.path === path)?.access, "everybody");
  assert.equal(SERVE_OPTIONS.shape.port.parse(undefined), 8080);
});
