/** @file `graft keys add`: creates an API key with a role. */
import { z } from "zod";
import { API_ROLES } from "../../server/access/api-keys.ts";
import { KeyFile } from "../../server/access/key-file.ts";
import { defineCommand } from "../command.ts";
import { KEY_FLAGS } from "../serving/key-flags.ts";

export const command = defineCommand({
  example: "npx graft keys add alice --role train --state state",
  positionals: ["name"],
  options: z.strictObject({
    ...KEY_FLAGS,
    role: z
      .enum(API_ROLES)
      .default("read")
      .describe(
        "What it may do: read: generate text; train: files and jobs too; admin: everything, adapters included",
      ),
  }),
  async run({ name, role, state }, io) {
    const key = await new KeyFile(state).add(name, role, Date.now(), async (made) => {
      io.stdout(made);
      io.emit({ event: "key", key: made });
      await io.written();
    });
    io.stderr(`The key is shown only this once: "${state}" stores its hash.`);
    io.emit({ event: "done", name, role, key });
  },
});
