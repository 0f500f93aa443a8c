/** @file `graft keys list`: lists names and roles of API keys. */
import { z } from "zod";
import { KeyFile } from "../../server/access/key-file.ts";
import { defineCommand } from "../command.ts";
import { KEY_FLAGS } from "../serving/key-flags.ts";

export const command = defineCommand({
  example: "npx graft keys list --state state",
  positionals: [],
  options: z.strictObject({ state: KEY_FLAGS.state }),
  async run({ state }, io) {
    const keys = (await new KeyFile(state).read()) ?? [];
    for (const { name, role, created_at: createdAt } of keys) {
      io.stdout(`${name}  ${role}  ${new Date(createdAt * 1000).toISOString()}`);
    }
    if (keys.length === 0) io.stderr(`There are no keys in "${state}".`);
    io.emit({ event: "done", keys: keys.map(({ name, role, created_at }) => ({ name, role, created_at })) });
  },
});
