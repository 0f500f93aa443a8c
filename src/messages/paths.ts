/** @file Settings that are paths. The command replaces a leading "~", which shells do only at the beginning of a word. */
import { z } from "zod";
import { COMMAND_OR_PATH_FORMAT, NAME_OR_PATH_FORMAT, PATH_FORMAT } from "./expected.ts";

/** A path, which may contain commas and spaces. */
export const PATH = z.string().meta({ format: PATH_FORMAT });

/** A path, or a command with its arguments. */
export const COMMAND_OR_PATH = z.string().meta({ format: COMMAND_OR_PATH_FORMAT });

/** A name, a path, or `NAME=PATH`. */
export const NAME_OR_PATH = z.string().meta({ format: NAME_OR_PATH_FORMAT });
