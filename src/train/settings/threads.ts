/** @file The setting of the number of threads, which every command has. */
import { z } from "zod";
import { MAX_THREADS } from "../../runtime/engine.ts";

export const THREADS = z.int().min(1).max(MAX_THREADS).optional().describe("CPU threads; default: all");
