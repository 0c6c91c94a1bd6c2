// What was said to a model and what it said, out of the attributes of the instrumentations that keep it (docs/contents.md).

export interface Message {
  role: string;
  text: string;
}

/** A text that holds JSON, or what it is already. */
function parsed(value: unknown): unknown {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    // Cut off by a limit: shown as it is.
    return value;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
const asText = (value: unknown): string => (typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? ""));

/** OpenTelemetry's parts: texts are joined, and whatever else there is stands as JSON. */
function partsText(parts: unknown): string {
  if (!Array.isArray(parts)) return asText(parts);
  return parts
    .map((part: unknown) => (isRecord(part) && typeof part.content === "string" ? part.content : isRecord(part) && typeof part.text === "string" ? part.text : asText(part)))
    .join("\n");
}

function listed(value: unknown, role: string): Message[] {
  const list = parsed(value);
  if (list === undefined || list === null || list === "") return [];
  if (!Array.isArray(list)) return [{ role, text: asText(list) }];
  const ofParts = list.every((one) => isRecord(one) && !("role" in one) && !("parts" in one));
  if (ofParts) return [{ role, text: partsText(list) }];
  return list.map((one: unknown) => {
    if (!isRecord(one)) return { role, text: asText(one) };
    return { role: typeof one.role === "string" ? one.role : role, text: partsText(one.parts ?? one.content ?? one) };
  });
}

/** `prefix.0.role`, `prefix.0.content`: one attribute for each part, numbered from 0. */
function numbered(attributes: Record<string, unknown>, prefix: string, role: string, of = ""): Message[] {
  const found: Message[] = [];
  for (let at = 0; ; at += 1) {
    const content = attributes[`${prefix}.${at}.${of}content`];
    const named = attributes[`${prefix}.${at}.${of}role`];
    if (content === undefined && named === undefined) return found;
    found.push({ role: typeof named === "string" ? named : role, text: content === undefined ? "" : asText(content) });
  }
}

const first = (...lists: Message[][]): Message[] => lists.find((list) => list.length > 0) ?? [];

/** The conversation in its order; empty where nobody has kept it. */
export function messagesOf(attributes: Record<string, unknown>): Message[] {
  return [
    ...listed(attributes["gen_ai.system_instructions"], "system"),
    ...first(
      listed(attributes["gen_ai.input.messages"], "user"),
      numbered(attributes, "gen_ai.prompt", "user"),
      numbered(attributes, "llm.input_messages", "user", "message."),
      listed(attributes["input.value"], "user"),
    ),
    ...first(
      listed(attributes["gen_ai.output.messages"], "assistant"),
      numbered(attributes, "gen_ai.completion", "assistant"),
      numbered(attributes, "llm.output_messages", "assistant", "message."),
      listed(attributes["output.value"], "assistant"),
    ),
  ];
}
