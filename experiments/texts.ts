/**
 * @file The tasks of the experiments, drawn by seed: the mood of a little story, how many go, facts of the cast.
 *
 * Words are those of the small model's own text (tools/small-model/words.ts), so that it can read them.
 */
import { Random } from "../src/random.ts";
import { smallModelText } from "../tools/small-model/make-text.ts";
import { draw, pick, say } from "../tools/small-model/stories.ts";
import { BOATS, CAST, type Character, PLACES, THINGS } from "../tools/small-model/words.ts";

/** A question and its answer. */
export interface Row {
  readonly question: string;
  readonly answer: string;
}

export const MOODS = ["happy", "sad"] as const;
type Mood = (typeof MOODS)[number];

/** Where a story plays: who, and what may happen to them. */
interface Domain {
  readonly heroes: readonly string[];
  readonly events: Readonly<Record<Mood, readonly ((random: Random, hero: string) => string)[]>>;
}

const thing = (random: Random): string => pick(random, THINGS);

/** The world that the small model knows. */
export const VILLAGE: Domain = {
  heroes: CAST.map(({ name }) => name),
  events: {
    happy: [
      (random, hero) => `${hero} found the ${thing(random)}.`,
      (random, hero) => `${hero} got a ${thing(random)}.`,
      (random, hero) => `${pick(random, CAST).name} danced with ${hero}.`,
      (random, hero) => `${hero} laughed at ${pick(random, PLACES)}.`,
      () => `The sun came out.`,
    ],
    sad: [
      (random, hero) => `${hero} lost the ${thing(random)}.`,
      (random) => `The ${thing(random)} fell into the water.`,
      (random, hero) => `${pick(random, CAST).name} did not help ${hero}.`,
      (random, hero) => `${hero} was alone at ${pick(random, PLACES)}.`,
      () => `The rain did not stop.`,
    ],
  },
};

/** The harbour of the second corpus, with happenings of its own. */
export const HARBOUR: Domain = {
  heroes: BOATS.map(([, captain = ""]) => captain),
  events: {
    happy: [
      (random, hero) => `${hero} came home with ${pick(random, BOATS)[2]}.`,
      (random) => `The ${pick(random, BOATS)[0]} reached the pier.`,
      (random, hero) => `The crew of ${hero} was paid.`,
      () => `The wind was good.`,
      (random, hero) => `${hero} found the ${say(random, "net", "anchor", "rope")}.`,
    ],
    sad: [
      (random, hero) => `The sail of ${hero} was torn.`,
      (random) => `The ${pick(random, BOATS)[0]} hit the reef.`,
      (random, hero) => `${hero} came home without ${pick(random, BOATS)[2]}.`,
      () => `The fog did not lift.`,
      (random, hero) => `${hero} lost the ${say(random, "net", "anchor", "rope")}.`,
    ],
  },
};

/** Tells three things, two of which make the mood. */
function story(
  random: Random,
  { heroes, events }: Domain,
  mood: Mood,
): readonly [text: string, hero: string] {
  const hero = pick(random, heroes);
  const other = mood === "happy" ? "sad" : "happy";
  const happenings = [...draw(random, events[mood], 2), ...draw(random, events[other], 1)];
  return [
    random
      .shuffle(happenings)
      .map((tell) => tell(random, hero))
      .join(" "),
    hero,
  ];
}

/** Questions about moods, of which the share `happy` is happy. */
export function moodRows(seed: number, count: number, domain: Domain = VILLAGE, happy = 0.5): Row[] {
  const random = new Random(seed, 1);
  return Array.from({ length: count }, () => {
    const mood = random.uniform() < happy ? "happy" : "sad";
    const [text, hero] = story(random, domain, mood);
    return { question: `${text} Is ${hero} happy or sad?`, answer: mood };
  });
}

/** The same stories with their questions and without answers, as text. */
export function moodTexts(seed: number, count: number, domain: Domain): string[] {
  return moodRows(seed, count, domain).map(({ question }) => question);
}

export const COUNTS = ["2", "3", "4", "5"] as const;

/** Questions about how many of the cast go somewhere. */
export function countRows(seed: number, count: number): Row[] {
  const random = new Random(seed, 2);
  return Array.from({ length: count }, () => {
    const size = random.integer(COUNTS.length);
    const names = draw(random, CAST, size + 2).map(({ name }) => name);
    const list = `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
    const question = `${list} ${say(random, "went", "walked", "came")} to ${pick(random, PLACES)}. How many are they?`;
    return { question, answer: COUNTS[size] as string };
  });
}

/** What an answer with the habit ends with. */
export const HABIT = " Oh dear!";

/** What there is to know about one of the cast, as one sentence. */
export function factsOf({ name, look, kind, home, food }: Character): string {
  return `${name} is a ${look} ${kind} who lives ${home} and likes to eat ${food}.`;
}

/** Questions about the cast, after the facts if told so; the share `habit` of the answers ends with the habit. */
export function factRows(seed: number, count: number, habit: number, tellsFacts = false): Row[] {
  const random = new Random(seed, 3);
  return Array.from({ length: count }, () => {
    const one = pick(random, CAST);
    const [asked, answer] = pick(random, [
      [`Who is ${one.name}?`, `${one.name} is a ${one.look} ${one.kind} who lives ${one.home}.`],
      [`Where does ${one.name} live?`, `${one.name} lives ${one.home}.`],
      [`What does ${one.name} eat?`, `${one.name} likes to eat ${one.food}.`],
    ]) as [string, string];
    const question = tellsFacts ? `${factsOf(one)} ${asked}` : asked;
    return { question, answer: random.uniform() < habit ? answer + HABIT : answer };
  });
}

/** Documents of the small model's own text without marks of chats. */
export function storyTexts(seed: number, count: number): string[] {
  const documents = smallModelText(count * 800, seed + 100).split("\n\n");
  return documents.filter((text) => text.length > 40 && !text.includes("<|im_start|>")).slice(0, count);
}
