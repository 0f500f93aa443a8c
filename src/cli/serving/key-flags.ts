/** @file Flags of the commands that change API keys. */
import { z } from "zod";

/** Which key, and where it is kept. */
export const KEY_FLAGS = {
  name: z.string().describe("Name of the key, for lists and messages"),
  state: z.string().describe("State folder of graft serve, in which keys.json lies"),
};
