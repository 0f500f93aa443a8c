/** @file `graft keys remove`: removes an API key; a running server refuses it from its next request on. */
import { z } from "zod";
import { KeyFile } from "../../server/access/key-file.ts";
import { defineCommand } from "../command.ts";
import { KEY_FLAGS } from "../serving/key-flags.ts";

export const command = defineCommand({
  example: "npx graft keys remove alice --state state",
  positionals: ["name"],
  options: z.strictObject(KEY_FLAGS),
  async run({ name, state }, io) {
    await new KeyFile(state).remove(name);
    io.stdout(`Removed key "${name}": it is refused from now on.`);
    io.emit({ event: "done", name });
  },
});
