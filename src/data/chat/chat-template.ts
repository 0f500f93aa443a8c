/**
 * @file Chat templates: they turn a list of messages into the text form that the model was trained on.
 *
 * The template is Jinja and comes with the model. Its hash goes into an adapter's folder, so that serving with another template
 * is noticed. A model without a template still has a ChatTemplate; only rendering with it is an error.
 */
import { z } from "zod";
import { A_FUNCTION, checkArguments, lazily } from "../../messages/arguments.ts";
import { UsageError } from "../../errors.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { tokenText } from "../../format/checkpoint/token-text.ts";
import { Sha256 } from "../../sha256.ts";
import type { Message } from "../rows/messages.ts";
import { type MarkedText, type TextSpan, hasMarks, parseMarked } from "./generation-marks.ts";
import { withReasoning, withWrittenArguments } from "./message-forms.ts";
import { areAllHidden, type ShownForm, shownFormOf } from "./shown-form.ts";
import { strftime } from "./strftime.ts";

/** The ChatML template, for models that come without one. */
export const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

export interface RenderOptions {
  /** Ends with the header of an assistant turn, for the model to continue. */
  readonly addGenerationPrompt?: boolean;
  readonly tools?: readonly unknown[] | null;
  /** Other variables that the template may read, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Renders messages as text. */
export interface ChatTemplate {
  /** Source of the default template; null when the model has none. */
  readonly source: string | null;
  /** SHA-256 of the source, in hexadecimal; null when the model has none. */
  readonly hash: string | null;
  /** Renders messages. @throws usage/chat-template when there is no template or it rejects the messages */
  render(messages: readonly Message[], options?: RenderOptions): string;
  /** Finds the characters between `{% generation %}` marks in `render(messages)`; null when the template has no marks. */
  generationSpans(messages: readonly Message[], options?: RenderOptions): TextSpan[] | null;
}

/** What `createChatTemplate` takes besides the files. */
interface ChatTemplateOptions {
  /** Takes the place of the model's own template. */
  readonly template?: string;
  /** The time that `strftime_now` formats. Default: the time of creation. */
  readonly now?: () => Date;
}

const NO_TEMPLATE_HINT =
  "Give one as --chat-template: chatml, plain, alpaca or a Jinja file; or use rows with prompt and completion, or with text.";
/** Reads templates by name: tokenizer_config.json may hold one string or a list of {name, template}. */
function readSources(files: TokenizerFiles): Map<string, string> {
  const sources = new Map<string, string>();
  const listed = files.config["chat_template"];
  if (typeof listed === "string") sources.set("default", listed);
  for (const entry of Array.isArray(listed) ? (listed as unknown[]) : []) {
    const { name, template } = (entry ?? {}) as { name?: unknown; template?: unknown };
    if (typeof name === "string" && typeof template === "string") sources.set(name, template);
  }
  if (files.chatTemplate != null) sources.set("default", files.chatTemplate);
  return sources;
}

/** Variables that every template may read: the model's special tokens, and the time. */
function variablesOf({ config }: TokenizerFiles, now: () => Date): Record<string, unknown> {
  const tokens = Object.entries(config).flatMap(([key, value]) => {
    const text = key.endsWith("_token") ? tokenText(value) : null;
    return text === null ? [] : [[key, text] as const];
  });
  return {
    strftime_now: ([format]: readonly unknown[]) => strftime(now(), String(format)),
    ...Object.fromEntries(tokens),
  };
}

/** Maximum number of roles that an error lists. */
const MAX_ROLES = 8;

/** Makes the error for messages that a template rejects. */
function rejected(messages: readonly Message[], cause: unknown): UsageError {
  const roles: string[] = messages.slice(0, MAX_ROLES).map(({ role }) => role);
  if (messages.length > MAX_ROLES) roles.push("…");
  const found = cause instanceof Error ? cause.message : String(cause);
  return new UsageError(
    "usage/chat-template",
    `Cannot render ${messages.length} messages (${roles.join(", ")}): the chat template says "${found}"`,
    { hint: "Order the messages as the model's template requires, or choose another template.", cause },
  );
}

/** Makes the error for a template that shows no content, so that all conversations would look the same. */
function nothingShown(): UsageError {
  return new UsageError(
    "usage/chat-template",
    "Cannot render messages: the chat template shows none of what they say, neither as a text nor as parts of type text, expected one that prints content",
    { hint: "Choose another one with --chat-template: chatml, plain, alpaca or a Jinja file." },
  );
}

/** Renders messages as they are; if the template fails, retries with the arguments of calls as texts. @throws as `rejected` */
function renderEither<T>(messages: readonly Message[], render: (messages: readonly Message[]) => T): T {
  try {
    return render(messages);
  } catch (cause) {
    const written = withWrittenArguments(messages);
    if (written !== null) {
      try {
        return render(written);
      } catch {
        // The error of the first attempt is reported, since most templates want arguments as objects.
      }
    }
    throw rejected(messages, cause);
  }
}

const ARGUMENTS = lazily(() =>
  z.strictObject({
    files: z.looseObject({ config: z.looseObject({}), chatTemplate: z.string().nullish() }),
    options: z.strictObject({ template: z.string().optional(), now: A_FUNCTION.optional() }),
  }),
);

/** Makes the chat template of a model. @throws format/file when a template cannot be parsed */
export function createChatTemplate(files: TokenizerFiles, options: ChatTemplateOptions = {}): ChatTemplate {
  checkArguments("createChatTemplate", ARGUMENTS, { files, options });
  const sources =
    options.template === undefined ? readSources(files) : new Map([["default", options.template]]);
  const parsed = new Map([...sources].map(([name, source]) => [name, parseMarked(source)]));
  /** The form of each template that has been used. */
  const forms = new Map<ReturnType<typeof parseMarked>, ShownForm>();
  const created = new Date();
  const variables = variablesOf(files, options.now ?? (() => created));
  const source = sources.get("default") ?? null;

  const pick = (tools: RenderOptions["tools"]): string =>
    tools != null && tools.length > 0 && sources.has("tool_use") ? "tool_use" : "default";
  const run = (messages: readonly Message[], options: RenderOptions): MarkedText => {
    const template = parsed.get(pick(options.tools));
    if (template === undefined) {
      throw new UsageError(
        "usage/chat-template",
        "Cannot render messages: the model has no chat template, expected one in tokenizer_config.json or chat_template.jinja",
        { hint: NO_TEMPLATE_HINT },
      );
    }
    const write = (messages: readonly Readonly<Record<string, unknown>>[]): MarkedText =>
      template({
        ...variables,
        ...options.variables,
        messages,
        // Python's renderer passes these two always, so templates may compare them with none.
        tools: options.tools ?? null,
        documents: null,
        add_generation_prompt: options.addGenerationPrompt ?? false,
      });
    const form = forms.get(template) ?? shownFormOf((messages) => write(messages).text);
    forms.set(template, form);
    const rendered = renderEither(messages, (messages) =>
      write(messages.map((message) => form.write(withReasoning(message)))),
    );
    if (!form.showsContent && areAllHidden(messages, rendered.text)) throw nothingShown();
    return rendered;
  };

  return {
    source,
    hash: source === null ? null : new Sha256().update(source).digest(),
    render: (messages, options = {}) => run(messages, options).text,
    generationSpans(messages, options = {}) {
      const source = sources.get(pick(options.tools)) ?? "";
      return hasMarks(source) ? run(messages, options).spans : null;
    },
  };
}
