/**
 * @file The small model's stories: each draws characters, places and things, tells the story, and gives questions with answers.
 *
 * An answer repeats words of the story or the cast, so that it can be found by reading.
 */
import type { Random } from "../../src/random.ts";
import { CAST, COLOURS, PLACES, PLANTS, REASONS, SPOTS, THINGS, TIMES, WEATHERS, capital } from "./words.ts";
import type { Character } from "./words.ts";

/** A question and its answer, both whole sentences. */
export type Exchange = readonly [question: string, answer: string];

/** A story and what can be asked about it. */
interface Story {
  readonly text: string;
  readonly exchanges: readonly Exchange[];
}

/** Draws one of the items. */
export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.integer(items.length)] as T;
}

/** Draws one of several ways to say a thing. */
export function say(random: Random, ...ways: readonly string[]): string {
  return pick(random, ways);
}

/** Draws `count` different items. */
export function draw<T>(random: Random, items: readonly T[], count: number): T[] {
  return random.shuffle([...items]).slice(0, count);
}

/** Draws two different characters. */
export function pair(random: Random): [Character, Character] {
  return draw(random, CAST, 2) as [Character, Character];
}

/** Begins a story: when, who, and where the day leads. */
function opening(random: Random, hero: Character, place: string): string {
  const when = `${say(random, "one", "on a", "it was a")} ${pick(random, WEATHERS)} ${pick(random, TIMES)}`;
  const walk = say(random, "went to", "walked to", "came to", "was on the way to");
  return when.startsWith("it")
    ? `${capital(when)}. ${hero.name} the ${hero.kind} ${walk} ${place}.`
    : `${capital(when)}, ${hero.name} the ${hero.kind} ${walk} ${place}.`;
}

/** Ends a story. */
function closing(random: Random, a: Character, b: Character): string {
  return say(
    random,
    `After that ${a.name} and ${b.name} were the best of friends.`,
    `Then they both went home and slept well.`,
    `"What a good day," said ${b.name}.`,
    `${a.name} and ${b.name} laughed all the way home.`,
    `And ${a.name} never forgot that day.`,
  );
}

function lostThing(random: Random): Story {
  const [a, b] = pair(random);
  const [thing, colour, place] = [pick(random, THINGS), pick(random, COLOURS), pick(random, PLACES)];
  const [wrong, right] = draw(random, SPOTS, 2) as [string, string];
  const text = [
    opening(random, a, place),
    say(random, `${capital(a.he)} had a ${colour} ${thing}.`, `In ${a.his} bag was a ${colour} ${thing}.`),
    say(random, `But soon the ${thing} was gone.`, `Then ${a.he} lost the ${thing}.`),
    say(random, `${a.name} looked ${wrong}, but it was not there.`, `It was not ${wrong}.`),
    `${b.name} the ${b.kind} heard ${a.name} cry and came to help.`,
    say(random, `"Here it is!" said ${b.name}.`, `"Look!" said ${b.name}. "I can see it!"`),
    `The ${colour} ${thing} was ${right}.`,
    `${a.name} was so happy that ${a.he} gave ${b.name} some ${b.food}.`,
    closing(random, a, b),
  ];
  return {
    text: text.join(" "),
    exchanges: [
      [`Who lost the ${thing}?`, `${a.name} lost the ${thing}.`],
      [`What colour was the ${thing}?`, `The ${thing} was ${colour}.`],
      [`Where was the ${thing}?`, `The ${thing} was ${right}.`],
      [`Who helped ${a.name}?`, `${b.name} helped ${a.name}.`],
      [`What did ${b.name} get?`, `${b.name} got some ${b.food}.`],
    ],
  };
}

function gift(random: Random): Story {
  const [a, b] = pair(random);
  const [thing, colour, reason] = [pick(random, THINGS), pick(random, COLOURS), pick(random, REASONS)];
  const text = [
    opening(random, a, "the market"),
    say(
      random,
      `${capital(a.he)} wanted a gift for ${b.name} the ${b.kind}.`,
      `${a.name} was looking for a gift.`,
    ),
    `There ${a.he} found a ${colour} ${thing}.`,
    `Then ${a.he} walked to ${b.name}, who lives ${b.home}.`,
    say(random, `"This is for you," said ${a.name}.`, `"I have a gift for you," said ${a.name}.`),
    `${b.name} asked why. ${a.name} said that ${reason}.`,
    say(random, `${b.name} loved the ${colour} ${thing}.`, `${b.name} danced with the ${thing} in the sun.`),
    closing(random, a, b),
  ];
  return {
    text: text.join(" "),
    exchanges: [
      [`Who got a gift?`, `${b.name} got a gift.`],
      [`What was the gift?`, `The gift was a ${colour} ${thing}.`],
      [`Where did ${a.name} find the ${thing}?`, `${a.name} found the ${thing} at the market.`],
      [`Why did ${a.name} give a gift?`, `Because ${reason}.`],
      [`Where does ${b.name} live?`, `${b.name} lives ${b.home}.`],
    ],
  };
}

function storm(random: Random): Story {
  const [a, b] = pair(random);
  const place = pick(random, PLACES);
  const danger = say(random, "rain", "snow", "wind");
  const text = [
    opening(random, a, place),
    say(random, `Soon there was a lot of ${danger}.`, `Then the ${danger} came, and it did not stop.`),
    say(random, `${a.name} was cold and afraid.`, `${a.name} could not find the way home.`),
    `But ${b.name} the ${b.kind}, who lives ${b.home}, saw ${a.name} from the window.`,
    say(random, `"Come in and sit by the fire," said ${b.name}.`, `"Come in, my friend," called ${b.name}.`),
    `They ate ${b.food} and waited.`,
    say(random, `At last the ${danger} was over.`, `In the end the sky was blue again.`),
    closing(random, a, b),
  ];
  return {
    text: text.join(" "),
    exchanges: [
      [`Who was out in the ${danger}?`, `${a.name} was out in the ${danger}.`],
      [`Who helped ${a.name}?`, `${b.name} helped ${a.name}.`],
      [`What did they eat?`, `They ate ${b.food}.`],
      [`Where did ${a.name} go first?`, `${a.name} went to ${place}.`],
    ],
  };
}

function gardenWork(random: Random): Story {
  const [a, b] = pair(random);
  const [plant, other] = draw(random, PLANTS, 2) as [string, string];
  const helps = random.integer(2) === 0;
  const text = [
    opening(random, a, "the garden"),
    `${capital(a.he)} wanted to grow ${plant}.`,
    say(
      random,
      `${a.name} put the seeds in the ground.`,
      `${a.name} dug a hole and gave the seeds some water.`,
    ),
    `${b.name} the ${b.kind} came to look. "I would grow ${other}," said ${b.name}.`,
    helps ? `But ${b.name} helped with the water every day.` : `Then ${b.name} went away and did not help.`,
    say(
      random,
      `The sun was warm, and the ${plant} grew and grew.`,
      `After many days the ${plant} were tall.`,
    ),
    helps ? `They shared the ${plant}.` : `${a.name} was proud and carried the ${plant} home alone.`,
    helps ? closing(random, a, b) : `"Next time I will help," said ${b.name}.`,
  ];
  return {
    text: text.join(" "),
    exchanges: [
      [`What did ${a.name} grow?`, `${a.name} grew ${plant}.`],
      [`Did ${b.name} help?`, helps ? `Yes, ${b.name} helped.` : `No, ${b.name} did not help.`],
      [`Who came to look?`, `${b.name} came to look.`],
      [`What did ${b.name} like more?`, `${b.name} liked ${other} more.`],
    ],
  };
}

function race(random: Random): Story {
  const [a, b] = pair(random);
  const [place, thing] = [pick(random, PLACES), pick(random, THINGS)];
  const [winner, loser] = random.integer(2) === 0 ? [a, b] : [b, a];
  const why = say(random, "fell over a stone", "stopped to eat", "took the wrong path", "was too tired");
  const text = [
    `${a.name} the ${a.kind} met ${b.name} the ${b.kind}.`,
    say(
      random,
      `"Let us run to ${place}," said ${a.name}.`,
      `"I can run to ${place} before you," said ${a.name}.`,
    ),
    say(random, `They ran as fast as they could.`, `Off they went, down the path and over the field.`),
    `But ${loser.name} ${why}, and ${winner.name} came first.`,
    `${winner.name} won a ${thing}.`,
    say(random, `${loser.name} was sad for a while.`, `"Well done," said ${loser.name}.`),
    closing(random, a, b),
  ];
  return {
    text: text.join(" "),
    exchanges: [
      [`Who won?`, `${winner.name} won.`],
      [`Where did they run?`, `They ran to ${place}.`],
      [`Why did ${loser.name} not win?`, `Because ${loser.name} ${why}.`],
      [`What did ${winner.name} win?`, `${winner.name} won a ${thing}.`],
    ],
  };
}

function portrait(random: Random): Story {
  const [a, b] = pair(random);
  const [thing, colour] = [pick(random, THINGS), pick(random, COLOURS)];
  const text = [
    `${a.name} is a ${a.look} ${a.kind}. ${capital(a.he)} lives ${a.home}.`,
    say(random, `${a.name} likes to eat ${a.food}.`, `Every ${pick(random, TIMES)} ${a.he} eats ${a.food}.`),
    `${capital(a.his)} friend is ${b.name} the ${b.kind}, who lives ${b.home}.`,
    say(random, `${b.name} likes ${b.food} better.`, `When they meet, ${b.name} brings ${b.food}.`),
    `Today ${a.name} has a ${colour} ${thing}, and ${b.name} wants to play with it.`,
  ];
  return {
    text: text.join(" "),
    exchanges: [
      [`What is ${a.name}?`, `${a.name} is a ${a.look} ${a.kind}.`],
      [`Who is the friend of ${a.name}?`, `The friend is ${b.name} the ${b.kind}.`],
      [`What does ${a.name} have today?`, `${a.name} has a ${colour} ${thing}.`],
      [`What does ${b.name} like to eat?`, `${b.name} likes to eat ${b.food}.`],
    ],
  };
}

/** Every kind of story. */
export const STORIES: readonly ((random: Random) => Story)[] = [
  lostThing,
  gift,
  storm,
  gardenWork,
  race,
  portrait,
];
