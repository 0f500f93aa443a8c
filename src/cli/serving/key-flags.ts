/** @file Flags of the commands that change API keys. */
import { z } from "zod";
import { PATH } from "../../messages/paths.ts";

export const KEY_FLAGS = {
  name: z.string().describe("Name of the key, for lists and messages"),
  state: PATH.describe("State folder of graft serve, which holds keys.json"),
};
