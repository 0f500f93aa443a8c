/** @file Python's `strftime` in the C locale of Linux, for chat templates that write today's date; the time has no zone. */

const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");
const MONTHS = "January February March April May June July August September October November December".split(
  " ",
);
const MS_OF_DAY = 86_400_000;

/** Directives that stand for several others. */
const JOINED: Readonly<Record<string, string>> = {
  c: "%a %b %e %H:%M:%S %Y",
  D: "%m/%d/%y",
  F: "%Y-%m-%d",
  r: "%I:%M:%S %p",
  R: "%H:%M",
  T: "%H:%M:%S",
  x: "%m/%d/%y",
  X: "%H:%M:%S",
};

/** Formats a date in local time; unknown directives stay unchanged. */
export function strftime(date: Date, format: string): string {
  const numbers = numbersOf(date);
  const texts = textsOf(date);
  return format.replace(/%([-_0^#]?)([a-zA-Z%])/g, (directive, flag: string, name: string) => {
    const [value, width, pad] = numbers[name] ?? [];
    const padding = { "-": "", _: " ", 0: "0" }[flag] ?? pad ?? "0";
    if (value !== undefined) return padding === "" ? String(value) : String(value).padStart(width!, padding);
    const text = name in JOINED ? strftime(date, JOINED[name]!) : texts[name];
    if (text === undefined) return directive;
    if (flag === "#" && name === "p") return text.toLowerCase();
    const isNamed = flag === "#" && "aAbBh".includes(name);
    return (flag === "^" && name !== "P") || isNamed ? text.toUpperCase() : text;
  });
}

function textsOf(date: Date): Readonly<Record<string, string>> {
  const [month, day] = [MONTHS[date.getMonth()] ?? "", DAYS[date.getDay()] ?? ""];
  const half = date.getHours() < 12 ? "AM" : "PM";
  const short = month.slice(0, 3);
  const names = { a: day.slice(0, 3), A: day, b: short, B: month, h: short, p: half, P: half.toLowerCase() };
  return { ...names, n: "\n", t: "\t", "%": "%", z: "", Z: "" };
}

/** Each number with its minimum width, and its padding if that is not zeros. */
function numbersOf(date: Date): Readonly<Record<string, readonly [number, number, string?]>> {
  const [year, month, day, weekday] = [date.getFullYear(), date.getMonth(), date.getDate(), date.getDay()];
  const yearDay = dayOf(year, month, day) - dayOf(year, 0, 1);
  // An ISO 8601 week belongs to the year that its Thursday is in.
  const thursday = new Date((dayOf(year, month, day) - ((weekday + 6) % 7) + 3) * MS_OF_DAY);
  const isoYear = thursday.getUTCFullYear();
  const isoWeek = 1 + Math.floor((thursday.getTime() / MS_OF_DAY - dayOf(isoYear, 0, 1)) / 7);
  const [hours, half] = [date.getHours(), date.getHours() % 12 || 12];
  return {
    C: [Math.floor(year / 100), 2],
    d: [day, 2],
    e: [day, 2, " "],
    f: [date.getMilliseconds() * 1000, 6],
    g: [isoYear % 100, 2],
    G: [isoYear, 1],
    H: [hours, 2],
    I: [half, 2],
    j: [yearDay + 1, 3],
    k: [hours, 2, " "],
    l: [half, 2, " "],
    m: [month + 1, 2],
    M: [date.getMinutes(), 2],
    s: [Math.floor(date.getTime() / 1000), 1],
    S: [date.getSeconds(), 2],
    u: [weekday || 7, 1],
    U: [Math.floor((yearDay + 7 - weekday) / 7), 2],
    V: [isoWeek, 2],
    w: [weekday, 1],
    W: [Math.floor((yearDay + 7 - ((weekday + 6) % 7)) / 7), 2],
    y: [year % 100, 2],
    Y: [year, 1],
  };
}

/** Days from 1970 to a date. */
function dayOf(year: number, month: number, day: number): number {
  return Date.UTC(year, month, day) / MS_OF_DAY;
}
