/** @file The supported string formats of JSON schemas, as patterns. Every text that matches a pattern is valid for its format. */

const YEAR = String.raw`(?:000[1-9]|00[1-9]\d|0[1-9]\d{2}|[1-9]\d{3})`;
const FOURTH = "(?:0[48]|[2468][048]|[13579][26])";
const LEAP_YEAR = String.raw`(?:\d\d${FOURTH}|${FOURTH}00)`;
const DAY = String.raw`(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))`;
const DATE = `(?:${YEAR}-${DAY}|${LEAP_YEAR}-02-29)`;
const HOURS = String.raw`(?:[01]\d|2[0-3])`;
const TIME = String.raw`${HOURS}:[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-]${HOURS}:[0-5]\d)`;
const COUNT = String.raw`\d{1,4}`;
const SPAN = `T(?:${COUNT}H(?:${COUNT}M(?:${COUNT}S)?)?|${COUNT}M(?:${COUNT}S)?|${COUNT}S)`;
const DAYS = `(?:${COUNT}Y(?:${COUNT}M(?:${COUNT}D)?)?|${COUNT}M(?:${COUNT}D)?|${COUNT}D)`;
const LABEL = "[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}";
const OCTET = String.raw`(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`;
const GROUP = "[0-9a-fA-F]{1,4}";
const HEX = "[0-9a-fA-F]";

/** Addresses in which "::" replaces one or more groups of zeros after `numBefore` groups. */
function shortened(numBefore: number): string {
  const most = 7 - numBefore;
  const after = most === 1 ? `:${GROUP}` : `(?::${GROUP}){1,${most}}`;
  return numBefore === 0 ? `:(?:${after}|:)` : `(?:${GROUP}:){${numBefore}}(?:${after}|:)`;
}

const IPV6 = [`(?:${GROUP}:){7}${GROUP}`, ...Array.from({ length: 7 }, (_, n) => shortened(n))].join("|");

/** Patterns of the formats, by their names in JSON schemas. */
export const STRING_FORMATS: Readonly<Record<string, string>> = {
  date: `^${DATE}$`,
  time: `^${TIME}$`,
  "date-time": `^${DATE}T${TIME}$`,
  duration: `^P(?:${COUNT}W|${DAYS}(?:${SPAN})?|${SPAN})$`,
  email: String.raw`^[\w+-]{1,20}(?:\.[\w+-]{1,20}){0,2}@(?:${LABEL}\.){1,2}[A-Za-z]{2,12}$`,
  hostname: String.raw`^${LABEL}(?:\.${LABEL}){0,3}$`,
  ipv4: String.raw`^(?:${OCTET}\.){3}${OCTET}$`,
  ipv6: `^(?:${IPV6})$`,
  uuid: `^${HEX}{8}-${HEX}{4}-[1-8]${HEX}{3}-[89abAB]${HEX}{3}-${HEX}{12}$`,
};

/**
 * Patterns with lookahead that zod writes beside a format, by the format's name. The pattern of the format replaces them: every
 * text that matches it matches them too.
 */
const LOOKING_AHEAD: Readonly<Record<string, string>> = {
  duration: String.raw`^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$`,
  hostname: String.raw`^(?=.{1,253}\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\.?$`,
};

/** The pattern that a text must match, where a schema has one and perhaps a format. */
export function patternBeside(pattern: string, format: string | undefined): string {
  return format !== undefined && LOOKING_AHEAD[format] === pattern ? STRING_FORMATS[format]! : pattern;
}
