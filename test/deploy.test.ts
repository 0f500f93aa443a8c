/** @file What deploy/ starts exists: commands, their flags, and files. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { loadCommands } from "../src/cli/commands.ts";
import { flagsOf } from "../src/cli/flags.ts";

const DEPLOY = join(import.meta.dirname, "../deploy");
const read = (name: string): string => readFileSync(join(DEPLOY, name), "utf8");

interface Compose {
  readonly services: Readonly<
    Record<string, { readonly command?: string[]; readonly build?: { dockerfile: string } }>
  >;
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
  for (const { build } of services) if (build) assert.ok(existsSync(join(DEPLOY, "..", build.dockerfile)));
});
