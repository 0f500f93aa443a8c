/** @file Python's `strftime` in the C locale, for chat templates that write today's date. */

const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday";
const MONTHS = "January February March April May June July August September October November December";

/** Writes a date in local time; a directive that is not known stays as it is. */
export function strftime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const month = MONTHS.split(" ")[date.getMonth()] ?? "";
  const day = DAYS.split(" ")[date.getDay()] ?? "";
  const directives: Record<string, string> = {
    "%Y": String(date.getFullYear()),
    "%y": two(date.getFullYear() % 100),
    "%m": two(date.getMonth() + 1),
    "%d": two(date.getDate()),
    "%B": month,
    "%b": month.slice(0, 3),
    "%A": day,
    "%a": day.slice(0, 3),
    "%H": two(date.getHours()),
    "%I": two(date.getHours() % 12 || 12),
    "%M": two(date.getMinutes()),
    "%S": two(date.getSeconds()),
    "%p": date.getHours() < 12 ? "AM" : "PM",
    "%%": "%",
  };
  return format.replace(/%[a-zA-Z%]/g, (directive) => directives[directive] ?? directive);
}
