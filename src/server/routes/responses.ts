/** @file POST /v1/responses: the assistant's next turn of a conversation, in the form of the Responses API. */
import { RESPONSE_ANSWER, RESPONSE_EVENT } from "../answers/response-answers.ts";
import { RESPONSE_REQUEST } from "../responses/response-request.ts";
import { inOwnNames, toChat } from "../responses/to-chat.ts";
import { WrittenResponse, headOf } from "../responses/written-response.ts";
import { defineRoute } from "../route.ts";
import { type EventWriter, sendEvents } from "../sse.ts";
import { chatTexts } from "../texts/chat-texts.ts";
import { REFUSED_IN_RESPONSES, refuse } from "../unserved-keys.ts";
import { type NumberedPiece, writeTexts } from "../texts/write-texts.ts";

const PATH = "/v1/responses";

export const responses = defineRoute({
  method: "post",
  path: PATH,
  summary: "Generate the assistant's next turn, as items; it is not stored",
  access: "read",
  body: RESPONSE_REQUEST,
  answer: { whole: RESPONSE_ANSWER, events: RESPONSE_EVENT, hasNamedEvents: true },
  handle: async ({ body, context, state, resumed }) => {
    refuse({ ...body, background: body.background === false ? null : body.background }, REFUSED_IN_RESPONSES);
    const head = headOf(resumed, state);
    const how = { param: "input", resumed, newId: head.newId };
    const { jobs, newAnswer } = await inOwnNames(() => chatTexts(toChat(body), how, state));
    const release = await inOwnNames(() => state.places.take(jobs));
    const written = new WrittenResponse(body, newAnswer(), head, state);
    if (!body.stream) {
      const onPiece = (piece: NumberedPiece): void => void written.push(piece);
      const [end] = await writeTexts(state, { jobs }, context.req.raw.signal, { onPiece }).finally(release);
      return context.json(written.end(end!).response);
    }
    const write: EventWriter = async (send, signal) => {
      const tell = async (events: readonly object[]): Promise<void> => {
        for (const event of events) await send(event);
      };
      const first = written.begin();
      if (!resumed) await tell(first);
      const onPiece = async (piece: NumberedPiece): Promise<void> => {
        const events = written.push(piece);
        if (!piece.told) await tell(events);
      };
      const { id, created } = head;
      const request = { id, created, path: PATH, body: { ...body, seed: jobs[0]?.seed } };
      const [end] = await writeTexts(state, { jobs, request }, signal, { onPiece });
      await tell(end!.finishReason === "aborted" ? written.leave() : written.end(end!).events);
    };
    return sendEvents(context, state, { write, done: release, tellError: (body) => written.fail(body) });
  },
});
